/** Transactions of the server that have written and are still open: each holds up the creation of a logical slot. */
export const WRITING_TRANSACTIONS = `
select 'pid ' || pid || ' of ' || coalesce(usename::text, '?') as object, datname::text as database, state,
  extract(epoch from pg_catalog.clock_timestamp() - xact_start)::float8 as "ageSeconds",
  query_start::text as "queryStart", backend_xid::text as xid
from pg_catalog.pg_stat_activity
where backend_xid is not null and pid <> pg_catalog.pg_backend_pid()
  and xact_start < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1) order by xact_start`;

export const ALL_PREPARED_TRANSACTIONS = `
select pg_catalog.quote_literal(gid) || ' of ' || owner::text as object, database::text,
  extract(epoch from pg_catalog.clock_timestamp() - prepared)::float8 as "ageSeconds"
from pg_catalog.pg_prepared_xacts order by prepared`;

/** Logical slots of this database that are not ours: their consumers have to be moved to the target. */
export const FOREIGN_LOGICAL_SLOTS = `
select slot_name::text as object, plugin::text, active,
  pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), confirmed_flush_lsn)::text as "behindBytes"
from pg_catalog.pg_replication_slots
where slot_type = 'logical' and database = pg_catalog.current_database() and slot_name !~ '^lockstep_' order by 1`;

export const SLOTS_LOSING_WAL = `
select slot_name::text as object, wal_status as "walStatus", safe_wal_size::text as "safeWalBytes"
from pg_catalog.pg_replication_slots where wal_status in ('unreserved', 'lost') order by 1`;

export const SUBSCRIPTIONS_HERE = `
select s.subname::text as object, s.subenabled as enabled, s.subslotname::text as slot
from pg_catalog.pg_subscription s
where s.subdbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
  and s.subname !~ '^lockstep_' order by 1`;

export const ALL_TABLES_PUBLICATIONS = `
select pubname::text as object, pubinsert as inserts, pubupdate as updates, pubdelete as deletes
from pg_catalog.pg_publication where puballtables order by 1`;

/** Slots, publications and subscriptions that already have one of the names $1. */
export const TAKEN_NAMES = `
select 'replication slot ' || slot_name::text as object from pg_catalog.pg_replication_slots
where slot_name::text = any ($1::text[])
union all
select 'publication ' || pubname::text from pg_catalog.pg_publication where pubname::text = any ($1::text[])
union all
select 'subscription ' || subname::text from pg_catalog.pg_subscription
where subname::text = any ($1::text[])
  and subdbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
order by 1`;

/** Since the minor releases of August 2026: null on a server that loads any plugin. */
export const OUTPUT_PLUGINS = `select pg_catalog.current_setting('output_plugin_libraries', true) as libraries`;

/** Publications that are not ours. They stay on the source, with their row filters and column lists (since 15). */
export function foreignPublications(versionNum: number): string {
  const filtered =
    versionNum >= 150000
      ? `(select count(*)::int from pg_catalog.pg_publication_rel r
          where r.prpubid = p.oid and (r.prqual is not null or r.prattrs is not null))`
      : '0';
  return `
select pg_catalog.quote_ident(p.pubname) as object, ${filtered} as "filteredTables"
from pg_catalog.pg_publication p where not p.puballtables and p.pubname !~ '^lockstep_' order by 1`;
}
