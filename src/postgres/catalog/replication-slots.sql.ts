import { PG13, PG14, PG16, PG17 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * Replication slots; `$1` is a name, or null for all. `current_lsn` is the end of this server's WAL: as a primary
 * what it inserted (an asynchronous commit counts before it is written out), as a standby what it received, or replayed
 * from an archive since. It is read after the slots, whose function gives all of them at once: none that moves meanwhile
 * is seen past it. A lost slot has no restart_lsn, so its retained WAL is null, not 0.
 * A standby that was promoted keeps `synced`, which then means nothing. Up to 15 the only way to lose a slot is removed WAL; 16 tells conflicts apart but not which kind.
 */
export const REPLICATION_SLOTS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.slot_name::text as name, s.slot_type::text as kind, s.plugin::text as plugin, s.database::text as database,
             s.temporary as temporary, s.active as active, s.active_pid as active_pid,
             s.restart_lsn::text as restart_lsn, s.confirmed_flush_lsn::text as confirmed_flush_lsn,
             s.current_lsn::text as current_lsn,
             pg_catalog.pg_wal_lsn_diff(s.current_lsn, s.restart_lsn)::text as retained_bytes,
             s.wal_status::text as wal_status, s.safe_wal_size::text as safe_wal_size,
             pg_catalog.age(s.xmin)::text as xmin_age, pg_catalog.age(s.catalog_xmin)::text as catalog_xmin_age,
             null::boolean as two_phase, null::boolean as failover, null::boolean as synced,
             null::boolean as conflicting, null::timestamptz as inactive_since,
             case when s.wal_status = 'lost' then 'wal_removed' end as invalidation_reason
        from (select r.*, case when pg_catalog.pg_is_in_recovery()
                               then greatest(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
                               else pg_catalog.pg_current_wal_insert_lsn() end as current_lsn
                from pg_catalog.pg_replication_slots r
               where $1::text is null or r.slot_name = $1::text) s
       order by s.slot_name`,
  },
  {
    since: PG14,
    sql: `
      select s.slot_name::text as name, s.slot_type::text as kind, s.plugin::text as plugin, s.database::text as database,
             s.temporary as temporary, s.active as active, s.active_pid as active_pid,
             s.restart_lsn::text as restart_lsn, s.confirmed_flush_lsn::text as confirmed_flush_lsn,
             s.current_lsn::text as current_lsn,
             pg_catalog.pg_wal_lsn_diff(s.current_lsn, s.restart_lsn)::text as retained_bytes,
             s.wal_status::text as wal_status, s.safe_wal_size::text as safe_wal_size,
             pg_catalog.age(s.xmin)::text as xmin_age, pg_catalog.age(s.catalog_xmin)::text as catalog_xmin_age,
             s.two_phase as two_phase, null::boolean as failover, null::boolean as synced,
             null::boolean as conflicting, null::timestamptz as inactive_since,
             case when s.wal_status = 'lost' then 'wal_removed' end as invalidation_reason
        from (select r.*, case when pg_catalog.pg_is_in_recovery()
                               then greatest(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
                               else pg_catalog.pg_current_wal_insert_lsn() end as current_lsn
                from pg_catalog.pg_replication_slots r
               where $1::text is null or r.slot_name = $1::text) s
       order by s.slot_name`,
  },
  {
    since: PG16,
    sql: `
      select s.slot_name::text as name, s.slot_type::text as kind, s.plugin::text as plugin, s.database::text as database,
             s.temporary as temporary, s.active as active, s.active_pid as active_pid,
             s.restart_lsn::text as restart_lsn, s.confirmed_flush_lsn::text as confirmed_flush_lsn,
             s.current_lsn::text as current_lsn,
             pg_catalog.pg_wal_lsn_diff(s.current_lsn, s.restart_lsn)::text as retained_bytes,
             s.wal_status::text as wal_status, s.safe_wal_size::text as safe_wal_size,
             pg_catalog.age(s.xmin)::text as xmin_age, pg_catalog.age(s.catalog_xmin)::text as catalog_xmin_age,
             s.two_phase as two_phase, null::boolean as failover, null::boolean as synced,
             s.conflicting as conflicting, null::timestamptz as inactive_since,
             case when s.conflicting then 'conflict' when s.wal_status = 'lost' then 'wal_removed' end as invalidation_reason
        from (select r.*, case when pg_catalog.pg_is_in_recovery()
                               then greatest(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
                               else pg_catalog.pg_current_wal_insert_lsn() end as current_lsn
                from pg_catalog.pg_replication_slots r
               where $1::text is null or r.slot_name = $1::text) s
       order by s.slot_name`,
  },
  {
    since: PG17,
    sql: `
      select s.slot_name::text as name, s.slot_type::text as kind, s.plugin::text as plugin, s.database::text as database,
             s.temporary as temporary, s.active as active, s.active_pid as active_pid,
             s.restart_lsn::text as restart_lsn, s.confirmed_flush_lsn::text as confirmed_flush_lsn,
             s.current_lsn::text as current_lsn,
             pg_catalog.pg_wal_lsn_diff(s.current_lsn, s.restart_lsn)::text as retained_bytes,
             s.wal_status::text as wal_status, s.safe_wal_size::text as safe_wal_size,
             pg_catalog.age(s.xmin)::text as xmin_age, pg_catalog.age(s.catalog_xmin)::text as catalog_xmin_age,
             s.two_phase as two_phase, s.failover as failover, s.synced and pg_catalog.pg_is_in_recovery() as synced,
             s.conflicting as conflicting, s.inactive_since as inactive_since,
             s.invalidation_reason::text as invalidation_reason
        from (select r.*, case when pg_catalog.pg_is_in_recovery()
                               then greatest(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
                               else pg_catalog.pg_current_wal_insert_lsn() end as current_lsn
                from pg_catalog.pg_replication_slots r
               where $1::text is null or r.slot_name = $1::text) s
       order by s.slot_name`,
  },
];

/**
 * Whether the slot `$1` came to this primary with its promotion, as the copy that the standby kept of a slot of the former
 * one: `synced` stays, and means nothing else then.
 */
export const SLOT_CARRIED_OVER: readonly Variant[] = [
  { since: PG13, sql: `select false as carried_over where $1::text is not null` },
  {
    since: PG17,
    sql: `
      select exists (select from pg_catalog.pg_replication_slots s
                      where s.slot_name = $1::text and s.synced and s.failover
                        and not pg_catalog.pg_is_in_recovery()) as carried_over`,
  },
];

/**
 * Transactions that hold up the creation of a logical slot: it waits for every transaction with an xid that runs
 * when it begins, of any database. Prepared ones have no pid and cannot be terminated. Oldest first, at most `$2` (int,
 * null: all); without those of process `$1` (int4, null: none), which makes the slot.
 */
export const SLOT_CREATION_BLOCKERS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select a.pid as pid, a.backend_xid::text as xid, a.usename::text as user, a.datname::text as database,
             a.application_name::text as application, a.state::text as state, null::text as prepared_gid,
             (extract(epoch from (pg_catalog.clock_timestamp() - a.xact_start)))::float8 as age_seconds,
             (extract(epoch from (pg_catalog.clock_timestamp() - a.query_start)))::float8 as query_age_seconds,
             pg_catalog.left(a.query, 500) as query
        from pg_catalog.pg_stat_activity a
       where a.backend_xid is not null and a.pid <> pg_catalog.pg_backend_pid() and a.pid is distinct from $1::int4
      union all
      select null, x.transaction::text, x.owner::text, x.database::text, null, 'prepared', x.gid,
             (extract(epoch from (pg_catalog.clock_timestamp() - x.prepared)))::float8, null, null
        from pg_catalog.pg_prepared_xacts x
       order by age_seconds desc nulls last
       limit $2::int`,
  },
];
