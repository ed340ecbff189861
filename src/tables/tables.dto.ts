import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type as Convert } from 'class-transformer';
import { IsIn, IsInt, IsOptional, Max, Min, ValidateIf } from 'class-validator';
import { IsIdentifier } from '../api/name-param.js';
import { PageQuery } from '../api/page.js';
import type { IdentityIndex } from '../postgres/catalog/table-indexes.js';
import { PlanDto } from '../changes/plan.dto.js';
import { COMBINATION_RULES, type RuleName } from '../postgres/ddl/options/combination-rules.js';
import type { IdentityWarning } from './tables.service.js';
import type { TableWrites, WriteRate } from './write-rates.js';

const RULES = Object.keys(COMBINATION_RULES) as RuleName[];
const IDENTITIES = ['default', 'full', 'index', 'nothing'] as const;
const TABLE_KINDS = ['table', 'partitioned', 'foreign', 'materialized-view'] as const;
const PERSISTENCES = ['permanent', 'unlogged'] as const;

const RATE = {
  type: 'integer',
  minimum: 1,
  maximum: 10,
  description:
    'Reads the write counters twice, so many seconds apart, and tells the rates. Sessions report what they wrote at ' +
    'most once a second, when their transaction has ended: short times are rough.',
} as const;

export class TableQuery {
  @ApiPropertyOptional(RATE)
  @IsOptional()
  @Convert(() => Number)
  @IsInt()
  @Min(1)
  @Max(10)
  rateSeconds?: number;
}

export class TablesQuery extends PageQuery {
  @ApiPropertyOptional(RATE)
  @IsOptional()
  @Convert(() => Number)
  @IsInt()
  @Min(1)
  @Max(10)
  rateSeconds?: number;
}

export class SetReplicaIdentityDto {
  @ApiProperty({ enum: IDENTITIES, example: 'index', description: '`default`: the primary key.' })
  @IsIn(IDENTITIES)
  kind: (typeof IDENTITIES)[number];

  @ApiPropertyOptional({ example: 'orders_number_key', description: 'With kind `index` only, and needed there.' })
  @ValidateIf(({ kind }: SetReplicaIdentityDto, value) => kind === 'index' || value !== undefined)
  @IsIdentifier()
  index?: string;
}

export class TableNameDto {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  name: string;
}

class IdentityIndexDto implements IdentityIndex {
  @ApiProperty({ example: 'orders_number_key' })
  name: string;

  @ApiProperty({ description: 'What `default` stands for.' })
  primaryKey: boolean;

  @ApiProperty({
    type: 'array',
    items: { type: 'string', nullable: true },
    example: ['number'],
    description: 'Of its key, in order; null: an expression.',
  })
  columns: (string | null)[];

  @ApiProperty({ description: 'Whether it can be the replica identity.' })
  fit: boolean;

  @ApiProperty({ type: String, nullable: true, example: 'nullable: "number"', description: 'Why it cannot.' })
  reason: string | null;
}

export class ReplicaIdentityDto {
  @ApiProperty({ enum: IDENTITIES })
  kind: (typeof IDENTITIES)[number];

  @ApiProperty({ type: String, nullable: true, example: 'orders_pkey' })
  index: string | null;

  @ApiProperty({ description: 'False: UPDATE and DELETE fail once they are published.' })
  usable: boolean;

  @ApiProperty({ type: [IdentityIndexDto], description: 'Every index of the table, by name.' })
  indexes: IdentityIndexDto[];
}

class WriteRateDto implements WriteRate {
  @ApiProperty({ example: 12.5 })
  inserted: number;

  @ApiProperty({ example: 3 })
  updated: number;

  @ApiProperty({ example: 0 })
  deleted: number;

  @ApiProperty({ example: 5.003, description: "Between the two readings, by the server's clock." })
  overSeconds: number;
}

class TableWritesDto implements TableWrites {
  @ApiProperty({ type: Number, nullable: true, description: 'Rows, also those of transactions rolled back.' })
  inserted: number | null;

  @ApiProperty({ type: Number, nullable: true, description: 'Rows.' })
  updated: number | null;

  @ApiProperty({ type: Number, nullable: true, description: 'Rows.' })
  deleted: number | null;

  @ApiProperty({
    type: Date,
    nullable: true,
    description: 'When the statistics of the database were last reset; null: never, or not known.',
  })
  since: Date | null;

  @ApiProperty({ type: WriteRateDto, nullable: true, description: 'Null: not known, see `reason`.' })
  perSecond: WriteRateDto | null;

  @ApiProperty({ type: String, nullable: true, description: 'Why something of this is not known.' })
  reason: string | null;
}

export class TableDto extends TableNameDto {
  @ApiProperty({ enum: TABLE_KINDS })
  kind: (typeof TABLE_KINDS)[number];

  @ApiProperty({ enum: PERSISTENCES })
  persistence: (typeof PERSISTENCES)[number];

  @ApiProperty({ description: 'The partitioned table it is a partition of.', type: TableNameDto, nullable: true })
  partitionOf: TableNameDto | null;

  @ApiProperty({ type: ReplicaIdentityDto })
  replicaIdentity: ReplicaIdentityDto;

  @ApiProperty({ type: String, nullable: true, example: 'orders_pkey' })
  primaryKey: string | null;

  @ApiProperty({ type: Number, nullable: true, description: "The planner's estimate; null: never analyzed." })
  rowsEstimate: number | null;

  @ApiProperty({
    type: Number,
    nullable: true,
    description: 'With indexes and TOAST; null while somebody locks the table.',
  })
  totalBytes: number | null;

  @ApiProperty({ type: Number, nullable: true, description: 'Of `totalBytes`, the rows with their TOAST.' })
  tableBytes: number | null;

  @ApiProperty({ type: Number, nullable: true, description: 'Of `totalBytes`, the indexes.' })
  indexBytes: number | null;

  @ApiProperty({ type: TableWritesDto, description: 'What was written to it on this server.' })
  writes: TableWritesDto;

  @ApiProperty({ description: 'It belongs to an extension, which creates it on every server itself.' })
  ofExtension: boolean;

  @ApiProperty({ description: 'Whether it can be published at all.' })
  replicable: boolean;

  @ApiProperty({ type: String, nullable: true, description: 'What is in the way of replicating it, or its updates.' })
  reason: string | null;
}

class IdentityWarningDto implements IdentityWarning {
  @ApiProperty({ enum: RULES, example: 'identity-usable', description: 'The rule of docs/options.md it is about.' })
  rule: RuleName;

  @ApiProperty({ description: 'What fails from then on, which publications send it, and what to do instead.' })
  detail: string;
}

export class IdentifiedTableDto extends TableDto {
  @ApiProperty({ type: [IdentityWarningDto], description: 'What should be known; nothing is refused for it.' })
  warnings: IdentityWarningDto[];
}

/** The answer to `?dryRun=true`. */
export class IdentityPlanDto extends PlanDto {
  @ApiProperty({ type: [IdentityWarningDto], description: 'What should be known; nothing is refused for it.' })
  warnings: IdentityWarningDto[];
}
