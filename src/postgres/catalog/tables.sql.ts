import { PG13, PG14 } from '../../shared/server-version.js';
import { columnsWithoutEquality } from './equality.sql.js';
import type { Variant } from './variant.js';

/**
 * Tables of the database outside PostgreSQL's and Lockstep's own schemas, by schema and name. `$1`, `$2`: only rows
 * after this schema and name (null: from the start); `$3`: at most so many (null: all); `$4`, `$5`: only this one.
 * A size is null while somebody holds or awaits ACCESS EXCLUSIVE on the relation: reading it would wait for them.
 * A table that was never analyzed has reltuples -1; before 14 it has 0, as an empty one has, so that with no pages
 * the estimate is unknown. A partitioned table has no storage: its size is that of its partitions, listed themselves.
 * The page is cut before anything is looked up for its tables, so that it costs the same in a database of thousands.
 * `columns_without_equality` of a table with replica identity FULL: a subscriber cannot compare them to find the row.
 */
export const TABLES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      with page as materialized (
        select c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, c.reltuples, c.relpages,
               c.relispartition
          from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p', 'f', 'm')
           and c.relpersistence <> 't'
           and n.nspname not in ('pg_catalog', 'information_schema', 'lockstep')
           and n.nspname not like 'pg\\_toast%' and n.nspname not like 'pg\\_temp\\_%'
           and ($1::text is null or (n.nspname, c.relname) > ($1::pg_catalog.name, $2::pg_catalog.name))
           and ($4::text is null or (n.nspname = $4::text and c.relname = $5::text))
         order by n.nspname, c.relname
         limit $3::int8
      )
      select c.oid::text as oid, c.nspname::text as schema, c.relname::text as name, c.relkind::text as kind,
             c.relpersistence::text as persistence, c.relreplident::text as replica_identity,
             identity.index_name as replica_identity_index,
             coalesce(c.relreplident = 'f' or identity.index_name is not null, false) as replica_identity_usable,
             key.index_name as primary_key,
             case when c.reltuples = 0 and c.relpages = 0 then null else c.reltuples::float8 end as rows_estimate,
             case when blocked.relation is null then pg_catalog.pg_total_relation_size(c.oid)::text end as total_bytes,
             case when blocked.relation is null then pg_catalog.pg_table_size(c.oid)::text end as table_bytes,
             case when blocked.relation is null then pg_catalog.pg_indexes_size(c.oid)::text end as index_bytes,
             parent.nspname::text as parent_schema, parent.relname::text as parent_name,
             exists (select 1 from pg_catalog.pg_depend d
                      where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
                        and d.deptype = 'e') as of_extension,
             case when c.relreplident = 'f' then ${columnsWithoutEquality('c.oid')} end as columns_without_equality
        from page c
        left join lateral (
          select ic.relname::text as index_name
            from pg_catalog.pg_index i
            join pg_catalog.pg_class ic on ic.oid = i.indexrelid
           where i.indrelid = c.oid and i.indisvalid and i.indimmediate
             and ((c.relreplident = 'd' and i.indisprimary) or (c.relreplident = 'i' and i.indisreplident))
           limit 1) identity on true
        left join lateral (
          select ic.relname::text as index_name
            from pg_catalog.pg_index i
            join pg_catalog.pg_class ic on ic.oid = i.indexrelid
           where i.indrelid = c.oid and i.indisprimary
           limit 1) key on true
        left join lateral (
          select pn.nspname, pc.relname
            from pg_catalog.pg_inherits h
            join pg_catalog.pg_class pc on pc.oid = h.inhparent
            join pg_catalog.pg_namespace pn on pn.oid = pc.relnamespace
           where h.inhrelid = c.oid and c.relispartition
           limit 1) parent on true
        left join (
          select distinct l.relation
            from pg_catalog.pg_locks l
           where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock'
             and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
        ) blocked on blocked.relation = c.oid
       order by c.nspname, c.relname`,
  },
  {
    since: PG14,
    sql: `
      with page as materialized (
        select c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, c.reltuples, c.relpages,
               c.relispartition
          from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p', 'f', 'm')
           and c.relpersistence <> 't'
           and n.nspname not in ('pg_catalog', 'information_schema', 'lockstep')
           and n.nspname not like 'pg\\_toast%' and n.nspname not like 'pg\\_temp\\_%'
           and ($1::text is null or (n.nspname, c.relname) > ($1::pg_catalog.name, $2::pg_catalog.name))
           and ($4::text is null or (n.nspname = $4::text and c.relname = $5::text))
         order by n.nspname, c.relname
         limit $3::int8
      )
      select c.oid::text as oid, c.nspname::text as schema, c.relname::text as name, c.relkind::text as kind,
             c.relpersistence::text as persistence, c.relreplident::text as replica_identity,
             identity.index_name as replica_identity_index,
             coalesce(c.relreplident = 'f' or identity.index_name is not null, false) as replica_identity_usable,
             key.index_name as primary_key,
             case when c.reltuples >= 0 then c.reltuples::float8 end as rows_estimate,
             case when blocked.relation is null then pg_catalog.pg_total_relation_size(c.oid)::text end as total_bytes,
             case when blocked.relation is null then pg_catalog.pg_table_size(c.oid)::text end as table_bytes,
             case when blocked.relation is null then pg_catalog.pg_indexes_size(c.oid)::text end as index_bytes,
             parent.nspname::text as parent_schema, parent.relname::text as parent_name,
             exists (select 1 from pg_catalog.pg_depend d
                      where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
                        and d.deptype = 'e') as of_extension,
             case when c.relreplident = 'f' then ${columnsWithoutEquality('c.oid')} end as columns_without_equality
        from page c
        left join lateral (
          select ic.relname::text as index_name
            from pg_catalog.pg_index i
            join pg_catalog.pg_class ic on ic.oid = i.indexrelid
           where i.indrelid = c.oid and i.indisvalid and i.indimmediate
             and ((c.relreplident = 'd' and i.indisprimary) or (c.relreplident = 'i' and i.indisreplident))
           limit 1) identity on true
        left join lateral (
          select ic.relname::text as index_name
            from pg_catalog.pg_index i
            join pg_catalog.pg_class ic on ic.oid = i.indexrelid
           where i.indrelid = c.oid and i.indisprimary
           limit 1) key on true
        left join lateral (
          select pn.nspname, pc.relname
            from pg_catalog.pg_inherits h
            join pg_catalog.pg_class pc on pc.oid = h.inhparent
            join pg_catalog.pg_namespace pn on pn.oid = pc.relnamespace
           where h.inhrelid = c.oid and c.relispartition
           limit 1) parent on true
        left join (
          select distinct l.relation
            from pg_catalog.pg_locks l
           where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock'
             and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
        ) blocked on blocked.relation = c.oid
       order by c.nspname, c.relname`,
  },
];
