import { PG13, PG14 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** Subscriptions of all databases of the server (pg_subscription is shared) that have a slot. */
export const SUBSCRIPTION_SLOTS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.oid::int8::text as oid, s.subname::text as name, d.datname::text as database, s.subslotname::text as slot_name
        from pg_catalog.pg_subscription s
        join pg_catalog.pg_database d on d.oid = s.subdbid
       order by d.datname, s.subname`,
  },
];

/** Their connection strings, with secrets; only where READABLE says so. */
export const SUBSCRIPTION_SLOT_CONNECTIONS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.oid::int8::text as oid, s.subconninfo as conninfo
        from pg_catalog.pg_subscription s
       order by s.oid`,
  },
];

/**
 * States of tables in subscriptions of the session's database, each pair by the oids of the subscription in `$1` and of the
 * table in `$2` (text[]); those that are in none are left out.
 */
export const SYNCHRONIZATION_STATE: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select asked.subscription as subscription, asked.relation as relation, r.srsubstate::text as state
        from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) as asked (subscription, relation)
        join pg_catalog.pg_subscription_rel r
          on r.srsubid = asked.subscription::oid and r.srrelid = asked.relation::oid`,
  },
];

/**
 * Slots of tables of subscription `$1` (oid), of the session's database, whose synchronization is under way; `$2` is the
 * server's system identifier. Before 14 they are temporary and end with their workers.
 */
export const SYNCHRONIZATION_SLOTS: readonly Variant[] = [
  { since: PG13, sql: `select null::text as slot where $1::text is null and $2::text is null` },
  {
    since: PG14,
    sql: `
      select 'pg_' || r.srsubid::int8::text || '_sync_' || r.srrelid::int8::text || '_' || $2::text as slot
        from pg_catalog.pg_subscription_rel r
       where r.srsubid = $1::text::oid and r.srsubstate in ('d', 'f')
       order by r.srrelid`,
  },
];

/** Subscriptions that a transaction is changing or dropping, by oid: it holds their lock until it has ended. */
export const SUBSCRIPTIONS_BEING_CHANGED: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select l.objid::int8::text as oid
        from pg_catalog.pg_locks l
       where l.locktype = 'object' and l.classid = 'pg_catalog.pg_subscription'::pg_catalog.regclass
         and l.mode = 'AccessExclusiveLock' and l.granted
       order by l.objid`,
  },
];
