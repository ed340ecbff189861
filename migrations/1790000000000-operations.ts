import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Operations1790000000000 implements MigrationInterface {
  name = 'Operations1790000000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      create table lockstep.operation (
        id uuid primary key,
        kind text not null,
        subject_type text not null,
        subject_id text not null,
        state text not null check (state in ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
        progress jsonb,
        result jsonb,
        problem jsonb,
        created_at timestamptz not null default now(),
        started_at timestamptz,
        finished_at timestamptz,
        check ((state in ('succeeded', 'failed', 'cancelled')) = (finished_at is not null))
      );
      create index operation_created on lockstep.operation (created_at desc, id);
      create index operation_subject on lockstep.operation (subject_type, subject_id);

      create table lockstep.operation_event (
        operation_id uuid not null references lockstep.operation on delete cascade,
        seq bigint not null,
        type text not null,
        data jsonb not null,
        at timestamptz not null default clock_timestamp(),
        primary key (operation_id, seq)
      );

      create table lockstep.cancellation (
        operation_id uuid primary key,
        requested_at timestamptz not null default now()
      );

      create table lockstep.instance (
        id text primary key,
        name text not null,
        started_at timestamptz not null default now(),
        heartbeat_at timestamptz not null default now(),
        stopped_at timestamptz
      );

      create table lockstep.lease (
        name text primary key,
        holder text not null,
        epoch bigint not null,
        taken_at timestamptz not null default now()
      );
    `);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
