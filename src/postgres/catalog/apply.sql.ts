import { PG13, PG15 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/* What a subscriber shows of applying; `originExpression` is that of `originProgressExpression`. */

/**
 * SQL condition: no apply worker of the subscription, leader or parallel, is committing anything. One that commits what
 * was prepared before has no xid of its own meanwhile, but a snapshot (`apply_handle_commit_prepared` in worker.c): the
 * origin has moved then while the transaction still counts as running, for as long as its WAL takes to be flushed.
 */
export function applyIdleExpression(subscriptionOid: number): string {
  return `(not exists (
    select from pg_catalog.pg_stat_subscription w join pg_catalog.pg_stat_activity a on a.pid = w.pid
     where w.subid = ${subscriptionOid} and w.relid is null and (a.backend_xid is not null or a.backend_xmin is not null)))`;
}

/** How far subscription `$1` (oid) named `$2` of the session's database is; no row: there is none. */
export function applyProgressSql(originExpression: string): readonly Variant[] {
  return [
    {
      since: PG13,
      sql: `
      select ${originExpression} as applied, s.subenabled as enabled, null::text as errors,
             (select min(w.pid) from pg_catalog.pg_stat_subscription w where w.subid = s.oid and w.relid is null) as worker
        from pg_catalog.pg_subscription s
       where s.oid = $1::oid and s.subname = $2::text
         and s.subdbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())`,
    },
    {
      since: PG15,
      sql: `
      select ${originExpression} as applied, s.subenabled as enabled,
             (select e.apply_error_count::text from pg_catalog.pg_stat_subscription_stats e where e.subid = s.oid) as errors,
             (select min(w.pid) from pg_catalog.pg_stat_subscription w where w.subid = s.oid and w.relid is null) as worker
        from pg_catalog.pg_subscription s
       where s.oid = $1::oid and s.subname = $2::text
         and s.subdbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())`,
    },
  ];
}

/** Where the origin is, and the sessions that process `$1` (null: none) waits for a lock of. */
export function applyWaitsSql(originExpression: string | null): string {
  return `
      select ${originExpression ?? 'null::text'} as remote,
             coalesce(pg_catalog.pg_blocking_pids($1::int4), '{}') as waits`;
}

/** Ends the apply workers of subscription `$1` (oid); not those that copy a table. */
export const END_APPLY_WORKERS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select w.pid as pid, pg_catalog.pg_terminate_backend(w.pid) as told
        from pg_catalog.pg_stat_subscription w
       where w.subid = $1::oid and w.pid is not null and w.relid is null`,
  },
];

/** How many of the processes `$1` (int4[]) are there. */
export const PROCESSES_LEFT: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select pg_catalog.count(*)::int as left
        from pg_catalog.pg_stat_activity a
       where a.pid = any ($1::int4[])`,
  },
];

/** Prepared transactions of the session's database whose names begin with `$1`. */
export const PREPARED_GIDS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select x.gid as gid
        from pg_catalog.pg_prepared_xacts x
       where x.database = pg_catalog.current_database() and pg_catalog.starts_with(x.gid, $1)`,
  },
];
