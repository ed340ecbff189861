import { ApiProperty } from '@nestjs/swagger';
import { ReplicationSlotDto } from '../replication-slots/replication-slots.dto.js';
import { SlotCleanUpDto } from './left-slots/orphaned-slots.dto.js';
import { CopyProgressDto, SubscriptionCopyProgressDto, SubscriptionWarningDto } from './subscription-progress.dto.js';

export const STATES = [
  'disabled',
  'failing',
  'stalled',
  'initializing',
  'copying',
  'catching-up',
  'streaming',
] as const;
const TABLE_STATES = ['initializing', 'copying', 'copied', 'catching-up', 'ready'] as const;
const WORKERS = ['apply', 'parallel apply', 'table synchronization'] as const;
const nullable = true;

export class PublisherEndDto {
  @ApiProperty({ example: 'orders-14' })
  server: string;

  @ApiProperty({ example: 'orders' })
  database: string;
}

class VerificationNeedDto {
  @ApiProperty({ example: 'the transaction at 0/1A2B3C4 was skipped' })
  reason: string;

  @ApiProperty({
    example: '0/1A2B3C4',
    description: "The publisher's: a verification past it, if equal, ends the need.",
  })
  lsn: string;

  @ApiProperty({ type: String, format: 'date-time' })
  since: Date;
}

class SubscribedTableDto {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  name: string;

  @ApiProperty({ enum: TABLE_STATES })
  state: (typeof TABLE_STATES)[number];

  @ApiProperty({
    description: 'Position from which the table’s changes are applied with all others.',
    type: String,
    nullable,
  })
  lsn: string | null;

  @ApiProperty({ type: CopyProgressDto, nullable, description: 'Null: it is not being copied.' })
  copyProgress: CopyProgressDto | null;

  @ApiProperty({
    ...{ type: String, nullable, example: null },
    description:
      'What speaks for its first copy failing, or for nobody going on with it: synchronization errors that were counted ' +
      '(15 and newer), workers that do not stay, none at all. Null: nothing that was seen.',
  })
  copyFailure: string | null;

  @ApiProperty({
    type: VerificationNeedDto,
    nullable,
    description:
      'Why it may differ from the publisher; until a verification at rest that began later has found it equal.',
  })
  needsVerification: VerificationNeedDto | null;
}

class WorkerTableDto {
  @ApiProperty({ description: 'Its schema.' })
  schema: string;

  @ApiProperty({ description: 'The table that is copied.' })
  name: string;
}

class SubscriptionWorkerDto {
  @ApiProperty({ description: 'Server process.' })
  pid: number;

  @ApiProperty({ enum: WORKERS })
  kind: (typeof WORKERS)[number];

  @ApiProperty({ description: 'Of a parallel apply worker: the worker that leads it.', type: Number, nullable })
  leaderPid: number | null;

  @ApiProperty({ type: WorkerTableDto, nullable, description: 'The table being synchronized.' })
  table: WorkerTableDto | null;

  @ApiProperty({ description: 'Last position received.', type: String, nullable })
  receivedLsn: string | null;

  @ApiProperty({ description: 'Last position that was reported to the publisher.', type: String, nullable })
  latestEndLsn: string | null;

  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable,
    description: 'Until a first message has come, when it was started.',
  })
  lastMessageAt: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable })
  startedAt: string | null;
}

class CurrentOptionsDto {
  @ApiProperty({ description: 'It applies, or would if it could.' })
  enabled: boolean;

  @ApiProperty({ description: 'Null: it has no slot and cannot be enabled.', type: String, nullable })
  slotName: string | null;

  @ApiProperty({ description: 'As `synchronous_commit` of its workers.' })
  synchronousCommit: string;

  @ApiProperty({ type: Boolean, nullable, description: 'Null, here and below: not an option of this version.' })
  binary: boolean | null;

  @ApiProperty({ description: 'Whether large transactions are sent while they run.', type: String, nullable })
  streaming: string | null;

  @ApiProperty({
    description:
      'Prepared transactions are sent when they are prepared; null: the server has no such option (15 and newer do).',
    type: Boolean,
    nullable,
  })
  twoPhase: boolean | null;

  @ApiProperty({
    description: 'It disables itself when applying fails; null: the server has no such option (15 and newer do).',
    type: Boolean,
    nullable,
  })
  disableOnError: boolean | null;

  @ApiProperty({
    description: 'Whose changes are asked for; null: the server has no such option (16 and newer do).',
    type: String,
    nullable,
  })
  origin: string | null;

  @ApiProperty({
    description:
      'An owner who is no superuser must use a password; null: the server has no such option (16 and newer do).',
    type: Boolean,
    nullable,
  })
  passwordRequired: boolean | null;

  @ApiProperty({
    description:
      'Changes are applied as the subscription’s owner, not as the table’s; null: the server has no such option (16 and newer do).',
    type: Boolean,
    nullable,
  })
  runAsOwner: boolean | null;

  @ApiProperty({
    description: 'Its slot is synchronised to standbys; null: the server has no such option (17 and newer do).',
    type: Boolean,
    nullable,
  })
  failover: boolean | null;
}

export class SubscriptionLagDto {
  @ApiProperty({
    type: Number,
    nullable,
    description:
      "Against the publisher's current WAL. Null: unknown, never 0 for it; also where that ends before what was applied.",
  })
  bytes: number | null;

  @ApiProperty({ description: 'Null: not known, which is not zero.', type: Number, nullable })
  seconds: number | null;

  @ApiProperty({ type: String, nullable, description: 'Why a figure is not known.' })
  reason: string | null;
}

export class SubscriptionErrorsDto {
  @ApiProperty({ description: 'Failures of the apply worker so far.' })
  apply: number;

  @ApiProperty({ description: 'Failures of initial copies so far.' })
  sync: number;
}

export class SubscriptionDto {
  @ApiProperty({ description: 'Of pg_subscription; its replication origin is `pg_<oid>`.' })
  oid: number;

  @ApiProperty({ example: 'orders_sub' })
  name: string;

  @ApiProperty({ example: 'postgres' })
  owner: string;

  @ApiProperty({ description: 'It applies, or would if it could.' })
  enabled: boolean;

  @ApiProperty({
    enum: STATES,
    description:
      '`failing`: errors were counted, and nothing was applied since though the publisher has more, or the last one is ' +
      'less than a minute ago, or the first copy of a table fails (named in `reason`); `stalled`: no worker, or nothing reaches it, or the publisher went back to before what was applied.',
  })
  state: (typeof STATES)[number];

  @ApiProperty({ type: String, nullable, description: 'What the state alone does not say.' })
  reason: string | null;

  @ApiProperty({ description: 'Null: it has no slot and cannot be enabled.', type: String, nullable })
  slotName: string | null;

  @ApiProperty({ description: 'Those it asks its publisher for.', type: [String] })
  publications: string[];

  @ApiProperty({ type: CurrentOptionsDto })
  options: CurrentOptionsDto;

  @ApiProperty({ enum: ['disabled', 'pending', 'enabled'], nullable, description: 'Null before 15.' })
  twoPhaseState: 'disabled' | 'pending' | 'enabled' | null;

  @ApiProperty({ type: String, nullable, description: 'End LSN of the transaction to be skipped.' })
  skipLsn: string | null;

  @ApiProperty({ type: String, nullable, description: "The publisher's LSN up to which transactions are applied." })
  originLsn: string | null;

  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string' },
    nullable,
    description: 'Parameters of the connection string without secrets; null: the login may not read it.',
  })
  connection: Record<string, string> | null;

  @ApiProperty({ type: PublisherEndDto, nullable, description: 'Null: not a registered server.' })
  publisher: PublisherEndDto | null;

  @ApiProperty({ type: ReplicationSlotDto, nullable, description: 'As the publisher sees it; null: not known.' })
  slot: ReplicationSlotDto | null;

  @ApiProperty({ type: [SubscriptionWorkerDto] })
  workers: SubscriptionWorkerDto[];

  @ApiProperty({ type: [SubscribedTableDto] })
  tables: SubscribedTableDto[];

  @ApiProperty({ type: SubscriptionLagDto })
  lag: SubscriptionLagDto;

  @ApiProperty({ type: SubscriptionErrorsDto, nullable, description: 'Null before 15, where nothing counts them.' })
  errors: SubscriptionErrorsDto | null;

  @ApiProperty({ type: 'object', additionalProperties: { type: 'number' }, nullable, description: 'Null before 18.' })
  conflicts: Record<string, number> | null;

  @ApiProperty({
    type: SubscriptionCopyProgressDto,
    nullable,
    description: 'Of the first copies of all its tables; null: none is left to copy.',
  })
  copyProgress: SubscriptionCopyProgressDto | null;

  @ApiProperty({ type: [SubscriptionWarningDto], description: 'What should be known; nothing is refused for it.' })
  warnings: SubscriptionWarningDto[];
}

class SlotLeftDto {
  @ApiProperty({ example: 'orders_sub' })
  name: string;

  @ApiProperty({ description: 'The registered server, if it is one.', type: PublisherEndDto, nullable })
  publisher: PublisherEndDto | null;

  @ApiProperty({ description: 'Of the publisher, by the connection string.', type: String, nullable })
  host: string | null;

  @ApiProperty({ description: 'Of the publisher, by the connection string.', type: String, nullable })
  port: string | null;

  @ApiProperty({ description: 'Of the publisher.', type: String, nullable, example: 'orders' })
  database: string | null;

  @ApiProperty({ type: SlotCleanUpDto, description: 'How to be rid of it, once the publisher is back.' })
  cleanUp: SlotCleanUpDto;
}

export class DroppedSubscriptionDto {
  @ApiProperty({ example: 'orders_sub' })
  name: string;

  @ApiProperty({
    type: SlotLeftDto,
    nullable,
    description: 'Left on the publisher, where it keeps WAL until it is dropped. Recorded, see /v1/orphaned-slots.',
  })
  slotLeft: SlotLeftDto | null;

  @ApiProperty({
    type: [SlotLeftDto],
    description: 'The same of tables whose copy was under way (14 and newer).',
  })
  tableSlotsLeft: SlotLeftDto[];
}
