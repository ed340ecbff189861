import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

/** Rows of one statement: short enough to hold no lock that anybody would notice. */
const ROWS = 5000;
/** Operations of one statement; each may have many events. */
const OPERATIONS = 50;

const LIVE_UPGRADE = `u.phase not in ('finalized', 'aborted')`;

/** Operation `o` carries an upgrade that is not over: its abort and its retry still look at it. */
const OF_LIVE_UPGRADE = `exists (select from lockstep.upgrade u
  where ${LIVE_UPGRADE} and (u.operation_id = o.id or (o.subject_type = 'upgrade' and o.subject_id = u.name)))`;

/** Verification `v` belongs to a link of an upgrade that is not over, or is the one an upgrade's report names. */
const OF_UPGRADE = `exists (select from lockstep.upgrade u
  where v.id::text in (u.verification ->> 'id', u.facts ->> 'verificationId')
     or (${LIVE_UPGRADE} and v.subscription in ('lockstep_' || u.short_id, 'lockstep_' || u.short_id || '_back')))`;

/**
 * Removes what is old, in batches, and never anything live. Each method does one batch and answers how much it did; 0
 * means that nothing is left to do. Whatever belongs together goes in one statement, so that nobody sees half of it.
 */
@Injectable()
export class RetentionRepository {
  constructor(private readonly dataSource: DataSource) {}

  /** Those whose answer has been kept for a day; a request that is still being carried out keeps its key. */
  idempotencyKeys(): Promise<number> {
    return this.remove(
      `delete from lockstep.idempotency_key where (token_id, key_hash) in (
         select token_id, key_hash from lockstep.idempotency_key
          where created_at < now() - interval '24 hours' and (status is not null or lease_until < now())
          order by created_at limit ${ROWS})`,
      [],
    );
  }

  auditEvents(days: number): Promise<number> {
    return this.remove(
      `delete from lockstep.audit_event where id in (
         select id from lockstep.audit_event where at < now() - make_interval(days => $1) order by at limit ${ROWS})`,
      [days],
    );
  }

  /** Ended operations whose events and workflow may go; `except` could not be forgotten by the engine. */
  operationsWithEvents(days: number, except: string[]): Promise<string[]> {
    return this.ids(
      `select o.id from lockstep.operation o
        where o.finished_at < now() - make_interval(days => $1) and o.events_removed_at is null and o.id <> all ($2::uuid[])
          and not ${OF_LIVE_UPGRADE}
        order by o.finished_at limit ${OPERATIONS}`,
      [days, except],
    );
  }

  /** All but the last event, which tells how it ended. */
  operationEvents(operationIds: string[]): Promise<number> {
    return this.remove(
      `with events as (
         delete from lockstep.operation_event e
          where e.operation_id = any ($1::uuid[])
            and e.seq < (select max(seq) from lockstep.operation_event last where last.operation_id = e.operation_id)),
       cancellations as (delete from lockstep.cancellation where operation_id = any ($1::uuid[]))
       update lockstep.operation set events_removed_at = now() where id = any ($1::uuid[]) and finished_at is not null`,
      [operationIds],
    );
  }

  /** Ended operations that nothing refers to any more. */
  oldOperations(days: number, except: string[]): Promise<string[]> {
    return this.ids(
      `select o.id from lockstep.operation o
        where o.finished_at < now() - make_interval(days => $1) and o.id <> all ($2::uuid[]) and not ${OF_LIVE_UPGRADE}
          and not exists (select from lockstep.upgrade u where u.operation_id = o.id)
          and not exists (select from lockstep.verification v where v.id = o.id and ${OF_UPGRADE})
        order by o.finished_at limit ${OPERATIONS}`,
      [days, except],
    );
  }

  /** With their events, and with the verification of the same id and its differences. */
  operations(operationIds: string[]): Promise<number> {
    return this.remove(
      `with cancellations as (delete from lockstep.cancellation where operation_id = any ($1::uuid[])),
       verifications as (delete from lockstep.verification where id = any ($1::uuid[]))
       delete from lockstep.operation where id = any ($1::uuid[]) and finished_at is not null`,
      [operationIds],
    );
  }

  /** Ended verifications without an operation of their own, which an upgrade made, with their differences. */
  verificationsOfUpgrades(days: number): Promise<number> {
    return this.remove(
      `delete from lockstep.verification where id in (
         select v.id from lockstep.verification v
          where v.finished_at < now() - make_interval(days => $1) and not ${OF_UPGRADE}
            and not exists (select from lockstep.operation o where o.id = v.id)
          order by v.finished_at limit ${OPERATIONS})`,
      [days],
    );
  }

  /** Of upgrades that are over; all but the last event. */
  upgradeEvents(days: number): Promise<number> {
    return this.remove(
      `delete from lockstep.upgrade_event e where (e.upgrade, e.seq) in (
         select old.upgrade, old.seq
           from lockstep.upgrade u join lockstep.upgrade_event old on old.upgrade = u.name
          where not (${LIVE_UPGRADE}) and u.updated_at < now() - make_interval(days => $1)
            and old.seq < (select max(seq) from lockstep.upgrade_event last where last.upgrade = u.name)
          order by old.upgrade, old.seq limit ${ROWS})`,
      [days],
    );
  }

  /** Earlier lives of instances, all of whose work was taken over. */
  stoppedInstances(days: number): Promise<number> {
    return this.remove(
      `delete from lockstep.instance where id in (
         select id from lockstep.instance where stopped_at < now() - make_interval(days => $1) limit ${ROWS})`,
      [days],
    );
  }

  private async remove(sql: string, parameters: unknown[]): Promise<number> {
    const [, count] = await this.dataSource.query<[unknown[], number]>(sql, parameters);
    return count;
  }

  private async ids(sql: string, parameters: unknown[]): Promise<string[]> {
    const rows = await this.dataSource.query<{ id: string }[]>(sql, parameters);
    return rows.map(({ id }) => id);
  }
}
