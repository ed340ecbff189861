import { ApiProperty } from '@nestjs/swagger';
import type { CleanUp, OrphanedSlot } from './left-slots.service.js';

const STATES = ['orphan', 'in-use', 'unknown'] as const;
const nullable = true;

class OrphanedSlotPublisherDto {
  @ApiProperty({ type: String, nullable, example: 'orders-14', description: 'Null: not a registered server.' })
  server: string | null;

  @ApiProperty({ type: String, nullable, description: 'By the connection string of the subscription.' })
  host: string | null;

  @ApiProperty({ type: String, nullable, description: 'By the connection string of the subscription.' })
  port: string | null;

  @ApiProperty({ type: String, nullable, example: 'orders' })
  database: string | null;
}

class OrphanedSlotSubscriberDto {
  @ApiProperty({ example: 'orders-18' })
  server: string;

  @ApiProperty({ example: 'orders' })
  database: string;

  @ApiProperty({ example: 'orders_sub', description: 'The subscription that was dropped.' })
  subscription: string;
}

export class SlotCleanUpDto implements CleanUp {
  @ApiProperty({ enum: ['DELETE'], nullable, description: 'Null: the publisher is not registered; use the SQL.' })
  method: 'DELETE' | null;

  @ApiProperty({ type: String, nullable, example: '/v1/servers/orders-14/replication-slots/orders_sub' })
  path: string | null;

  @ApiProperty({
    example: "select pg_catalog.pg_drop_replication_slot('orders_sub')",
    description: 'The same on the publisher itself.',
  })
  sql: string;
}

export class OrphanedSlotDto implements OrphanedSlot {
  @ApiProperty({ format: 'uuid' })
  id: string;

  @ApiProperty({ example: 'orders_sub' })
  slot: string;

  @ApiProperty({ type: OrphanedSlotPublisherDto })
  publisher: OrphanedSlotPublisherDto;

  @ApiProperty({ type: OrphanedSlotSubscriberDto })
  subscriber: OrphanedSlotSubscriberDto;

  @ApiProperty({ format: 'date-time', description: 'When the subscription was dropped.' })
  leftAt: string;

  @ApiProperty({
    enum: STATES,
    description:
      '`orphan`: it is there, and nobody reads from it; `in-use`: somebody does; `unknown`: it could not be looked at.',
  })
  state: (typeof STATES)[number];

  @ApiProperty({ type: String, nullable, description: 'What the state alone does not say.' })
  reason: string | null;

  @ApiProperty({ type: Number, nullable, description: 'WAL it keeps; null: not known, or none.' })
  retainedBytes: number | null;

  @ApiProperty({ type: SlotCleanUpDto, nullable, description: 'Null: it may be another’s; look before dropping it.' })
  cleanUp: SlotCleanUpDto | null;
}
