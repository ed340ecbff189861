import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Security1790000100000 implements MigrationInterface {
  name = 'Security1790000100000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      create table lockstep.api_token (
        id uuid primary key,
        name text not null,
        scope text not null check (scope in ('read', 'operate', 'admin')),
        origin text not null check (origin in ('environment', 'generated', 'api')),
        token_hash bytea not null unique,
        created_at timestamptz not null default now(),
        expires_at timestamptz,
        revoked_at timestamptz,
        last_used_at timestamptz
      );
      create unique index api_token_live_name on lockstep.api_token (name) where revoked_at is null;

      create table lockstep.secret_key (
        only_row boolean primary key default true check (only_row),
        fingerprint text not null,
        created_at timestamptz not null default now()
      );

      create table lockstep.audit_event (
        id bigint generated always as identity primary key,
        at timestamptz not null default clock_timestamp(),
        finished_at timestamptz,
        token_id uuid,
        actor text,
        action text not null,
        subject text not null,
        request_id text,
        remote_address text,
        outcome text not null check (outcome in ('started', 'succeeded', 'dry-run', 'refused', 'failed')),
        status int,
        sql text[] not null default '{}',
        details jsonb not null default '{}'
      );
      create index audit_event_subject on lockstep.audit_event (subject, id desc);
      create index audit_event_actor on lockstep.audit_event (actor, id desc);
      create index audit_event_request on lockstep.audit_event (request_id);

      create table lockstep.idempotency_key (
        token_id uuid not null,
        key_hash bytea not null,
        request_hash bytea not null,
        owner uuid not null,
        lease_until timestamptz not null,
        created_at timestamptz not null default now(),
        status int,
        location text,
        body json,
        primary key (token_id, key_hash)
      );
      create index idempotency_key_created on lockstep.idempotency_key (created_at);
    `);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
