import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Verification1790000300000 implements MigrationInterface {
  name = 'Verification1790000300000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      create table lockstep.verification (
        id uuid primary key,
        kind text not null check (kind in ('at-rest', 'in-motion')),
        subscriber_server text not null,
        subscriber_database text not null,
        subscription text not null,
        publisher_server text not null,
        publisher_database text not null,
        tables jsonb,
        single_lsn boolean not null,
        max_parallel integer not null,
        verdict text check (verdict in ('equal', 'different', 'pending', 'not-comparable', 'stalled')),
        reason text,
        verified_lsn text,
        method text check (method in ('own-slot', 'positions')),
        method_reason text,
        progress jsonb,
        created_at timestamptz not null default now(),
        started_at timestamptz,
        finished_at timestamptz,
        check ((verdict is not null) = (finished_at is not null))
      );
      create index verification_created on lockstep.verification (created_at desc, id desc);

      create table lockstep.verification_table (
        verification uuid not null references lockstep.verification on delete cascade,
        schema text not null,
        name text not null,
        verdict text not null check (verdict in ('equal', 'different', 'pending', 'not-comparable', 'stalled')),
        reason text,
        rows bigint,
        verified_lsn text,
        missing bigint not null,
        extra bigint not null,
        different bigint not null,
        primary key (verification, schema, name)
      );

      create table lockstep.difference (
        verification uuid not null references lockstep.verification on delete cascade,
        position integer not null,
        schema text not null,
        table_name text not null,
        kind text not null check (kind in ('missing', 'extra', 'different', 'local-write')),
        key jsonb,
        columns jsonb not null,
        count bigint not null,
        publisher_lsn text,
        subscriber_lsn text,
        observed_at timestamptz not null default now(),
        primary key (verification, position)
      );
    `);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
