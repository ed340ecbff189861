import { Transform } from 'class-transformer';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsIn, IsInt, IsOptional, IsString, Matches, Max, Min, ValidateIf } from 'class-validator';
import { IsIdentifier } from '../api/name-param.js';

const KINDS = ['logical', 'physical'] as const;
const WAL_STATES = ['reserved', 'extended', 'unreserved', 'lost'] as const;
const OWNER_KINDS = [
  'subscription',
  'table-synchronization',
  'standby',
  'primary',
  'upgrade',
  'verification',
  'resync',
  'repair',
] as const;
const HEALTH = ['ok', 'warning', 'critical', 'lost', 'unknown'] as const;
const LIMITS = ['max_slot_wal_keep_size', 'walBudgetBytes'] as const;
const present = (_object: unknown, value: unknown) => value !== undefined;

export class CreateReplicationSlotDto {
  @ApiProperty({ example: 'orders_watch', pattern: '^[a-z0-9_]{1,63}$' })
  @IsString()
  @Matches(/^[a-z0-9_]{1,63}$/, { message: 'must be 1 to 63 characters of a-z, 0-9 and _' })
  name: string;

  @ApiProperty({ enum: KINDS, example: 'logical' })
  @IsIn(KINDS)
  kind: (typeof KINDS)[number];

  @ApiPropertyOptional({ example: 'orders', description: 'Logical only, and needed there.' })
  @ValidateIf(({ kind }: CreateReplicationSlotDto, value) => kind === 'logical' || value !== undefined)
  @IsIdentifier()
  database?: string;

  @ApiPropertyOptional({ example: 'pgoutput', default: 'pgoutput', description: 'Logical only.' })
  @ValidateIf(present)
  @IsIdentifier()
  plugin?: string;

  @ApiPropertyOptional({ description: 'Logical only, 14 and newer.' })
  @ValidateIf(present)
  @IsBoolean()
  twoPhase?: boolean;

  @ApiPropertyOptional({ description: 'Logical only, 17 and newer: synchronized to standbys.' })
  @ValidateIf(present)
  @IsBoolean()
  failover?: boolean;

  @ApiPropertyOptional({ description: 'Physical only: keep WAL from now on, not from the first connection.' })
  @ValidateIf(present)
  @IsBoolean()
  reserveImmediately?: boolean;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 100,
    maximum: 600_000,
    default: 30_000,
    description: 'Logical: how long to wait for running transactions; the problem then names them.',
  })
  @IsOptional()
  @IsInt()
  @Min(100)
  @Max(600_000)
  deadlineMs?: number;
}

export class CopyReplicationSlotDto {
  @ApiProperty({ example: 'orders_sub_copy', pattern: '^[a-z0-9_]{1,63}$', description: 'Of the copy.' })
  @IsString()
  @Matches(/^[a-z0-9_]{1,63}$/, { message: 'must be 1 to 63 characters of a-z, 0-9 and _' })
  name: string;

  @ApiPropertyOptional({ example: 'pgoutput', description: 'Logical only; default: as the slot that is copied.' })
  @ValidateIf(present)
  @IsIdentifier()
  plugin?: string;
}

export class DropReplicationSlotQuery {
  @ApiPropertyOptional({
    type: Boolean,
    default: false,
    description:
      'Also where it is kept, or may be, for somebody who will come back for it, and who can only begin anew then.',
  })
  @Transform(({ value }: { value: unknown }) => (value === 'true' ? true : value === 'false' ? false : value))
  @IsOptional()
  @IsBoolean()
  force: boolean = false;
}

class SlotOwnerDto {
  @ApiProperty({ enum: OWNER_KINDS, example: 'subscription' })
  kind: (typeof OWNER_KINDS)[number];

  @ApiProperty({ description: 'Of the subscription, the standby, the upgrade or the verification.' })
  name: string;

  @ApiProperty({ type: String, nullable: true, description: 'Where a subscription or a standby is.' })
  server: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'Of the subscription.' })
  database: string | null;

  @ApiProperty({ description: 'False: it is over, and nothing of it will read from the slot any more.' })
  live: boolean;

  @ApiProperty({ example: 'subscription "orders_sub" of database "orders" on orders-18' })
  detail: string;
}

class SlotReaderDto {
  @ApiProperty({ description: 'The server process.' })
  pid: number;

  @ApiProperty({ type: String, nullable: true, description: 'Login; null: the own login may not see it.' })
  user: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'application_name.' })
  application: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'Null: a local socket, or not to be seen.' })
  clientAddress: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'streaming' })
  state: string | null;
}

class WalRateDto {
  @ApiProperty({ example: 120000 })
  bytesPerSecond: number;

  @ApiProperty({ description: 'The time it was measured over.' })
  overSeconds: number;
}

class SlotOutlookDto {
  @ApiProperty({ enum: HEALTH, description: '`lost`: whoever read from it has to begin anew.' })
  health: (typeof HEALTH)[number];

  @ApiProperty({ type: [String], description: 'What keeps it from `ok`.' })
  reasons: string[];

  @ApiProperty({
    type: WalRateDto,
    nullable: true,
    description: 'WAL written on the server lately; null: not observed yet.',
  })
  walRate: WalRateDto | null;

  @ApiProperty({
    enum: LIMITS,
    nullable: true,
    description: 'What limits the WAL it may keep, the nearer of both; null: nothing known.',
  })
  limit: (typeof LIMITS)[number] | null;

  @ApiProperty({ type: Number, nullable: true, description: 'WAL that may still be written before that.' })
  bytesToLimit: number | null;

  @ApiProperty({
    type: Number,
    nullable: true,
    description: 'How long it can stand still from now on, at that rate; null: not known, or no end in sight.',
  })
  secondsToLimit: number | null;
}

export class AdvanceReplicationSlotDto {
  @ApiProperty({ example: '0/1A2B3C4', description: 'What lies before it will never be sent.' })
  @IsString()
  @Matches(/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/, { message: 'must be an LSN such as 0/1A2B3C4' })
  lsn: string;

  @ApiPropertyOptional({
    default: false,
    description:
      'Also where it is kept, or may be, for somebody who will come back for it, and who misses what is skipped.',
  })
  @ValidateIf(present)
  @IsBoolean()
  force?: boolean;
}

export class ReplicationSlotDto {
  @ApiProperty({ example: 'orders_sub' })
  name: string;

  @ApiProperty({ enum: KINDS })
  kind: (typeof KINDS)[number];

  @ApiProperty({ type: String, nullable: true, example: 'pgoutput' })
  plugin: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'orders' })
  database: string | null;

  @ApiProperty({ description: 'It goes with the session that made it.' })
  temporary: boolean;

  @ApiProperty({ description: 'Somebody streams from it.' })
  active: boolean;

  @ApiProperty({ description: 'The server process that streams from it.', type: Number, nullable: true })
  activePid: number | null;

  @ApiProperty({ type: String, nullable: true, example: '0/1A2B3C4' })
  restartLsn: string | null;

  @ApiProperty({ type: String, nullable: true, example: '0/1A2B3C4' })
  confirmedFlushLsn: string | null;

  @ApiProperty({ type: String, nullable: true, description: "End of the server's WAL when the slot was read." })
  currentLsn: string | null;

  @ApiProperty({
    type: Number,
    nullable: true,
    description: 'WAL kept for the slot; null when none is, or it is lost.',
  })
  retainedBytes: number | null;

  @ApiProperty({ enum: WAL_STATES, nullable: true })
  walStatus: (typeof WAL_STATES)[number] | null;

  @ApiProperty({
    type: Number,
    nullable: true,
    description: 'Bytes until the slot is at risk; negative: it is; null: no limit, or lost.',
  })
  safeWalSize: number | null;

  @ApiProperty({ description: 'Transactions since the oldest one whose rows it keeps.', type: Number, nullable: true })
  xminAge: number | null;

  @ApiProperty({
    description: 'Transactions since the oldest one whose catalog rows it keeps.',
    type: Number,
    nullable: true,
  })
  catalogXminAge: number | null;

  @ApiProperty({ type: Boolean, nullable: true, description: 'Null before 14.' })
  twoPhase: boolean | null;

  @ApiProperty({ type: Boolean, nullable: true, description: 'Null before 17.' })
  failover: boolean | null;

  @ApiProperty({
    type: Boolean,
    nullable: true,
    description: 'The copy of a slot of the primary, on a standby; null before 17.',
  })
  synced: boolean | null;

  @ApiProperty({ type: Boolean, nullable: true, description: 'Null before 16, and for physical slots.' })
  conflicting: boolean | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'Null before 17, and while in use.' })
  inactiveSince: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'wal_removed' })
  invalidationReason: string | null;
}

export class ReplicationSlotViewDto extends ReplicationSlotDto {
  @ApiProperty({ type: SlotOwnerDto, nullable: true, description: 'For whom it is kept; null: nobody was found.' })
  owner: SlotOwnerDto | null;

  @ApiProperty({ type: String, nullable: true, description: 'Where was looked, when no owner was found.' })
  ownerReason: string | null;

  @ApiProperty({
    type: [String],
    description:
      'Servers that did not answer when owners were looked for: the slot may be theirs, and without an owner it is dropped or advanced by force only.',
  })
  unanswered: string[];

  @ApiProperty({
    type: Boolean,
    nullable: true,
    description: 'Nobody will read from it any more, and it can be dropped; null: not known.',
  })
  orphan: boolean | null;

  @ApiProperty({ type: SlotReaderDto, nullable: true, description: 'Who streams from it now.' })
  reader: SlotReaderDto | null;

  @ApiProperty({ type: SlotOutlookDto })
  outlook: SlotOutlookDto;
}
