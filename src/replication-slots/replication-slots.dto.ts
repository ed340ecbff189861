import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsIn, IsInt, IsOptional, IsString, Matches, Max, Min, ValidateIf } from 'class-validator';
import { IsIdentifier } from '../api/name-param.js';

const KINDS = ['logical', 'physical'] as const;
const WAL_STATES = ['reserved', 'extended', 'unreserved', 'lost'] as const;
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

export class AdvanceReplicationSlotDto {
  @ApiProperty({ example: '0/1A2B3C4', description: 'What lies before it will never be sent.' })
  @IsString()
  @Matches(/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/, { message: 'must be an LSN such as 0/1A2B3C4' })
  lsn: string;
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

  @ApiProperty({ type: Boolean, nullable: true, description: 'Null before 17.' })
  synced: boolean | null;

  @ApiProperty({ type: Boolean, nullable: true, description: 'Null before 16, and for physical slots.' })
  conflicting: boolean | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'Null before 17, and while in use.' })
  inactiveSince: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'wal_removed' })
  invalidationReason: string | null;
}
