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
import type { PublicationTargetSpec } from '../postgres/ddl/publication.ddl.js';

const OPERATIONS = ['insert', 'update', 'delete', 'truncate'] as const;
type Operation = (typeof OPERATIONS)[number];
const GENERATED = ['none', 'stored'] as const;
const REPLICA_IDENTITIES = ['default', 'full', 'index', 'nothing'] as const;
const KINDS = ['allTables', 'schemas', 'tables'] as const;

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

export class PatchPublicationDto extends PublicationOptionsDto {
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
    description: 'The whole new list. Tables that stay the same are not touched.',
  })
  @ValidateIf(present)
  @ValidateNested()
  @Type(() => PublicationTargetDto)
  target?: PublicationTargetDto;
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

export class EffectiveTableDto {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  name: string;

  @ApiProperty({ type: [String], description: 'Every column that is sent.' })
  columns: string[];

  @ApiProperty({ type: String, nullable: true, example: '(total > 0)' })
  where: string | null;

  @ApiProperty({ enum: OPERATIONS, isArray: true })
  operations: Operation[];

  @ApiProperty({ enum: REPLICA_IDENTITIES })
  replicaIdentity: (typeof REPLICA_IDENTITIES)[number];

  @ApiProperty({ description: 'Its UPDATEs and DELETEs can be published.' })
  replicaIdentityUsable: boolean;

  @ApiProperty({ description: 'UPDATE and DELETE of this table fail on the publisher as things stand.' })
  updatesFail: boolean;
}
