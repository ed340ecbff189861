import type { MigrationInterface, QueryRunner } from 'typeorm';

export class SchemaLooks1790000860000 implements MigrationInterface {
  name = 'SchemaLooks1790000860000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      create table lockstep.schema_look (
        subscriber_server text not null references lockstep.server (name) on delete cascade,
        subscriber_database text not null,
        subscription text not null,
        state text not null check (state in ('none', 'drifted', 'unknown')),
        reason text,
        basis text,
        publisher_fingerprint text,
        subscriber_fingerprint text,
        drifted_since timestamptz,
        checked_at timestamptz not null default clock_timestamp(),
        primary key (subscriber_server, subscriber_database, subscription),
        check ((state = 'none') = (reason is null)),
        check (state <> 'unknown' or basis is null),
        check (state <> 'none' or drifted_since is null),
        check (state <> 'drifted' or drifted_since is not null)
      )`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
