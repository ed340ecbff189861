import { ApiProperty, ApiPropertyOptional, OmitType } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayUnique,
  IsArray,
  IsBoolean,
  IsDefined,
  IsIn,
  IsInt,
  IsObject,
  IsOptional,
  Matches,
  Max,
  Min,
  ValidateNested,
} from 'class-validator';
import { IsIdentifier } from '../api/name-param.js';
import { NotAvailableYet } from '../api/not-available-yet.js';
import { ROLLBACK_VERIFICATIONS, type RollbackVerification } from './facts.js';
import { GATES, type Gate } from './upgrade-request.js';

const RESERVED_TRAFFIC = ['pgbouncer', 'haproxy', 'webhook', 'manual'];

class UpgradeEndDto {
  @ApiProperty({ example: 'orders-14', description: 'Name of a registered server.' })
  @IsIdentifier()
  server: string;

  @ApiProperty({ example: 'orders' })
  @IsIdentifier()
  database: string;
}

class CopyDto {
  @NotAvailableYet('#/copy/method', ['snapshot'])
  @ApiPropertyOptional({
    enum: ['tablesync', 'snapshot'],
    default: 'tablesync',
    description: '`snapshot` is not available yet.',
  })
  @IsOptional()
  @IsIn(['tablesync'])
  method?: 'tablesync';

  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: 64, description: 'For method `snapshot`.' })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(64)
  parallel?: number;
}

class VerificationOptionsDto {
  @ApiPropertyOptional({
    default: true,
    description: 'False: a difference found is reported, and does not stop the upgrade.',
  })
  @IsOptional()
  @IsBoolean()
  required?: boolean;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: 16,
    default: 2,
    description: 'Tables compared at a time.',
  })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(16)
  maxParallel?: number;
}

class TrafficDto {
  @NotAvailableYet('#/traffic/kind', RESERVED_TRAFFIC)
  @ApiProperty({
    enum: ['sql-fence', ...RESERVED_TRAFFIC],
    example: 'sql-fence',
    description: 'Only `sql-fence` is available yet; the others are answered 422.',
  })
  @IsIn(['sql-fence'])
  kind: 'sql-fence';
}

class DeadlinesDto {
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 100,
    maximum: 600_000,
    default: 5000,
    description: 'For ending the writers’ sessions, in ms.',
  })
  @IsOptional()
  @IsInt()
  @Min(100)
  @Max(600_000)
  fenceMs?: number;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 100,
    maximum: 3_600_000,
    default: 30_000,
    description: 'For the last changes to arrive, in ms.',
  })
  @IsOptional()
  @IsInt()
  @Min(100)
  @Max(3_600_000)
  drainMs?: number;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 100,
    maximum: 3_600_000,
    default: 60_000,
    description: 'For creating the replication slot, which waits for running transactions, in ms.',
  })
  @IsOptional()
  @IsInt()
  @Min(100)
  @Max(3_600_000)
  slotMs?: number;
}

/** Body of POST /v1/upgrades/preflight, and all of POST /v1/upgrades but the name's being required. */
export class CreateUpgradeDto {
  @ApiProperty({ maxLength: 63, example: 'orders-14-to-18', description: 'Any characters, at most 63 bytes.' })
  @IsIdentifier()
  @Matches(/^(?!\.{1,2}$)/, { message: 'must not be "." or "..", which paths cannot carry' })
  name: string;

  @ApiProperty({ type: UpgradeEndDto })
  @IsDefined()
  // A list would pass as nested objects.
  @IsObject()
  @ValidateNested()
  @Type(() => UpgradeEndDto)
  source: UpgradeEndDto;

  @ApiProperty({ type: UpgradeEndDto, description: 'An existing, empty database.' })
  @IsDefined()
  @IsObject()
  @ValidateNested()
  @Type(() => UpgradeEndDto)
  target: UpgradeEndDto;

  @ApiPropertyOptional({ type: CopyDto })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => CopyDto)
  copy?: CopyDto;

  @ApiPropertyOptional({ type: VerificationOptionsDto })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => VerificationOptionsDto)
  verification?: VerificationOptionsDto;

  @ApiProperty({ type: TrafficDto })
  @IsDefined()
  @IsObject()
  @ValidateNested()
  @Type(() => TrafficDto)
  traffic: TrafficDto;

  @ApiPropertyOptional({
    type: [String],
    example: ['app'],
    description: 'Roles to bar; default: every role found able to write.',
  })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(1000)
  @ArrayUnique()
  @IsIdentifier({ each: true })
  writerRoles?: string[];

  @ApiPropertyOptional({
    type: Object,
    example: { app: '…' },
    writeOnly: true,
    description: 'Passwords of roles whose verifiers the source’s login may not read. Stored encrypted, never shown.',
  })
  @IsOptional()
  @IsObject()
  writerPasswords?: Record<string, string>;

  @ApiPropertyOptional({
    enum: GATES,
    isArray: true,
    default: ['switchover'],
    description: 'Where the upgrade waits for approval.',
  })
  @IsOptional()
  @IsArray()
  @ArrayUnique()
  @IsIn(GATES, { each: true })
  gates?: Gate[];

  @ApiPropertyOptional({ type: DeadlinesDto })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => DeadlinesDto)
  deadlines?: DeadlinesDto;

  @ApiPropertyOptional({
    enum: ['require', 'full-where-missing'],
    default: 'require',
    description: 'What to do with tables that have no replica identity: block, or make it FULL (undone on abort).',
  })
  @IsOptional()
  @IsIn(['require', 'full-where-missing'])
  replicaIdentity?: 'require' | 'full-where-missing';
}

/** As for starting an upgrade; the name may be left out. */
export class PreflightDto extends OmitType(CreateUpgradeDto, ['name'] as const) {
  @ApiPropertyOptional({ example: 'orders-14-to-18' })
  @IsOptional()
  @IsIdentifier()
  name?: string;
}

export class ApproveDto {
  @ApiProperty({ enum: GATES, example: 'switchover' })
  @IsIn(GATES)
  gate: Gate;
}

export class AbortDto {
  @ApiPropertyOptional({
    enum: ['source', 'target'],
    description:
      'A side that is lost or stays out of reach: nothing is done there, and the result names what was left. The other side is put back as usual; but without its source the target keeps the tables, rows and roles that it was given, since they may be the only copy, and its writers may log in. Also takes the place of an abort that waits for that side.',
  })
  @IsOptional()
  @IsIn(['source', 'target'])
  leave?: 'source' | 'target';
}

export class RollbackDto {
  @ApiPropertyOptional({
    enum: ROLLBACK_VERIFICATIONS,
    default: 'before',
    description:
      '`before`: both sides are verified while the target is still written to, and inside the fence every key written since is compared; a difference keeps the rollback back with the target as it was. `after`: nothing is read through first, for when every second counts; equality is shown after the source was opened. A rollback that is still verifying can be asked again with `after`, and goes on at once.',
  })
  @IsOptional()
  @IsIn(ROLLBACK_VERIFICATIONS)
  verification?: RollbackVerification;

  @ApiPropertyOptional({
    enum: ['source'],
    description:
      'For a source that is lost when it was to be opened, with nobody able to write on either side: the target is opened again and nothing is done on the source; the phase is `switched`. Also takes the place of a rollback that still waits for the source. Should it come back, `rollback` brings everything written since; else `finalize`.',
  })
  @IsOptional()
  @IsIn(['source'])
  leave?: 'source';
}
