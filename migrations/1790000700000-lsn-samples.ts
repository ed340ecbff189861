import type { MigrationInterface, QueryRunner } from 'typeorm';

export class LsnSamples1790000700000 implements MigrationInterface {
  name = 'LsnSamples1790000700000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      create table lockstep.lsn_sample (
        server text not null references lockstep.server (name) on delete cascade,
        at timestamptz not null default clock_timestamp(),
        lsn pg_lsn not null,
        primary key (server, at)
      )`);
    await queryRunner.query(`
      alter table lockstep.server add column wal_budget_bytes bigint check (wal_budget_bytes > 0)`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
