/**
 * Rows written to the tables with the oids `$1` since the database's statistics were last reset (`reset_at`; null:
 * never). `read_at`, in seconds, is the server's clock when they stood so: up to 14 they come from a file that may be
 * half a second old, whose time it then is. A standby counts none: what it replays is no write of its own. No row: the
 * table is gone, of which the counters would tell 0.
 */
export const TABLE_WRITES = `
  select o.oid::text as table_oid,
         extract(epoch from coalesce(pg_catalog.pg_stat_get_snapshot_timestamp(),
                                     pg_catalog.clock_timestamp()))::float8 as read_at,
         pg_catalog.pg_stat_get_tuples_inserted(o.oid)::text as inserted,
         pg_catalog.pg_stat_get_tuples_updated(o.oid)::text as updated,
         pg_catalog.pg_stat_get_tuples_deleted(o.oid)::text as deleted,
         pg_catalog.pg_stat_get_db_stat_reset_time(d.oid) as reset_at,
         pg_catalog.current_setting('track_counts')::bool as counted,
         pg_catalog.pg_is_in_recovery() as in_recovery
    from pg_catalog.unnest($1::oid[]) as o(oid)
    join pg_catalog.pg_class c on c.oid = o.oid
   cross join pg_catalog.pg_database d
   where d.datname = pg_catalog.current_database()`;
