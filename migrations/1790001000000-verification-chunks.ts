import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A verification in chunks goes on where a process that died left it. */
export class VerificationChunks1790001000000 implements MigrationInterface {
  name = 'VerificationChunks1790001000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      alter table lockstep.verification
        add column pacing jsonb,
        add column resumed integer not null default 0,
        add column rows_kept bigint not null default 0,
        add column waits_for text`);
    await queryRunner.query(`
      create table lockstep.verification_progress (
        verification uuid not null references lockstep.verification (id) on delete cascade,
        schema text not null,
        name text not null,
        record jsonb not null,
        primary key (verification, schema, name))`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
