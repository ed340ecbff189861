import type { MigrationInterface, QueryRunner } from 'typeorm';

export class TableNeedingVerification1790000650000 implements MigrationInterface {
  name = 'TableNeedingVerification1790000650000';

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
      )`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
