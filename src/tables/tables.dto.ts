import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, ValidateIf } from 'class-validator';
import { IsIdentifier } from '../api/name-param.js';

const IDENTITIES = ['default', 'full', 'index', 'nothing'] as const;
const TABLE_KINDS = ['table', 'partitioned', 'foreign', 'materialized-view'] as const;
const PERSISTENCES = ['permanent', 'unlogged'] as const;

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

export class ReplicaIdentityDto {
  @ApiProperty({ enum: IDENTITIES })
  kind: (typeof IDENTITIES)[number];

  @ApiProperty({ type: String, nullable: true, example: 'orders_pkey' })
  index: string | null;

  @ApiProperty({ description: 'False: UPDATE and DELETE fail once they are published.' })
  usable: boolean;
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

  @ApiProperty({ description: 'It belongs to an extension, which creates it on every server itself.' })
  ofExtension: boolean;

  @ApiProperty({ description: 'Whether it can be published at all.' })
  replicable: boolean;

  @ApiProperty({ type: String, nullable: true, description: 'What is in the way of replicating it, or its updates.' })
  reason: string | null;
}

export class SequenceOwnerDto extends TableNameDto {
  @ApiProperty({ example: 'id' })
  column: string;

  @ApiProperty({ description: 'True: of an identity column; false: of a serial one.' })
  identity: boolean;
}

export class SequenceDto extends TableNameDto {
  @ApiProperty({ example: 'bigint' })
  dataType: string;

  @ApiProperty({ enum: PERSISTENCES })
  persistence: (typeof PERSISTENCES)[number];

  @ApiProperty({ example: '1', description: 'Values are text: they may pass what a JSON number holds exactly.' })
  start: string;

  @ApiProperty({ example: '1' })
  increment: string;

  @ApiProperty({ example: '1' })
  minimum: string;

  @ApiProperty({ example: '9223372036854775807' })
  maximum: string;

  @ApiProperty({ description: 'It begins again after its last value.' })
  cycles: boolean;

  @ApiProperty({ example: '1' })
  cacheSize: string;

  @ApiProperty({ type: String, nullable: true, example: '1042', description: 'Null: not known, see `reason`.' })
  lastValue: string | null;

  @ApiProperty({ type: Boolean, nullable: true, description: 'False: `lastValue` was not handed out yet.' })
  isCalled: boolean | null;

  @ApiProperty({ description: 'Why its position is not known.', type: String, nullable: true })
  reason: string | null;

  @ApiProperty({ description: 'The column it belongs to; null: none.', type: SequenceOwnerDto, nullable: true })
  ownedBy: SequenceOwnerDto | null;
}
