import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsInt, IsString, Matches, Max, Min, ValidateIf } from 'class-validator';
import { PlanDto } from '../../changes/plan.dto.js';
import { SubscriptionDto, SubscriptionErrorsDto } from '../subscription.dto.js';
import type { Diagnosis, UnappliedTransaction } from './diagnosis.js';

const OPERATIONS = ['insert', 'update', 'delete', 'truncate'] as const;
const KINDS = ['commit', 'prepare', 'commitPrepared', 'rollbackPrepared'] as const;
const VERDICTS = ['failing', 'blocked', 'applying', 'idle', 'stalled', 'disabled'] as const;
const nullable = true;

class UnappliedTableDto {
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

class UnappliedChangeDto {
  @ApiProperty({ enum: OPERATIONS })
  operation: (typeof OPERATIONS)[number];

  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  table: string;

  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string', nullable },
    nullable,
    example: { id: '4711' },
    description: 'By the replica identity, before the change; null: it is FULL or there is none.',
  })
  key: Record<string, string | null> | null;

  @ApiProperty({
    type: [String],
    nullable,
    description:
      'Of an UPDATE: the columns that were sent; with REPLICA IDENTITY FULL those that changed. Never their values.',
  })
  columns: string[] | null;

  @ApiProperty({
    type: Boolean,
    nullable,
    description:
      'Whether the subscriber has a row of that key now: an INSERT of one that is there cannot be applied. Null: not known, as of a table that is locked.',
  })
  onSubscriber: boolean | null;
}

export class UnappliedTransactionDto implements UnappliedTransaction {
  @ApiProperty({
    enum: KINDS,
    example: 'commit',
    description:
      '`commit`: an ordinary transaction. Of a prepared one, where the slot has two_phase: `prepare`, its changes, which ' +
      'the subscriber prepares too; `commitPrepared` or `rollbackPrepared`, the end of what the subscriber has prepared, ' +
      'which no skip skips. What `commitPrepared` makes visible is told with it.',
  })
  kind: UnappliedTransaction['kind'];

  @ApiProperty({
    type: String,
    nullable,
    example: null,
    description: 'What it was prepared as on the publisher; null: it was not prepared, or two_phase is off.',
  })
  gid: string | null;

  @ApiProperty({
    example: '0/1A2B3C4',
    description:
      "Start of the record that commits it, or prepares it: what a skip takes, and `finished at` in the subscriber's log. " +
      'Of a `rollbackPrepared` the end of the record.',
  })
  finishLsn: string;

  @ApiProperty({
    example: '0/1A2B3F8',
    description:
      'End of that record: where the origin stands once it is applied. Of a `prepare` from before the slot had two_phase, ' +
      'the end of its COMMIT PREPARED, with which it is sent.',
  })
  endLsn: string;

  @ApiProperty({ description: 'On the publisher.' })
  xid: number;

  @ApiProperty({
    format: 'date-time',
    description:
      "By the publisher's clock; of a `prepare` when it was prepared, of a `rollbackPrepared` when it was rolled back.",
  })
  committedAt: string;

  @ApiProperty({ description: 'As sent by the publisher.' })
  bytes: number;

  @ApiProperty({ description: 'All changes, shown or not.' })
  changeCount: number;

  @ApiProperty({ type: [UnappliedTableDto] })
  tables: UnappliedTableDto[];

  @ApiProperty({ type: [UnappliedChangeDto], description: 'The first 100.' })
  changes: UnappliedChangeDto[];

  @ApiProperty({ description: 'Changes that are counted and not shown.' })
  changesLeftOut: number;
}

class LastFailureDto {
  @ApiProperty({ format: 'date-time', description: 'When its counter was seen to have moved.' })
  seenAt: string;

  @ApiProperty({ type: [String], example: ['insertExists'], description: 'Conflicts counted with it; 18 and newer.' })
  conflicts: string[];
}

class PassedOverDto {
  @ApiProperty({ example: '0/1A2B390' })
  finishLsn: string;

  @ApiProperty({ description: 'Its changes.' })
  changeCount: number;

  @ApiProperty({ description: 'Why it is not what the subscription is stuck on.' })
  reason: string;
}

class RemedyDto {
  @ApiProperty({ description: 'What it does, and what it loses.' })
  does: string;

  @ApiProperty({ type: [String], description: 'For the subscriber, in order.' })
  sql: string[];
}

export class DiagnosisDto implements Diagnosis {
  @ApiProperty({ example: 'orders_sub' })
  subscription: string;

  @ApiProperty({
    enum: VERDICTS,
    nullable,
    description:
      '`failing`: errors were seen, its worker does not stay, or it disabled itself; `blocked`: its worker waits for a ' +
      'lock; `applying`: it goes on, however slowly; `idle`: nothing is left to apply; `stalled`: enabled, no worker, ' +
      'and nothing says why; `disabled`.',
  })
  verdict: Diagnosis['verdict'];

  @ApiProperty({ description: 'What the verdict rests on.' })
  reason: string;

  @ApiProperty({
    type: String,
    nullable,
    description: 'Everything the publisher committed or prepared up to here is applied; null: not known.',
  })
  position: string | null;

  @ApiProperty({ type: String, nullable, description: "Of the subscription's replication origin." })
  originLsn: string | null;

  @ApiProperty({ type: String, nullable, description: "Of the subscription's slot." })
  confirmedFlushLsn: string | null;

  @ApiProperty({ type: SubscriptionErrorsDto, nullable, description: 'Null before 15, where nothing counts them.' })
  errors: SubscriptionErrorsDto | null;

  @ApiProperty({ type: 'object', additionalProperties: { type: 'number' }, nullable, description: 'Null before 18.' })
  conflicts: Record<string, number> | null;

  @ApiProperty({ type: LastFailureDto, nullable, description: 'Seen while it was looked at.' })
  lastFailure: LastFailureDto | null;

  @ApiProperty({ type: String, nullable, description: 'What is not known of it, and where that is found.' })
  lastFailureReason: string | null;

  @ApiProperty({ type: UnappliedTransactionDto, nullable, description: 'The first one that is not applied.' })
  transaction: UnappliedTransactionDto | null;

  @ApiProperty({ type: String, nullable, description: 'Why there is none, or why it is not known.' })
  transactionReason: string | null;

  @ApiProperty({
    type: [PassedOverDto],
    description: 'Not applied by the position either, but found to change nothing on the subscriber.',
  })
  passedOver: PassedOverDto[];

  @ApiProperty({ type: [RemedyDto] })
  remedies: RemedyDto[];
}

/** How much of a transaction is told. */
export class DiagnoseDto {
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: 10_000,
    default: 100,
    description: 'Changes of the transaction that are told one by one; `changesLeftOut` counts the others.',
  })
  @ValidateIf((_object, value) => value !== undefined)
  @IsInt()
  @Min(1)
  @Max(10_000)
  mostChanges?: number;
}

export class SkipTransactionDto extends DiagnoseDto {
  @ApiProperty({
    type: String,
    nullable,
    example: '0/1A2B3C4',
    description:
      "Finish LSN of the transaction to skip, from the diagnosis or the subscriber's server log; null takes an earlier skip back.",
  })
  @ValidateIf((_object, value) => value !== null)
  @IsString()
  @Matches(/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/, { message: 'must be an LSN such as 0/1A2B3C4, or null' })
  lsn: string | null;

  @ApiPropertyOptional({
    default: false,
    description: 'Take the LSN although the diagnosis does not find the subscription stuck there.',
  })
  @ValidateIf((_object, value) => value !== undefined)
  @IsBoolean()
  force?: boolean;
}

const LOST = 'Every change of it is lost on the subscriber. Null: nothing is, or it could not be read.';

export class SkippedSubscriptionDto extends SubscriptionDto {
  @ApiProperty({ type: UnappliedTransactionDto, nullable, description: LOST })
  lost: UnappliedTransactionDto | null;

  @ApiProperty({ type: String, nullable, description: 'Why what is lost is not known.' })
  lostReason: string | null;
}

export class SkipPlanDto extends PlanDto {
  @ApiProperty({ type: UnappliedTransactionDto, nullable, description: LOST })
  lost: UnappliedTransactionDto | null;

  @ApiProperty({ type: String, nullable, description: 'Why what is lost is not known.' })
  lostReason: string | null;
}
