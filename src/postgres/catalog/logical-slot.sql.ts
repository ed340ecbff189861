import { PG13, PG15, PG18 } from '../../shared/server-version.js';
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

/**
 * Whether slot `$1` sends transactions when they are prepared; what was prepared before `since` it sends with its COMMIT
 * PREPARED. Null: not told, as by any server up to 17. pgoutput of 13 and 14 never does. No row: there is no such slot.
 */
export const SLOT_TWO_PHASE: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select false as supported, false as two_phase, null::text as since
        from pg_catalog.pg_replication_slots s
       where s.slot_name = $1`,
  },
  {
    since: PG15,
    sql: `
      select true as supported, s.two_phase as two_phase, null::text as since
        from pg_catalog.pg_replication_slots s
       where s.slot_name = $1`,
  },
  {
    since: PG18,
    sql: `
      select true as supported, s.two_phase as two_phase, s.two_phase_at::text as since
        from pg_catalog.pg_replication_slots s
       where s.slot_name = $1`,
  },
];
