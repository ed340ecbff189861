import { ApiProperty } from '@nestjs/swagger';
import { PlanDto } from '../changes/plan.dto.js';
import type { SkippedChanges } from './advance-preview.js';

const nullable = true;

class SkippedTableDto {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  name: string;

  @ApiProperty({ description: 'Rows inserted.' })
  inserts: number;

  @ApiProperty({ description: 'Rows updated.' })
  updates: number;

  @ApiProperty({ description: 'Rows deleted.' })
  deletes: number;

  @ApiProperty({ description: 'TRUNCATEs of the table.' })
  truncates: number;
}

export class SkippedChangesDto implements SkippedChanges {
  @ApiProperty({ example: '0/1A2B3C4', description: 'Where the slot stands.' })
  fromLsn: string;

  @ApiProperty({ example: '0/1B00000', description: 'Where it would stand.' })
  toLsn: string;

  @ApiProperty({ description: 'WAL between the two, of all databases.' })
  walBytes: number;

  @ApiProperty({
    type: [String],
    nullable,
    description: 'Whose changes were counted: those of the owning subscription, else all of the database.',
  })
  publications: string[] | null;

  @ApiProperty({
    type: Number,
    nullable,
    description: 'Committed ones that change something of them; null: not known.',
  })
  transactions: number | null;

  @ApiProperty({ type: Number, nullable, description: 'Their changes; null: not known.' })
  changes: number | null;

  @ApiProperty({ type: [SkippedTableDto], description: 'At most 1,000.' })
  tables: SkippedTableDto[];

  @ApiProperty({ description: 'More is skipped than was counted: `reason` names the bound.' })
  truncated: boolean;

  @ApiProperty({ type: String, nullable, description: 'What is not known, and why.' })
  reason: string | null;
}

export class AdvancePlanDto extends PlanDto {
  @ApiProperty({ type: SkippedChangesDto })
  skips: SkippedChangesDto;
}
