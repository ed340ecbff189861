import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsOptional, ValidateBy } from 'class-validator';
import { NotAvailableYet } from '../../api/not-available-yet.js';
import { PlanDto } from '../../changes/plan.dto.js';
import { VERDICTS, type Verdict } from '../at-rest/link-verification.js';
import type { TriggerMode } from './repair-facts.js';
import { REPAIR_OUTCOMES, type RepairOutcome } from './repair-item.js';

const MOST_IDS = 10_000;
const TRIGGER_MODES: TriggerMode[] = ['quiet', 'fire'];
const DIRECTIONS = ['to-subscriber', 'to-publisher'] as const;
const KINDS = ['missing', 'extra', 'different', 'local-write'] as const;

function isChoice(value: unknown): boolean {
  const isId = (id: unknown) => Number.isInteger(id) && (id as number) >= 0 && (id as number) < 2 ** 31;
  return value === 'all' || (Array.isArray(value) && value.length > 0 && value.length <= MOST_IDS && value.every(isId));
}

export class RepairRequestDto {
  @ApiProperty({
    oneOf: [
      { type: 'string', enum: ['all'] },
      { type: 'array', items: { type: 'integer', minimum: 0 }, minItems: 1, maxItems: MOST_IDS },
    ],
    example: 'all',
    description:
      '`all`, or the `id`s of differences as they are listed. Differences that were counted but not listed are not among ' +
      'them: the answer tells how many (`remaining`), and a further verification lists the next ones.',
  })
  @ValidateBy({
    name: 'isChoiceOfDifferences',
    validator: {
      validate: isChoice,
      defaultMessage: () => `must be "all" or an array of 1 to ${MOST_IDS} ids of differences`,
    },
  })
  differences: 'all' | number[];

  @ApiPropertyOptional({
    enum: TRIGGER_MODES,
    default: 'quiet',
    description:
      '`quiet`: triggers, rules and foreign keys take part as they do when changes are applied, which are those that are ' +
      'enabled as REPLICA or ALWAYS; takes the right to set session_replication_role. `fire`: ordinary ones take part too.',
  })
  @IsOptional()
  @IsIn(TRIGGER_MODES)
  triggers?: TriggerMode;

  @NotAvailableYet('#/direction', ['to-publisher'])
  @ApiPropertyOptional({
    enum: DIRECTIONS,
    default: 'to-subscriber',
    description:
      "The publisher's rows are right. The other way round is not available: what is written on the publisher comes " +
      'back to the subscriber as a change, and meets a row there that is right already.',
  })
  @IsOptional()
  @IsIn(DIRECTIONS)
  direction?: (typeof DIRECTIONS)[number];
}

export class RepairSqlQuery {
  @ApiPropertyOptional({ enum: TRIGGER_MODES, default: 'quiet', description: 'As a repair takes it.' })
  @IsOptional()
  @IsIn(TRIGGER_MODES)
  triggers: TriggerMode = 'quiet';
}

class RepairCountsDto {
  @ApiProperty({ example: 40, description: 'Written.' })
  repaired: number;

  @ApiProperty({ example: 1, description: 'The sides agreed by then; nothing was written.' })
  gone: number;

  @ApiProperty({ example: 0, description: 'Changed each time they were looked at; nothing was written.' })
  changed: number;

  @ApiProperty({ example: 0, description: 'Something was in the way that may pass.' })
  notRepaired: number;

  @ApiProperty({ example: 1, description: 'Something is in the way that stays; see the reasons.' })
  notRepairable: number;

  @ApiProperty({ example: 0, description: 'Not looked at yet.' })
  pending: number;
}

class RepairCheckDto {
  @ApiProperty({ enum: VERDICTS, example: 'equal' })
  verdict: Verdict;

  @ApiProperty({ type: String, nullable: true, description: 'Why the verdict is neither equal nor different.' })
  reason: string | null;

  @ApiProperty({ type: String, nullable: true, example: '0/19B1F00' })
  verifiedLsn: string | null;
}

export class RepairDto {
  @ApiProperty({ format: 'uuid', description: "Also its operation's id." })
  id: string;

  @ApiProperty({ format: 'uuid' })
  verification: string;

  @ApiProperty({ enum: ['queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled'] })
  state: string;

  @ApiProperty({ enum: TRIGGER_MODES })
  triggers: TriggerMode;

  @ApiProperty({ type: RepairCountsDto, description: 'Of the differences chosen.' })
  counts: RepairCountsDto;

  @ApiProperty({ example: 0, description: 'Differences that were counted but not listed, so not repaired.' })
  remaining: number;

  @ApiProperty({
    type: Boolean,
    nullable: true,
    description: 'Whether the transactions carry a replication origin of their own. Null: not known yet.',
  })
  marked: boolean | null;

  @ApiProperty({ type: [String], description: 'What is to be known of the tables written.' })
  warnings: string[];

  @ApiProperty({
    type: RepairCheckDto,
    nullable: true,
    description: 'The rows that were written, compared once more at a later LSN. Null: not yet, or none was written.',
  })
  check: RepairCheckDto | null;
}

export class RepairedDifferenceDto {
  @ApiProperty({ example: 0, description: 'Of the difference.' })
  id: number;

  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  table: string;

  @ApiProperty({ enum: KINDS, description: 'As it was listed; the row may differ otherwise by now.' })
  kind: (typeof KINDS)[number];

  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string', nullable: true },
    nullable: true,
    example: { id: '42' },
  })
  key: Record<string, string | null> | null;

  @ApiProperty({
    enum: [...REPAIR_OUTCOMES, 'planned'],
    nullable: true,
    example: 'repaired',
    description: 'Null: not looked at yet. `planned`: in a dry run, there are statements for it.',
  })
  outcome: RepairOutcome | 'planned' | null;

  @ApiProperty({ type: String, nullable: true, description: 'Why nothing was written.' })
  reason: string | null;
}

/** The answer to a dry run of a repair. */
export class RepairPlanDto extends PlanDto {
  @ApiProperty({ description: 'In words, what no statement shows.' })
  override does: string;

  @ApiProperty({
    type: [RepairedDifferenceDto],
    description: 'In the order of the statements; then those without any.',
  })
  differences: RepairedDifferenceDto[];

  @ApiProperty({ example: 0, description: 'Differences that were counted but not listed.' })
  remaining: number;

  @ApiProperty({ type: [String], description: 'What is to be known of the tables written.' })
  warnings: string[];
}
