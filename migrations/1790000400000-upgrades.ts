import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Upgrades1790000400000 implements MigrationInterface {
  name = 'Upgrades1790000400000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      create table lockstep.upgrade (
        name text primary key,
        short_id text not null unique,
        operation_id uuid not null,
        request jsonb not null,
        secrets text,
        phase text not null,
        awaiting text,
        write_to text,
        preflight jsonb not null default '[]',
        facts jsonb not null default '{}',
        verification jsonb,
        problem jsonb,
        attempt integer not null default 1,
        abort_requested_at timestamptz,
        opening_at timestamptz,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
      );

      create table lockstep.upgrade_step (
        upgrade text not null references lockstep.upgrade on delete cascade,
        position integer not null,
        name text not null,
        state text not null check (state in ('pending', 'running', 'done', 'failed', 'undone', 'skipped')),
        started_at timestamptz,
        finished_at timestamptz,
        detail jsonb,
        primary key (upgrade, name)
      );

      create table lockstep.upgrade_event (
        upgrade text not null references lockstep.upgrade on delete cascade,
        seq bigint not null,
        type text not null,
        data jsonb not null,
        at timestamptz not null default clock_timestamp(),
        primary key (upgrade, seq)
      );
    `);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
