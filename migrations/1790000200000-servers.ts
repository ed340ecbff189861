import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Servers1790000200000 implements MigrationInterface {
  name = 'Servers1790000200000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      create table lockstep.server (
        name text primary key,
        host text not null,
        port int not null check (port between 1 and 65535),
        login text not null,
        database text not null,
        tls_mode text not null check (tls_mode in ('disable', 'prefer', 'require', 'verify-ca', 'verify-full')),
        tls_ca text,
        sealed_password text not null,
        advertised_host text,
        advertised_port int check (advertised_port between 1 and 65535),
        revision uuid not null,
        facts jsonb not null,
        facts_at timestamptz not null,
        checked_at timestamptz not null,
        problem jsonb,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
      );
      create index server_system_identifier on lockstep.server ((facts ->> 'systemIdentifier'));
    `);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
