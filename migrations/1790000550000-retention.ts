import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What retention looks for, and what lists and the engine's heartbeat look for, stays quick however much is kept. */
export class Retention1790000550000 implements MigrationInterface {
  name = 'Retention1790000550000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      alter table lockstep.operation add column events_removed_at timestamptz;
      create index operation_finished on lockstep.operation (finished_at) where finished_at is not null;
      create index operation_events_due on lockstep.operation (finished_at)
        where finished_at is not null and events_removed_at is null;
      create index operation_live on lockstep.operation (created_at) where finished_at is null;
      drop index lockstep.operation_created;
      create index operation_created on lockstep.operation (created_at desc, id desc);

      create index verification_finished on lockstep.verification (finished_at) where finished_at is not null;

      drop index lockstep.audit_event_subject, lockstep.audit_event_actor;
      create index audit_event_at on lockstep.audit_event (at desc, id desc);
      create index audit_event_actor on lockstep.audit_event (actor, at desc, id desc);
      create index audit_event_action on lockstep.audit_event (action, at desc, id desc);
      create index audit_event_outcome on lockstep.audit_event (outcome, at desc, id desc);
      create index audit_event_subject on lockstep.audit_event (subject collate "C", at desc, id desc);
    `);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
