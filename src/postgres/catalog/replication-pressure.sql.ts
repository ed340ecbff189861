import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * How far the server's slots `$1` (name[]) are behind, and what they keep: of those that are there the most, in bytes.
 * `slotLimit` is `max_slot_wal_keep_size` in bytes; null: no limit.
 */
export const SLOT_PRESSURE: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select (select pg_catalog.max(pg_catalog.pg_wal_lsn_diff(w.lsn, s.confirmed_flush_lsn))::float8
                from pg_catalog.pg_replication_slots s where s.slot_name = any ($1::name[])) as "lagBytes",
             (select pg_catalog.max(pg_catalog.pg_wal_lsn_diff(w.lsn, s.restart_lsn))::float8
                from pg_catalog.pg_replication_slots s where s.slot_name = any ($1::name[])) as "slotBytes",
             (select nullif(g.setting::float8, -1) * 1048576
                from pg_catalog.pg_settings g where g.name = 'max_slot_wal_keep_size') as "slotLimit"
        from (select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
                          else pg_catalog.pg_current_wal_insert_lsn() end as lsn) w`,
  },
];

/**
 * Sessions of clients, without Lockstep's, that are at work; null: the login does not see what others do
 * (`pg_read_all_stats`).
 */
export const ACTIVE_SESSIONS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select case when pg_catalog.pg_has_role('pg_read_all_stats', 'usage')
                  then (select pg_catalog.count(*)::int from pg_catalog.pg_stat_activity a
                         where a.state = 'active' and a.backend_type = 'client backend'
                           and not pg_catalog.starts_with(a.application_name, 'lockstep')) end as sessions`,
  },
];
