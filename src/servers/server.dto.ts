import { ApiProperty } from '@nestjs/swagger';
import { ProblemDto } from '../problems/problem.dto.js';
import { AdvertisedTlsDto, TlsDto } from './servers.dto.js';

class HeadroomDto {
  @ApiProperty({ type: 'integer', example: 10 })
  max: number;

  @ApiProperty({ type: 'integer', example: 3 })
  used: number;

  @ApiProperty({ type: 'integer', example: 7 })
  free: number;
}

class HeadroomsDto {
  @ApiProperty({ type: HeadroomDto })
  replicationSlots: HeadroomDto;

  @ApiProperty({ type: HeadroomDto })
  walSenders: HeadroomDto;

  @ApiProperty({ type: HeadroomDto, description: 'Apply and table-sync workers, of max_logical_replication_workers.' })
  logicalWorkers: HeadroomDto;

  @ApiProperty({ type: HeadroomDto })
  connections: HeadroomDto;

  @ApiProperty({ type: HeadroomDto })
  preparedTransactions: HeadroomDto;
}

class MissingPrivilegeDto {
  @ApiProperty({ example: 'pg_monitor' })
  privilege: string;

  @ApiProperty({ example: 'settings, sessions and replication state of other roles' })
  neededFor: string;

  @ApiProperty({ example: 'grant pg_monitor to "lockstep"', description: 'To be run by an administrator.' })
  grant: string;
}

class ServerWarningDto {
  @ApiProperty({ example: 'WAL_LEVEL' })
  code: string;

  @ApiProperty({ example: 'wal_level is replica: this server cannot publish' })
  detail: string;

  @ApiProperty({ description: 'What to do about it.', required: false })
  hint?: string;
}

export class ServerDto {
  @ApiProperty({ example: 'orders-14' })
  name: string;

  @ApiProperty({ example: '127.0.0.1' })
  host: string;

  @ApiProperty({ type: 'integer', example: 5414 })
  port: number;

  @ApiProperty({ example: 'postgres' })
  user: string;

  @ApiProperty({ example: 'postgres' })
  database: string;

  @ApiProperty({ type: TlsDto })
  tls: TlsDto;

  @ApiProperty({ description: 'Where other servers reach it, if elsewhere than `host`.', type: String, nullable: true })
  advertisedHost: string | null;

  @ApiProperty({ description: 'As `advertisedHost`, for the port.', type: 'integer', nullable: true })
  advertisedPort: number | null;

  @ApiProperty({
    description: 'TLS of other servers’ connections to it, if other than `tls`.',
    type: AdvertisedTlsDto,
    nullable: true,
  })
  advertisedTls: AdvertisedTlsDto | null;

  @ApiProperty({
    type: Number,
    nullable: true,
    description: 'Bytes of WAL that a slot may keep here before the disk is in danger.',
  })
  walBudgetBytes: number | null;

  @ApiProperty({ description: 'Whether the last look at the server, at `checkedAt`, succeeded.' })
  reachable: boolean;

  @ApiProperty({ format: 'date-time' })
  checkedAt: string;

  @ApiProperty({ type: ProblemDto, nullable: true, description: 'Why the last look failed.' })
  problem: ProblemDto | null;

  @ApiProperty({ format: 'date-time', description: 'When the facts below were seen.' })
  factsAt: string;

  @ApiProperty({ example: '14.23' })
  version: string;

  @ApiProperty({ type: 'integer', example: 140023 })
  versionNum: number;

  @ApiProperty({ example: '7301234567890123456', description: '64 bits, so text.' })
  systemIdentifier: string;

  @ApiProperty({ type: 'integer', nullable: true, example: 1, description: 'Null where a standby cannot tell.' })
  timeline: number | null;

  @ApiProperty({ example: false })
  inRecovery: boolean;

  @ApiProperty({ example: 'logical' })
  walLevel: string;

  @ApiProperty({
    type: String,
    nullable: true,
    enum: [
      'aws-aurora',
      'aws-rds',
      'google-alloydb',
      'google-cloud-sql',
      'azure-flexible-server',
      'cloudnative-pg',
      'patroni',
      null,
    ],
    description: 'Who runs the server; null unless it is certain.',
  })
  provider: string | null;

  @ApiProperty({
    type: 'object',
    additionalProperties: {
      type: 'object',
      properties: {
        value: { type: 'string' },
        unit: { type: 'string', nullable: true },
        pendingRestart: { type: 'boolean' },
      },
    },
    description: 'Settings that decide what replication can do. One the login may not see is absent.',
  })
  settings: Record<string, { value: string; unit: string | null; pendingRestart: boolean }>;

  @ApiProperty({ type: HeadroomsDto })
  headroom: HeadroomsDto;

  @ApiProperty({ description: 'Whether the login is one.' })
  superuser: boolean;

  @ApiProperty({ type: [MissingPrivilegeDto], description: 'What the login cannot do, and the grants that cure it.' })
  missingPrivileges: MissingPrivilegeDto[];

  @ApiProperty({ type: [ServerWarningDto] })
  warnings: ServerWarningDto[];

  @ApiProperty({ format: 'date-time' })
  createdAt: string;

  @ApiProperty({ format: 'date-time' })
  updatedAt: string;
}

export class DatabaseDto {
  @ApiProperty({ example: 'orders' })
  name: string;

  @ApiProperty({ example: 'app' })
  owner: string;

  @ApiProperty({ example: 'UTF8' })
  encoding: string;

  @ApiProperty({ example: 'C.UTF-8' })
  collate: string;

  @ApiProperty({ example: 'C.UTF-8' })
  ctype: string;

  @ApiProperty({ enum: ['libc', 'icu', 'builtin'] })
  localeProvider: 'libc' | 'icu' | 'builtin';

  @ApiProperty({ description: 'Nobody can connect to one that does not.' })
  allowsConnections: boolean;

  @ApiProperty({ description: 'Anybody with CREATEDB may copy it.' })
  isTemplate: boolean;

  @ApiProperty({ type: 'integer', nullable: true, description: 'Null: no limit.' })
  connectionLimit: number | null;

  @ApiProperty({ type: 'integer', nullable: true, description: 'Null where the login may not ask.' })
  sizeBytes: number | null;
}
