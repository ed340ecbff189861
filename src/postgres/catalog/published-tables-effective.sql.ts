import { PG13, PG15, PG18 } from '../../shared/server-version.js';
import { columnsWithoutEquality } from './equality.sql.js';
import type { Variant } from './variant.js';

/**
 * The tables the publications `$1` (text[]) really publish, as pg_publication_tables lists them, after `$2`.`$3` (null: from the
 * first on) and at most `$4` (null: all), with all that decides whether an UPDATE or DELETE of them fails on the
 * publisher. That is decided by the replica identity of every relation that holds rows, so for a partitioned table by
 * each of its leaves. `broken` are those where they fail: `lacking` a replica identity; with a row filter that uses
 * columns outside of it; with some of it `unlisted` in the column list; with a generated column of it `unpublished`
 * (18). Beside it stands what would be fit to be the replica identity: an index, the primary key if it can be, or all
 * columns (`full`), unless subscribers could not compare some (`incomparable`); where all columns are it already, and the
 * relation has no primary key that subscribers use instead, `full_incomparable` lists such columns, in a list of its own for
 * each set of them. The columns a filter uses are read from its stored expression, where a column is a Var with its
 * number. Before 18 generated columns are never sent, though the view of 15 lists them.
 * `offset 0`: a partition tree passes for 500 leaves, and pg_class would be scanned for each table.
 */
export const PUBLISHED_TABLES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select t.pubname::text as publication,
             t.schemaname::text as schema,
             t.tablename::text as name,
             (select pg_catalog.jsonb_agg(a.attname order by a.attnum)
                from pg_catalog.pg_attribute a
               where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
             null::text as where,
             c.relreplident::text as replica_identity,
             leaves.identity_columns, leaves.broken, leaves.full_incomparable
        from (select v.*
                from pg_catalog.pg_publication_tables v
               where v.pubname = any ($1::text[])
                 and ($2::text is null or (v.schemaname, v.tablename) > ($2::pg_catalog.name, $3::pg_catalog.name))
               order by v.schemaname, v.tablename, v.pubname
               limit $4::int8) t
        join pg_catalog.pg_publication p on p.pubname = t.pubname
        join pg_catalog.pg_namespace n on n.nspname = t.schemaname
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
       cross join lateral (
          select coalesce(pg_catalog.jsonb_agg(distinct ic.name) filter (where ic.name is not null), '[]') as identity_columns,
                 coalesce(pg_catalog.jsonb_agg(distinct pg_catalog.jsonb_build_object(
                   'schema', ln.nspname, 'name', l.relname,
                   'lacking', b.lacking, 'filterOutside', b.filter_outside,
                   'unlisted', b.unlisted, 'unpublished', b.unpublished,
                   'primaryKey', fit.is_primary, 'index', fit.index, 'full', comparing.lacking = '{}',
                   'incomparable', comparing.lacking))
                   filter (where b.lacking or b.filter_outside or b.unlisted or b.unpublished), '[]') as broken,
                 coalesce(pg_catalog.jsonb_agg(distinct pg_catalog.to_jsonb(comparing.lacking))
                   filter (where l.relreplident = 'f' and comparing.lacking <> '{}'), '[]') as full_incomparable
            from (select c.oid as relid where c.relkind <> 'p'
                  union all
                  select tree.relid from pg_catalog.pg_partition_tree(c.oid) tree where tree.isleaf and c.relkind = 'p') leaf
           cross join lateral (select x.* from pg_catalog.pg_class x where x.oid = leaf.relid offset 0) l
            join pg_catalog.pg_namespace ln on ln.oid = l.relnamespace
            left join lateral (
              select i.indexrelid as index,
                     array(select a.attname::text
                             from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality k (attnum, position)
                             join pg_catalog.pg_attribute a on a.attrelid = l.oid and a.attnum = k.attnum
                            where k.position <= i.indnkeyatts) as columns
                from pg_catalog.pg_index i
               where i.indrelid = l.oid and i.indisvalid and i.indimmediate
                 and ((l.relreplident = 'd' and i.indisprimary) or (l.relreplident = 'i' and i.indisreplident))
               limit 1) identity on true
            cross join lateral (select identity.index, coalesce(identity.columns, '{}') as columns) ri
            cross join lateral (
              select l.relreplident <> 'f' and ri.index is null as lacking,
                     false as filter_outside,
                     false as unlisted,
                     false as unpublished) b
            left join lateral (
              select i.indisprimary as is_primary, x.relname::text as index
                from pg_catalog.pg_index i
                join pg_catalog.pg_class x on x.oid = i.indexrelid
               cross join lateral (
                 select array(select a.attname::text
                                from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality k (attnum, position)
                                join pg_catalog.pg_attribute a on a.attrelid = l.oid and a.attnum = k.attnum
                               where k.position <= i.indnkeyatts and a.attnotnull) as columns) key
               where (b.lacking or b.filter_outside or b.unlisted or b.unpublished)
                 and i.indrelid = l.oid and i.indisunique and i.indisvalid and i.indimmediate
                 and i.indpred is null and i.indexprs is null
                 and pg_catalog.cardinality(key.columns) = i.indnkeyatts
               order by i.indisprimary desc, x.relname
               limit 1) fit on true
            left join lateral (
              select ${columnsWithoutEquality('l.oid')} as lacking
               where b.lacking or b.filter_outside or b.unlisted or b.unpublished
                  or (l.relreplident = 'f'
                      and not exists (select from pg_catalog.pg_index i
                                       where i.indrelid = l.oid and i.indisprimary and i.indisvalid))) comparing on true
            left join lateral (
              select a.attname as name from pg_catalog.pg_attribute a
               where a.attrelid = l.oid and a.attnum > 0 and not a.attisdropped
                 and (l.relreplident = 'f' or a.attname = any (ri.columns))) ic on true
           where l.relkind = 'r' and l.relpersistence = 'p') leaves
       order by t.schemaname, t.tablename, t.pubname`,
  },
  {
    since: PG15,
    sql: `
      select t.pubname::text as publication,
             t.schemaname::text as schema,
             t.tablename::text as name,
             (select pg_catalog.jsonb_agg(a.attname order by a.attnum)
                from pg_catalog.pg_attribute a
               where a.attrelid = c.oid and a.attname = any (t.attnames) and a.attgenerated = '') as columns,
             t.rowfilter::text as where,
             c.relreplident::text as replica_identity,
             leaves.identity_columns, leaves.broken, leaves.full_incomparable
        from (select v.*
                from pg_catalog.pg_publication_tables v
               where v.pubname = any ($1::text[])
                 and ($2::text is null or (v.schemaname, v.tablename) > ($2::pg_catalog.name, $3::pg_catalog.name))
               order by v.schemaname, v.tablename, v.pubname
               limit $4::int8) t
        join pg_catalog.pg_publication p on p.pubname = t.pubname
        join pg_catalog.pg_namespace n on n.nspname = t.schemaname
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
       cross join lateral (
          select case when r.prattrs is not null
                      then array(select a.attname::text from pg_catalog.unnest(r.prattrs::pg_catalog.int2[]) k (attnum)
                                   join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum) end as listed,
                 array(select distinct a.attname::text
                         from pg_catalog.regexp_matches(r.prqual::text, ':varattno (\\d+)', 'g') v (found)
                         join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = v.found[1]::pg_catalog.int2) as filter
            from (select 1) one
            left join pg_catalog.pg_publication_rel r on r.prpubid = p.oid and r.prrelid = c.oid) d
       cross join lateral (
          select coalesce(pg_catalog.jsonb_agg(distinct ic.name) filter (where ic.name is not null), '[]') as identity_columns,
                 coalesce(pg_catalog.jsonb_agg(distinct pg_catalog.jsonb_build_object(
                   'schema', ln.nspname, 'name', l.relname,
                   'lacking', b.lacking, 'filterOutside', b.filter_outside,
                   'unlisted', b.unlisted, 'unpublished', b.unpublished,
                   'primaryKey', fit.is_primary, 'index', fit.index, 'full', d.listed is null and comparing.lacking = '{}',
                   'incomparable', comparing.lacking))
                   filter (where b.lacking or b.filter_outside or b.unlisted or b.unpublished), '[]') as broken,
                 coalesce(pg_catalog.jsonb_agg(distinct pg_catalog.to_jsonb(comparing.lacking))
                   filter (where l.relreplident = 'f' and comparing.lacking <> '{}'), '[]') as full_incomparable
            from (select c.oid as relid where c.relkind <> 'p'
                  union all
                  select tree.relid from pg_catalog.pg_partition_tree(c.oid) tree where tree.isleaf and c.relkind = 'p') leaf
           cross join lateral (select x.* from pg_catalog.pg_class x where x.oid = leaf.relid offset 0) l
            join pg_catalog.pg_namespace ln on ln.oid = l.relnamespace
            left join lateral (
              select i.indexrelid as index,
                     array(select a.attname::text
                             from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality k (attnum, position)
                             join pg_catalog.pg_attribute a on a.attrelid = l.oid and a.attnum = k.attnum
                            where k.position <= i.indnkeyatts) as columns
                from pg_catalog.pg_index i
               where i.indrelid = l.oid and i.indisvalid and i.indimmediate
                 and ((l.relreplident = 'd' and i.indisprimary) or (l.relreplident = 'i' and i.indisreplident))
               limit 1) identity on true
            cross join lateral (select identity.index, coalesce(identity.columns, '{}') as columns) ri
            cross join lateral (
              select l.relreplident <> 'f' and ri.index is null as lacking,
                     l.relreplident <> 'f' and not d.filter <@ ri.columns as filter_outside,
                     d.listed is not null and (l.relreplident = 'f' or not ri.columns <@ d.listed) as unlisted,
                     false as unpublished) b
            left join lateral (
              select i.indisprimary as is_primary, x.relname::text as index
                from pg_catalog.pg_index i
                join pg_catalog.pg_class x on x.oid = i.indexrelid
               cross join lateral (
                 select array(select a.attname::text
                                from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality k (attnum, position)
                                join pg_catalog.pg_attribute a on a.attrelid = l.oid and a.attnum = k.attnum
                               where k.position <= i.indnkeyatts and a.attnotnull) as columns) key
               where (b.lacking or b.filter_outside or b.unlisted or b.unpublished)
                 and i.indrelid = l.oid and i.indisunique and i.indisvalid and i.indimmediate
                 and i.indpred is null and i.indexprs is null
                 and pg_catalog.cardinality(key.columns) = i.indnkeyatts
                 and (d.listed is null or key.columns <@ d.listed) and d.filter <@ key.columns
               order by i.indisprimary desc, x.relname
               limit 1) fit on true
            left join lateral (
              select ${columnsWithoutEquality('l.oid')} as lacking
               where b.lacking or b.filter_outside or b.unlisted or b.unpublished
                  or (l.relreplident = 'f'
                      and not exists (select from pg_catalog.pg_index i
                                       where i.indrelid = l.oid and i.indisprimary and i.indisvalid))) comparing on true
            left join lateral (
              select a.attname as name from pg_catalog.pg_attribute a
               where a.attrelid = l.oid and a.attnum > 0 and not a.attisdropped
                 and (l.relreplident = 'f' or a.attname = any (ri.columns))) ic on true
           where l.relkind = 'r' and l.relpersistence = 'p') leaves
       order by t.schemaname, t.tablename, t.pubname`,
  },
  {
    since: PG18,
    sql: `
      select t.pubname::text as publication,
             t.schemaname::text as schema,
             t.tablename::text as name,
             pg_catalog.to_jsonb(t.attnames) as columns,
             t.rowfilter::text as where,
             c.relreplident::text as replica_identity,
             leaves.identity_columns, leaves.broken, leaves.full_incomparable
        from (select v.*
                from pg_catalog.pg_publication_tables v
               where v.pubname = any ($1::text[])
                 and ($2::text is null or (v.schemaname, v.tablename) > ($2::pg_catalog.name, $3::pg_catalog.name))
               order by v.schemaname, v.tablename, v.pubname
               limit $4::int8) t
        join pg_catalog.pg_publication p on p.pubname = t.pubname
        join pg_catalog.pg_namespace n on n.nspname = t.schemaname
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
       cross join lateral (
          select case when r.prattrs is not null
                      then array(select a.attname::text from pg_catalog.unnest(r.prattrs::pg_catalog.int2[]) k (attnum)
                                   join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum) end as listed,
                 array(select distinct a.attname::text
                         from pg_catalog.regexp_matches(r.prqual::text, ':varattno (\\d+)', 'g') v (found)
                         join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = v.found[1]::pg_catalog.int2) as filter
            from (select 1) one
            left join pg_catalog.pg_publication_rel r on r.prpubid = p.oid and r.prrelid = c.oid) d
       cross join lateral (
          select coalesce(pg_catalog.jsonb_agg(distinct ic.name) filter (where ic.name is not null), '[]') as identity_columns,
                 coalesce(pg_catalog.jsonb_agg(distinct pg_catalog.jsonb_build_object(
                   'schema', ln.nspname, 'name', l.relname,
                   'lacking', b.lacking, 'filterOutside', b.filter_outside,
                   'unlisted', b.unlisted, 'unpublished', b.unpublished,
                   'primaryKey', fit.is_primary, 'index', fit.index, 'full', d.listed is null and hidden.columns = '{}' and comparing.lacking = '{}',
                   'incomparable', comparing.lacking))
                   filter (where b.lacking or b.filter_outside or b.unlisted or b.unpublished), '[]') as broken,
                 coalesce(pg_catalog.jsonb_agg(distinct pg_catalog.to_jsonb(comparing.lacking))
                   filter (where l.relreplident = 'f' and comparing.lacking <> '{}'), '[]') as full_incomparable
            from (select c.oid as relid where c.relkind <> 'p'
                  union all
                  select tree.relid from pg_catalog.pg_partition_tree(c.oid) tree where tree.isleaf and c.relkind = 'p') leaf
           cross join lateral (select x.* from pg_catalog.pg_class x where x.oid = leaf.relid offset 0) l
            join pg_catalog.pg_namespace ln on ln.oid = l.relnamespace
            left join lateral (
              select i.indexrelid as index,
                     array(select a.attname::text
                             from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality k (attnum, position)
                             join pg_catalog.pg_attribute a on a.attrelid = l.oid and a.attnum = k.attnum
                            where k.position <= i.indnkeyatts) as columns
                from pg_catalog.pg_index i
               where i.indrelid = l.oid and i.indisvalid and i.indimmediate
                 and ((l.relreplident = 'd' and i.indisprimary) or (l.relreplident = 'i' and i.indisreplident))
               limit 1) identity on true
            cross join lateral (select identity.index, coalesce(identity.columns, '{}') as columns) ri
            cross join lateral (
              select array(select g.attname::text from pg_catalog.pg_attribute g
                            where g.attrelid = l.oid and g.attnum > 0 and not g.attisdropped
                              and (g.attgenerated = 'v' or (g.attgenerated = 's' and p.pubgencols <> 's'))) as columns) hidden
            cross join lateral (
              select l.relreplident <> 'f' and ri.index is null as lacking,
                     l.relreplident <> 'f' and not d.filter <@ ri.columns as filter_outside,
                     d.listed is not null and (l.relreplident = 'f' or not ri.columns <@ d.listed) as unlisted,
                     case when l.relreplident = 'f' then hidden.columns <> '{}'
                                 else d.listed is null and hidden.columns && ri.columns end as unpublished) b
            left join lateral (
              select i.indisprimary as is_primary, x.relname::text as index
                from pg_catalog.pg_index i
                join pg_catalog.pg_class x on x.oid = i.indexrelid
               cross join lateral (
                 select array(select a.attname::text
                                from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality k (attnum, position)
                                join pg_catalog.pg_attribute a on a.attrelid = l.oid and a.attnum = k.attnum
                               where k.position <= i.indnkeyatts and a.attnotnull) as columns) key
               where (b.lacking or b.filter_outside or b.unlisted or b.unpublished)
                 and i.indrelid = l.oid and i.indisunique and i.indisvalid and i.indimmediate
                 and i.indpred is null and i.indexprs is null
                 and pg_catalog.cardinality(key.columns) = i.indnkeyatts
                 and (d.listed is null or key.columns <@ d.listed) and d.filter <@ key.columns
                 and (d.listed is not null or not key.columns && hidden.columns)
               order by i.indisprimary desc, x.relname
               limit 1) fit on true
            left join lateral (
              select ${columnsWithoutEquality('l.oid')} as lacking
               where b.lacking or b.filter_outside or b.unlisted or b.unpublished
                  or (l.relreplident = 'f'
                      and not exists (select from pg_catalog.pg_index i
                                       where i.indrelid = l.oid and i.indisprimary and i.indisvalid))) comparing on true
            left join lateral (
              select a.attname as name from pg_catalog.pg_attribute a
               where a.attrelid = l.oid and a.attnum > 0 and not a.attisdropped
                 and (l.relreplident = 'f' or a.attname = any (ri.columns))) ic on true
           where l.relkind = 'r' and l.relpersistence = 'p') leaves
       order by t.schemaname, t.tablename, t.pubname`,
  },
];
