import { ApiProperty } from '@nestjs/swagger';
import type { SequenceHeadroom } from './sequence-headroom.js';
import type { SequenceView } from './sequences.service.js';

const PERSISTENCES = ['permanent', 'unlogged'] as const;
const LIMITS = ['sequence', 'column'] as const;
const nullable = true;

class SequenceOwnerDto {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders', description: 'The table.' })
  name: string;

  @ApiProperty({ example: 'id' })
  column: string;

  @ApiProperty({ example: 'bigint' })
  columnType: string;

  @ApiProperty({ description: 'True: of an identity column; false: of a serial one.' })
  identity: boolean;
}

class SequenceHeadroomDto implements SequenceHeadroom {
  @ApiProperty({ example: '2147482605', description: 'How many more values it hands out before it ends or cycles.' })
  valuesLeft: string;

  @ApiProperty({ example: 0.04, description: 'Of all between its limits; rounded down to hundredths.' })
  percentUsed: number;

  @ApiProperty({ example: '2147483647', description: 'Of the sequence, or of its column if that takes less.' })
  lastPossible: string;

  @ApiProperty({
    enum: LIMITS,
    description: '`column`: the column it belongs to is narrower, so that inserts fail before the sequence ends.',
  })
  limitedBy: (typeof LIMITS)[number];
}

export class SequenceDto implements SequenceView {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders_id_seq' })
  name: string;

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

  @ApiProperty({ type: String, nullable, example: '1042', description: 'Null: not known, see `reason`.' })
  lastValue: string | null;

  @ApiProperty({ type: Boolean, nullable, description: 'False: `lastValue` was not handed out yet.' })
  isCalled: boolean | null;

  @ApiProperty({ description: 'Why its position is not known.', type: String, nullable })
  reason: string | null;

  @ApiProperty({ type: SequenceHeadroomDto, nullable, description: 'Null: not known, see `reason`.' })
  headroom: SequenceHeadroomDto | null;

  @ApiProperty({ description: 'Whether the login may set it.' })
  settable: boolean;

  @ApiProperty({
    type: String,
    nullable,
    example: 'grant update on sequence "public"."orders_id_seq" to "lockstep";',
    description: 'What lets the login set it; null where it may.',
  })
  settableBy: string | null;

  @ApiProperty({ description: 'The column it belongs to; null: none.', type: SequenceOwnerDto, nullable })
  ownedBy: SequenceOwnerDto | null;
}
