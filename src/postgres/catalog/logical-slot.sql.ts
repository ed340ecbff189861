import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** Slot `$1` and who holds it; no row: there is none. */
export const LOGICAL_SLOT: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.plugin as plugin, s.database as database, s.active as active, s.active_pid as active_pid,
             a.application_name as application, s.confirmed_flush_lsn::text as confirmed,
             s.restart_lsn::text as restart, s.wal_status as wal_status
        from pg_catalog.pg_replication_slots s
        left join pg_catalog.pg_stat_activity a on a.pid = s.active_pid
       where s.slot_name = $1`,
  },
];

/** What the reader of slot `$1` has confirmed; no row: there is none. */
export const SLOT_CONFIRMED: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.confirmed_flush_lsn::text as confirmed
        from pg_catalog.pg_replication_slots s
       where s.slot_name = $1`,
  },
];
