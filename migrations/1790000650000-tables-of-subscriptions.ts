import type { MigrationInterface, QueryRunner } from 'typeorm';

export class TablesOfSubscriptions1790000650000 implements MigrationInterface {
  name = 'TablesOfSubscriptions1790000650000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      create table lockstep.table_needing_verification (
        server text not null,
        database text not null,
        subscription_oid bigint not null,
        schema text not null,
        name text not null,
        lsn pg_lsn not null,
        reason text not null,
        since timestamptz not null default now(),
        primary key (server, database, subscription_oid, schema, name)
      );

      create table lockstep.resync (
        id uuid primary key references lockstep.operation on delete cascade,
        subscriber_server text not null,
        subscriber_database text not null,
        subscription text not null,
        publisher_server text not null,
        publisher_database text not null,
        schema text not null,
        name text not null
      )`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
