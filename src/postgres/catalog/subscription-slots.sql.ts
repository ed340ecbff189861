import { PG13 } from '../../shared/server-version.js';
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

/** State of table `$2` in subscription `$1` (oids) of the session's database; no row: it is in none. */
export const SYNCHRONIZATION_STATE: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select r.srsubstate::text as state
        from pg_catalog.pg_subscription_rel r
       where r.srsubid = $1::text::oid and r.srrelid = $2::text::oid`,
  },
];
