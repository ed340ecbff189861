import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Slots that dropped subscriptions left on their publishers. */
export class LeftSlots1790000800000 implements MigrationInterface {
  name = 'LeftSlots1790000800000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      create table lockstep.left_slot (
        id uuid primary key default gen_random_uuid(),
        slot text not null,
        publisher_server text,
        system_identifier text,
        publisher_database text not null,
        host text not null,
        port text not null,
        subscriber_server text not null,
        subscriber_database text not null,
        subscription text not null,
        subscription_oid bigint not null,
        left_at timestamptz not null default now(),
        unique (subscriber_server, subscriber_database, subscription_oid, slot, host, port)
      )`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
