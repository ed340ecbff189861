import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Repairs1790000920000 implements MigrationInterface {
  name = 'Repairs1790000920000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      create table lockstep.repair (
        id uuid primary key references lockstep.operation on delete cascade,
        verification uuid not null references lockstep.verification on delete cascade,
        mode text not null check (mode in ('plan', 'apply')),
        triggers text not null check (triggers in ('quiet', 'fire')),
        facts jsonb,
        verdict text,
        reason text,
        verified_lsn text,
        created_at timestamptz not null default now()
      );
      create index repair_of on lockstep.repair (verification);

      create table lockstep.repair_row (
        repair uuid not null references lockstep.repair on delete cascade,
        position integer not null,
        outcome text check (outcome in ('planned', 'repaired', 'gone', 'changed', 'not-repaired', 'not-repairable')),
        reason text,
        intended boolean not null default false,
        turn integer,
        sql jsonb,
        primary key (repair, position)
      )`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
