import { PG13, PG15 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * What there is to copy of the tables `$1` (schemas) and `$2` (names), the leaves of a partitioned one together, as the
 * publications `$3` send them. Rows are estimated as the planner does; null: never vacuumed or analyzed. `filtered`:
 * every publication of the table sends only some of its rows.
 * `offset 0`: a partition tree passes for 500 leaves, and pg_class would be scanned for each table.
 */
export const TABLE_SIZES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select n.nspname::text as schema, c.relname::text as name, size.bytes::text as bytes, size.rows::float8 as rows,
             false as filtered
        from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) as w (schema, name)
        join pg_catalog.pg_namespace n on n.nspname = w.schema
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
        cross join lateral (
          select coalesce(pg_catalog.sum(pg_catalog.pg_table_size(l.oid)), 0) as bytes,
                 case when pg_catalog.bool_and(pages.now = 0 or l.relpages > 0 and l.reltuples >= 0)
                      then pg_catalog.sum(case when pages.now = 0 then 0 else l.reltuples / nullif(l.relpages, 0) * pages.now end) end as rows
            from (select c.oid as oid where c.relkind <> 'p'
                  union all
                  select t.relid from pg_catalog.pg_partition_tree(c.oid) t where t.isleaf and c.relkind = 'p') leaf
           cross join lateral (select x.* from pg_catalog.pg_class x where x.oid = leaf.oid offset 0) l
            cross join lateral (select pg_catalog.pg_relation_size(l.oid)
                                       / pg_catalog.current_setting('block_size')::float8 as now) pages) size
       order by n.nspname, c.relname`,
  },
  {
    since: PG15,
    sql: `
      with published as materialized (
        select p.schemaname, p.tablename, pg_catalog.bool_and(p.rowfilter is not null) as filtered
          from pg_catalog.pg_publication_tables p
         where p.pubname = any ($3::name[])
         group by p.schemaname, p.tablename)
      select n.nspname::text as schema, c.relname::text as name, size.bytes::text as bytes, size.rows::float8 as rows,
             coalesce(published.filtered, false) as filtered
        from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) as w (schema, name)
        join pg_catalog.pg_namespace n on n.nspname = w.schema
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
        left join published on published.schemaname = n.nspname and published.tablename = c.relname
        cross join lateral (
          select coalesce(pg_catalog.sum(pg_catalog.pg_table_size(l.oid)), 0) as bytes,
                 case when pg_catalog.bool_and(pages.now = 0 or l.relpages > 0 and l.reltuples >= 0)
                      then pg_catalog.sum(case when pages.now = 0 then 0 else l.reltuples / nullif(l.relpages, 0) * pages.now end) end as rows
            from (select c.oid as oid where c.relkind <> 'p'
                  union all
                  select t.relid from pg_catalog.pg_partition_tree(c.oid) t where t.isleaf and c.relkind = 'p') leaf
           cross join lateral (select x.* from pg_catalog.pg_class x where x.oid = leaf.oid offset 0) l
            cross join lateral (select pg_catalog.pg_relation_size(l.oid)
                                       / pg_catalog.current_setting('block_size')::float8 as now) pages) size
       order by n.nspname, c.relname`,
  },
];
