import { ApiExtraModels, ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  ArrayUnique,
  IsArray,
  IsBoolean,
  IsDefined,
  IsIn,
  IsOptional,
  IsString,
  MaxLength,
  MinLength,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import { IsIdentifier } from '../api/name-param.js';
import { PlanDto } from '../changes/plan.dto.js';
import { COMBINATION_RULES, type RuleName } from '../postgres/ddl/options/combination-rules.js';
import type { PublicationTargetSpec } from '../postgres/ddl/publication-spec.js';

import type { EffectiveTable, PublicationWarning, WriteFailure } from './publication-warnings.js';

const OPERATIONS = ['insert', 'update', 'delete', 'truncate'] as const;
type Operation = (typeof OPERATIONS)[number];
const GENERATED = ['none', 'stored'] as const;
const REPLICA_IDENTITIES = ['default', 'full', 'index', 'nothing'] as const;
const KINDS = ['allTables', 'schemas', 'tables'] as const;

const RULES = Object.keys(COMBINATION_RULES) as RuleName[];

/** Values given as null are refused where leaving the field out means "unchanged". */
const present = (_object: unknown, value: unknown) => value !== undefined;

export class PublicationTableDto {
  @ApiProperty({ example: 'public' })
  @IsIdentifier()
  schema: string;

  @ApiProperty({ example: 'orders' })
  @IsIdentifier()
  name: string;

  @ApiPropertyOptional({
    type: [String],
    nullable: true,
    example: ['id', 'total'],
    description:
      'Columns sent (15 and newer); null or absent: all. Must hold the replica identity if updates or deletes are published.',
  })
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayUnique()
  @IsIdentifier({ each: true })
  columns?: string[] | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    example: 'total > 0',
    description:
      'Row filter (15 and newer); null or absent: every row. Names outside pg_catalog are written with their schema.',
  })
  @IsOptional()
  @IsString()
  @MinLength(1)
  @MaxLength(10_000)
  where?: string | null;
}

export class PublicationTargetDto {
  @ApiProperty({ enum: KINDS, example: 'tables', description: '`schemas` needs 15 or newer.' })
  @IsIn(KINDS)
  kind: (typeof KINDS)[number];

  @ApiPropertyOptional({ type: [String], example: ['sales'], description: 'Only, and needed, with kind `schemas`.' })
  @ValidateIf(({ kind }: PublicationTargetDto, value) => kind === 'schemas' || value !== undefined)
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(10_000)
  @ArrayUnique()
  @IsIdentifier({ each: true })
  schemas?: string[];

  @ApiPropertyOptional({
    type: [PublicationTableDto],
    description:
      'Exactly these tables (`ONLY`): partitions come with their root, inheritance children do not. Needed with kind `tables`.',
  })
  @ValidateIf(({ kind }: PublicationTargetDto, value) => kind === 'tables' || value !== undefined)
  @IsArray()
  @ArrayMaxSize(10_000)
  @ValidateNested({ each: true })
  @Type(() => PublicationTableDto)
  tables?: PublicationTableDto[];
}

class PublicationOptionsDto {
  @ApiPropertyOptional({ enum: OPERATIONS, isArray: true, example: ['insert', 'update', 'delete', 'truncate'] })
  @ValidateIf(present)
  @IsArray()
  @ArrayUnique()
  @IsIn(OPERATIONS, { each: true })
  publish?: Operation[];

  @ApiPropertyOptional({ description: 'Send changes of partitions under the name of the partitioned table.' })
  @ValidateIf(present)
  @IsBoolean()
  viaPartitionRoot?: boolean;

  @ApiPropertyOptional({ enum: GENERATED, description: '`stored` needs 18.' })
  @ValidateIf(present)
  @IsIn(GENERATED)
  generatedColumns?: (typeof GENERATED)[number];
}

export class CreatePublicationDto extends PublicationOptionsDto {
  @ApiProperty({ example: 'orders_pub' })
  @IsIdentifier()
  name: string;

  @ApiProperty({ type: PublicationTargetDto })
  @IsDefined()
  @ValidateNested()
  @Type(() => PublicationTargetDto)
  target: PublicationTargetDto;
}

export class PublicationTableNameDto {
  @ApiProperty({ example: 'public' })
  @IsIdentifier()
  schema: string;

  @ApiProperty({ example: 'orders' })
  @IsIdentifier()
  name: string;
}

/** Edits of the list: everything not named stays. All of a request in one transaction. */
class PublicationEditsDto extends PublicationOptionsDto {
  @ApiPropertyOptional({
    type: [PublicationTableDto],
    description:
      'Tables to add. One that is listed already is refused with 409 unless it is listed with these columns and this filter.',
  })
  @ValidateIf(present)
  @IsArray()
  @ArrayMaxSize(10_000)
  @ValidateNested({ each: true })
  @Type(() => PublicationTableDto)
  addTables?: PublicationTableDto[];

  @ApiPropertyOptional({
    type: [PublicationTableDto],
    description:
      'Tables to list with these columns and this filter, in place of what they are listed with now, if any.',
  })
  @ValidateIf(present)
  @IsArray()
  @ArrayMaxSize(10_000)
  @ValidateNested({ each: true })
  @Type(() => PublicationTableDto)
  setTables?: PublicationTableDto[];

  @ApiPropertyOptional({
    type: [PublicationTableNameDto],
    description: 'Tables to take out. One that is not listed is refused with 409.',
  })
  @ValidateIf(present)
  @IsArray()
  @ArrayMaxSize(10_000)
  @ValidateNested({ each: true })
  @Type(() => PublicationTableNameDto)
  removeTables?: PublicationTableNameDto[];

  @ApiPropertyOptional({ type: [String], example: ['sales'], description: 'Schemas to add (15 and newer).' })
  @ValidateIf(present)
  @IsArray()
  @ArrayMaxSize(10_000)
  @ArrayUnique()
  @IsIdentifier({ each: true })
  addSchemas?: string[];

  @ApiPropertyOptional({
    type: [String],
    example: ['archive'],
    description: 'Schemas to take out. One that is not listed is refused with 409.',
  })
  @ValidateIf(present)
  @IsArray()
  @ArrayMaxSize(10_000)
  @ArrayUnique()
  @IsIdentifier({ each: true })
  removeSchemas?: string[];
}

export class PatchPublicationDto extends PublicationEditsDto {
  @ApiPropertyOptional({ example: 'orders_pub_2', description: 'A new name. Subscriptions must be told it.' })
  @ValidateIf(present)
  @IsIdentifier()
  name?: string;

  @ApiPropertyOptional({ example: 'replication_admin' })
  @ValidateIf(present)
  @IsIdentifier()
  owner?: string;

  @ApiPropertyOptional({
    type: PublicationTargetDto,
    description: 'The whole new list; excludes the edits. Tables that stay the same are not touched.',
  })
  @ValidateIf(present)
  @ValidateNested()
  @Type(() => PublicationTargetDto)
  target?: PublicationTargetDto;

  @ApiPropertyOptional({
    type: 'array',
    items: { type: 'object' },
    description: 'Ignored: what was answered can be changed and sent back whole.',
  })
  @IsOptional()
  @IsArray()
  warnings?: unknown[];
}

@ApiExtraModels(PublicationTargetDto)
export class PublicationDto {
  @ApiProperty({ example: 'orders_pub' })
  name: string;

  @ApiProperty({ example: 'postgres' })
  owner: string;

  @ApiProperty({ type: PublicationTargetDto })
  target: PublicationTargetSpec;

  @ApiProperty({ enum: OPERATIONS, isArray: true })
  publish: Operation[];

  @ApiProperty({ description: 'Changes of partitions are sent under the name of the partitioned table.' })
  viaPartitionRoot: boolean;

  @ApiProperty({ enum: GENERATED })
  generatedColumns: (typeof GENERATED)[number];
}

export class PublicationWarningDto implements PublicationWarning {
  @ApiProperty({ enum: RULES, example: 'identity-usable', description: 'The rule of docs/options.md it is about.' })
  rule: RuleName;

  @ApiProperty({ example: 'UPDATE and DELETE of "public"."events" fail on the publisher while they are published.' })
  detail: string;

  @ApiProperty({ example: 1, description: 'How many tables it is about.' })
  tableCount: number;

  @ApiProperty({ type: [PublicationTableNameDto], description: 'The first 100 of them.' })
  tables: PublicationTableNameDto[];

  @ApiProperty({
    type: [String],
    example: ['alter table "public"."events" replica identity full;'],
    description: 'SQL for the publisher that mends it, the first 100 statements; empty where SQL alone does not.',
  })
  fix: string[];
}

export class PublicationDetailDto extends PublicationDto {
  @ApiProperty({ type: [PublicationWarningDto], description: 'What should be known; nothing is refused for it.' })
  warnings: PublicationWarningDto[];
}

/** The answer to `?dryRun=true`. */
export class PublicationPlanDto extends PlanDto {
  @ApiProperty({
    type: [PublicationWarningDto],
    description: 'Those of the publication as it would be. It was tried in a transaction that was rolled back.',
  })
  warnings: PublicationWarningDto[];
}

export class WriteFailureDto implements WriteFailure {
  @ApiProperty({ enum: RULES, example: 'identity-usable', description: 'The rule of docs/options.md that is broken.' })
  rule: RuleName;

  @ApiProperty({ example: 'no replica identity: "public"."events"' })
  detail: string;
}

export class EffectiveTableDto implements EffectiveTable {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  name: string;

  @ApiProperty({ type: [String], example: ['id', 'total'], description: 'Every column that is sent.' })
  columns: string[];

  @ApiProperty({ type: String, nullable: true, example: '(total > 0)' })
  where: string | null;

  @ApiProperty({ enum: OPERATIONS, isArray: true })
  operations: Operation[];

  @ApiProperty({ enum: REPLICA_IDENTITIES })
  replicaIdentity: (typeof REPLICA_IDENTITIES)[number];

  @ApiProperty({ description: 'Its UPDATEs and DELETEs can be published.' })
  replicaIdentityUsable: boolean;

  @ApiProperty({
    type: [String],
    example: ['id'],
    description: 'Columns by which UPDATE and DELETE tell the row; of a partitioned table those of any partition.',
  })
  identityColumns: string[];

  @ApiProperty({ description: 'UPDATE or DELETE of this table fails on the publisher as things stand.' })
  updatesFail: boolean;

  @ApiProperty({ enum: ['update', 'delete'], isArray: true, description: 'What fails on the publisher.' })
  failing: ('update' | 'delete')[];

  @ApiProperty({ type: [WriteFailureDto], description: 'Why it fails; empty when nothing does.' })
  failures: WriteFailureDto[];

  @ApiProperty({
    type: [String],
    example: [],
    description:
      'Columns that subscribers cannot compare (of json or point, for example), where the replica identity is full, or nothing else could be set: applying fails where the table has no key. Give it a primary key or a unique index on NOT NULL columns.',
  })
  incomparableColumns: string[];

  @ApiProperty({
    type: [String],
    example: ['alter table "public"."orders" replica identity full;'],
    description:
      'SQL for the publisher after which its UPDATEs and DELETEs work; empty where nothing fails, or where no replica identity would do with the publication as it is.',
  })
  fix: string[];
}
