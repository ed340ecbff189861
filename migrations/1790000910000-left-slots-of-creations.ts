import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Two creations with one slot name are two records: the end of one says nothing about the other's slot. */
export class LeftSlotsOfCreations1790000910000 implements MigrationInterface {
  name = 'LeftSlotsOfCreations1790000910000';

  async up(queryRunner: QueryRunner): Promise<void> {
    // The name of the constraint was cut to fit.
    await queryRunner.query(`
      do $$
      declare
        given name;
      begin
        select conname into strict given
          from pg_catalog.pg_constraint
         where conrelid = 'lockstep.left_slot'::pg_catalog.regclass and contype = 'u';
        execute pg_catalog.format('alter table lockstep.left_slot drop constraint %I', given);
      end
      $$`);
    await queryRunner.query(`
      create unique index left_slot_of_drop on lockstep.left_slot
        (subscriber_server, subscriber_database, subscription_oid, slot, host, port)
        where subscription_oid <> 0`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
