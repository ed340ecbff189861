/** Tables an upgrade carries: permanent plain tables and partition roots that are neither ours nor an extension's. */
export const CARRIED_TABLES = `
  select n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind, c.relreplident::text as identity,
         exists (select 1 from pg_catalog.pg_index as i
                  where i.indrelid = c.oid and i.indisprimary and i.indimmediate and i.indisvalid) as has_key,
         exists (select 1 from pg_catalog.pg_index as i
                  where i.indrelid = c.oid and i.indisreplident and i.indisvalid) as has_identity_index
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p') and c.relpersistence = 'p' and not c.relispartition
     and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'lockstep')
     and not exists (select 1 from pg_catalog.pg_depend as d
                      where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
   order by 1, 2`;

/** As CARRIED_TABLES with the leaves: replica identity is each partition's own. */
export const TABLES_WITHOUT_IDENTITY = `
  select n.nspname::text as schema, c.relname::text as name, c.relreplident::text as identity
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p') and c.relpersistence = 'p'
     and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'lockstep')
     and not exists (select 1 from pg_catalog.pg_depend as d
                      where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
     and (c.relreplident = 'n'
          or (c.relreplident = 'd' and not exists (
                select 1 from pg_catalog.pg_index as i
                 where i.indrelid = c.oid and i.indisprimary and i.indimmediate and i.indisvalid))
          or (c.relreplident = 'i' and not exists (
                select 1 from pg_catalog.pg_index as i
                 where i.indrelid = c.oid and i.indisreplident and i.indisvalid)))
   order by 1, 2`;

export const IDENTITY_OF = `
  select c.relreplident::text as identity
    from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
   where n.nspname = $1 and c.relname = $2`;

/** Bytes of the carried tables, TOAST and indexes left out: what a copy reads. */
export const CARRIED_BYTES = `
  select coalesce(sum(pg_catalog.pg_table_size(c.oid)), 0)::text as bytes,
         coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint::text as rows
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
   where c.relkind = 'r' and c.relpersistence = 'p'
     and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'lockstep')`;

/** Bytes per carried table, leaves singly, for the progress of a copy. */
export const TABLE_BYTES = `
  select n.nspname::text as schema, c.relname::text as name, pg_catalog.pg_table_size(c.oid)::text as bytes
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
   where c.relkind = 'r' and c.relpersistence = 'p'
     and n.nspname !~ '^pg_' and n.nspname not in ('information_schema')`;

/** What logical replication does not carry, each kind with its objects. */
export const NOT_CARRIED = `
  select case when c.relkind = 'f' then 'foreign table' when c.relkind = 'm' then 'materialized view'
              else 'unlogged table' end as kind,
         pg_catalog.format('%I.%I', n.nspname, c.relname) as object
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
   where (c.relkind in ('f', 'm') or (c.relkind in ('r', 'p') and c.relpersistence = 'u'))
     and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'lockstep')
  union all
  select 'large object', count(*)::text from pg_catalog.pg_largeobject_metadata having count(*) > 0
   order by 1, 2`;

/**
 * Makes sure that everything committed so far is flushed, whatever synchronous_commit says: a walsender sends nothing
 * that is not, and an idle server takes its time. One statement: a failure leaves no transaction open behind it.
 */
export const FLUSH_WAL = `
  with local as materialized (select pg_catalog.set_config('synchronous_commit', 'local', true) as setting)
  select pg_catalog.pg_logical_emit_message(true, 'lockstep', '') from local where setting is not null`;

/** End of the WAL that a walsender can have sent. */
export const FLUSHED_WAL = `select pg_catalog.pg_current_wal_flush_lsn()::text as lsn`;

/**
 * Bytes between the end of WAL (inserted, not only written: after asynchronous commits these differ) and what the slot's consumer has confirmed;
 * null when that is not known.
 */
export const SLOT_LAG = `
  select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), confirmed_flush_lsn)::bigint::text as bytes
    from pg_catalog.pg_replication_slots where slot_name = $1`;

/**
 * Applied position of a subscription of this database; null before anything was applied. By the function, not by
 * pg_replication_origin_status: EXECUTE on one function is all that a login without superuser needs.
 */
export const ORIGIN_POSITION = `
  select pg_catalog.pg_replication_origin_progress('pg_' || s.oid::text, false)::text as lsn
    from pg_catalog.pg_subscription as s
    join pg_catalog.pg_database as d on d.oid = s.subdbid
   where d.datname = pg_catalog.current_database() and s.subname = $1`;

/** The walsender that serves the subscription named $1, and its TLS protocol. */
export const SUBSCRIPTION_CONNECTION = `
  select case when s.ssl then s.version::text when not s.ssl then 'none' else 'unknown' end as encryption
    from pg_catalog.pg_stat_replication as r
    left join pg_catalog.pg_stat_ssl as s on s.pid = r.pid
   where r.application_name = $1`;

export const DATABASE_SIZE = `select pg_catalog.pg_database_size(pg_catalog.current_database())::text as bytes`;

export const SCHEMA_IS_EMPTY = `
  select not exists (select 1 from pg_catalog.pg_class where relnamespace = n.oid) as empty
    from pg_catalog.pg_namespace as n where n.nspname = $1`;

/** User tables of the database, for ANALYZE one by one: progress, and no lock held over all of them. */
export const ANALYZABLE_TABLES = `
  select n.nspname::text as schema, c.relname::text as name
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'm') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'lockstep')
   order by 1, 2`;

/**
 * One text that stays the same while every permanent table of the database keeps its rows where they are, in the
 * partition tree and in the publication ($1, or null) it is in. Its rows can change without a trace in any change stream
 * only where the text changes: in a table rewritten by ALTER TABLE, made anew, unlogged or published by nobody for a
 * while, or in a partition that was detached. VACUUM FULL, CLUSTER and TRUNCATE change it too.
 */
export const ROW_STORAGE = `
  select pg_catalog.md5(coalesce(pg_catalog.string_agg(item, ',' order by item collate "C"), '')) as storage
    from (select pg_catalog.concat_ws(':', c.oid, c.relfilenode, (
                   select pg_catalog.string_agg(pg_catalog.concat_ws('/', i.inhparent, i.xmin), ' ' order by i.inhseqno)
                     from pg_catalog.pg_inherits as i where i.inhrelid = c.oid)) as item
            from pg_catalog.pg_class as c
            join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
           where c.relkind in ('r', 'p') and c.relpersistence = 'p'
             and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'lockstep')
          union all
          select pg_catalog.concat_ws(':', 'publication', p.oid, p.xmin) from pg_catalog.pg_publication as p
           where p.pubname::text = $1
          union all
          select pg_catalog.concat_ws(':', 'published', r.oid, r.prrelid) from pg_catalog.pg_publication_rel as r
            join pg_catalog.pg_publication as p on p.oid = r.prpubid where p.pubname::text = $1) as row`;

/** From the name of the current WAL file: the control file still shows the old one after a promotion. Empty on a standby. */
export const TIMELINE = `
  select case when pg_catalog.pg_is_in_recovery() then ''
              else pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)
         end as timeline`;
