import { ApiProperty } from '@nestjs/swagger';
import { ReplicationSlotDto } from '../replication-slots/replication-slots.dto.js';

const STATES = ['disabled', 'failing', 'stalled', 'initializing', 'copying', 'catching-up', 'streaming'] as const;
const TABLE_STATES = ['initializing', 'copying', 'copied', 'catching-up', 'ready'] as const;
const WORKERS = ['apply', 'parallel apply', 'table synchronization'] as const;
const nullable = true;

class PublisherEndDto {
  @ApiProperty({ example: 'orders-14' })
  server: string;

  @ApiProperty({ example: 'orders' })
  database: string;
}

class CopyProgressDto {
  @ApiProperty()
  rows: number;

  @ApiProperty()
  bytes: number;
}

class SubscribedTableDto {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  name: string;

  @ApiProperty({ enum: TABLE_STATES })
  state: (typeof TABLE_STATES)[number];

  @ApiProperty({ type: String, nullable })
  lsn: string | null;

  @ApiProperty({ type: CopyProgressDto, nullable, description: 'Of a running copy; 14 and newer.' })
  copyProgress: CopyProgressDto | null;
}

class WorkerTableDto {
  @ApiProperty()
  schema: string;

  @ApiProperty()
  name: string;
}

class SubscriptionWorkerDto {
  @ApiProperty()
  pid: number;

  @ApiProperty({ enum: WORKERS })
  kind: (typeof WORKERS)[number];

  @ApiProperty({ type: Number, nullable })
  leaderPid: number | null;

  @ApiProperty({ type: WorkerTableDto, nullable, description: 'The table being synchronized.' })
  table: WorkerTableDto | null;

  @ApiProperty({ type: String, nullable })
  receivedLsn: string | null;

  @ApiProperty({ type: String, nullable })
  latestEndLsn: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable })
  lastMessageAt: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable })
  startedAt: string | null;
}

class CurrentOptionsDto {
  @ApiProperty()
  enabled: boolean;

  @ApiProperty({ type: String, nullable })
  slotName: string | null;

  @ApiProperty()
  synchronousCommit: string;

  @ApiProperty({ type: Boolean, nullable, description: 'Null, here and below: not an option of this version.' })
  binary: boolean | null;

  @ApiProperty({ type: String, nullable })
  streaming: string | null;

  @ApiProperty({ type: Boolean, nullable })
  twoPhase: boolean | null;

  @ApiProperty({ type: Boolean, nullable })
  disableOnError: boolean | null;

  @ApiProperty({ type: String, nullable })
  origin: string | null;

  @ApiProperty({ type: Boolean, nullable })
  passwordRequired: boolean | null;

  @ApiProperty({ type: Boolean, nullable })
  runAsOwner: boolean | null;

  @ApiProperty({ type: Boolean, nullable })
  failover: boolean | null;
}

export class SubscriptionLagDto {
  @ApiProperty({
    type: Number,
    nullable,
    description: "Against the publisher's current WAL. Null: unknown, never 0 for it.",
  })
  bytes: number | null;

  @ApiProperty({ type: Number, nullable })
  seconds: number | null;

  @ApiProperty({ type: String, nullable, description: 'Why a figure is not known.' })
  reason: string | null;
}

class SubscriptionErrorsDto {
  @ApiProperty()
  apply: number;

  @ApiProperty()
  sync: number;
}

export class SubscriptionDto {
  @ApiProperty({ example: 'orders_sub' })
  name: string;

  @ApiProperty({ example: 'postgres' })
  owner: string;

  @ApiProperty()
  enabled: boolean;

  @ApiProperty({ enum: STATES })
  state: (typeof STATES)[number];

  @ApiProperty({ type: String, nullable, description: 'What the state alone does not say.' })
  reason: string | null;

  @ApiProperty({ type: String, nullable })
  slotName: string | null;

  @ApiProperty({ type: [String] })
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
}

class SlotLeftDto {
  @ApiProperty({ example: 'orders_sub' })
  name: string;

  @ApiProperty({ type: PublisherEndDto, nullable })
  publisher: PublisherEndDto | null;

  @ApiProperty({ type: String, nullable })
  host: string | null;

  @ApiProperty({ type: String, nullable })
  port: string | null;
}

export class DroppedSubscriptionDto {
  @ApiProperty({ example: 'orders_sub' })
  name: string;

  @ApiProperty({
    type: SlotLeftDto,
    nullable,
    description: 'Left on the publisher, where it keeps WAL until it is dropped.',
  })
  slotLeft: SlotLeftDto | null;
}

class LinkSubscriberDto extends PublisherEndDto {
  @ApiProperty({ example: 'orders_sub' })
  subscription: string;
}

class LinkPublisherDto extends PublisherEndDto {
  @ApiProperty({ type: [String] })
  publications: string[];

  @ApiProperty({ type: ReplicationSlotDto, nullable })
  slot: ReplicationSlotDto | null;
}

export class LinkDto {
  @ApiProperty({ type: LinkSubscriberDto })
  subscriber: LinkSubscriberDto;

  @ApiProperty({ type: LinkPublisherDto, nullable, description: 'Null: not a registered server.' })
  publisher: LinkPublisherDto | null;

  @ApiProperty({ enum: STATES })
  state: (typeof STATES)[number];

  @ApiProperty({ type: String, nullable })
  reason: string | null;

  @ApiProperty({ type: SubscriptionLagDto })
  lag: SubscriptionLagDto;

  @ApiProperty({ type: String, nullable })
  slotName: string | null;
}
