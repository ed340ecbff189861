import { ApiProperty } from '@nestjs/swagger';
import { PlanDto } from '../changes/plan.dto.js';
import { DatabaseRefDto } from './verification.dto.js';
import {
  type CompareMode,
  type Division,
  DIVISIONS,
  type PlannedTable,
  type VerificationPlan,
} from './verification-plan.js';
import { SubscriptionRefDto } from './verifications.dto.js';

const MODES: CompareMode[] = ['by-key', 'as-multiset', 'not-comparable'];

class PlannedTableDto implements PlannedTable {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  name: string;

  @ApiProperty({
    enum: MODES,
    example: 'by-key',
    description: '`as-multiset`: a table without a usable key, by its rows and how often each occurs.',
  })
  mode: CompareMode;

  @ApiProperty({
    enum: DIVISIONS,
    nullable: true,
    example: 'key-ranges',
    description:
      'What its chunks are, where it is large enough for several: ranges of the key; classes of its hash, where the ' +
      'sides may order it differently or lack an index (the table is read once for each); or all of it.',
  })
  division: Division | null;

  @ApiProperty({ type: [String], nullable: true, example: ['id'], description: 'What tells rows apart.' })
  key: string[] | null;

  @ApiProperty({ type: String, nullable: true, description: 'The rows of the publisher that are compared.' })
  rowFilter: string | null;

  @ApiProperty({ type: Number, nullable: true, example: 120000, description: 'By the planner of the publisher.' })
  estimatedRows: number | null;

  @ApiProperty({ type: Number, nullable: true, example: 52428800 })
  bytes: number | null;

  @ApiProperty({ type: String, nullable: true, description: 'Why the mode is not `by-key`.' })
  reason: string | null;
}

/** The answer to a dry run of starting a verification. */
export class VerificationPlanDto extends PlanDto implements VerificationPlan {
  @ApiProperty({ description: 'In words, what no statement shows.' })
  override does: string;

  @ApiProperty({ type: DatabaseRefDto })
  publisher: DatabaseRefDto;

  @ApiProperty({ type: SubscriptionRefDto })
  subscriber: SubscriptionRefDto;

  @ApiProperty({
    enum: ['own-slot', 'positions'],
    description: 'How the two snapshots are bound; `own-slot` needs wal_level = logical on the subscriber.',
  })
  method: 'own-slot' | 'positions';

  @ApiProperty({ type: String, nullable: true, description: 'Why it goes by positions.' })
  methodReason: string | null;

  @ApiProperty({ type: [PlannedTableDto], description: 'Everything asked for; by schema and name.' })
  tables: PlannedTableDto[];
}
