import { PG13, PG15, PG18 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** One publication. `$1` is its name, or null for all. */
export const PUBLICATIONS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select p.pubname::text as name,
             pg_catalog.pg_get_userbyid(p.pubowner)::text as owner,
             p.puballtables as all_tables,
             p.pubinsert as publishes_insert,
             p.pubupdate as publishes_update,
             p.pubdelete as publishes_delete,
             p.pubtruncate as publishes_truncate,
             p.pubviaroot as via_partition_root,
             'none'::text as generated_columns,
             '[]'::pg_catalog.jsonb as schemas,
             coalesce((
               select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                        'schema', n.nspname, 'name', c.relname, 'columns', null, 'where', null)
                        order by n.nspname, c.relname)
                 from pg_catalog.pg_publication_rel r
                 join pg_catalog.pg_class c on c.oid = r.prrelid
                 join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where r.prpubid = p.oid), '[]') as tables
        from pg_catalog.pg_publication p
       where $1::text is null or p.pubname = $1::text
       order by p.pubname`,
  },
  {
    since: PG15,
    sql: `
      select p.pubname::text as name,
             pg_catalog.pg_get_userbyid(p.pubowner)::text as owner,
             p.puballtables as all_tables,
             p.pubinsert as publishes_insert,
             p.pubupdate as publishes_update,
             p.pubdelete as publishes_delete,
             p.pubtruncate as publishes_truncate,
             p.pubviaroot as via_partition_root,
             'none'::text as generated_columns,
             coalesce((
               select pg_catalog.jsonb_agg(n.nspname order by n.nspname)
                 from pg_catalog.pg_publication_namespace s
                 join pg_catalog.pg_namespace n on n.oid = s.pnnspid
                where s.pnpubid = p.oid), '[]') as schemas,
             coalesce((
               select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                        'schema', n.nspname, 'name', c.relname,
                        'columns', (select pg_catalog.jsonb_agg(a.attname order by k.position)
                                      from pg_catalog.unnest(r.prattrs::pg_catalog.int2[]) with ordinality k (attnum, position)
                                      join pg_catalog.pg_attribute a on a.attrelid = r.prrelid and a.attnum = k.attnum),
                        'where', pg_catalog.pg_get_expr(r.prqual, r.prrelid))
                        order by n.nspname, c.relname)
                 from pg_catalog.pg_publication_rel r
                 join pg_catalog.pg_class c on c.oid = r.prrelid
                 join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where r.prpubid = p.oid), '[]') as tables
        from pg_catalog.pg_publication p
       where $1::text is null or p.pubname = $1::text
       order by p.pubname`,
  },
  {
    since: PG18,
    sql: `
      select p.pubname::text as name,
             pg_catalog.pg_get_userbyid(p.pubowner)::text as owner,
             p.puballtables as all_tables,
             p.pubinsert as publishes_insert,
             p.pubupdate as publishes_update,
             p.pubdelete as publishes_delete,
             p.pubtruncate as publishes_truncate,
             p.pubviaroot as via_partition_root,
             case p.pubgencols when 's' then 'stored' else 'none' end as generated_columns,
             coalesce((
               select pg_catalog.jsonb_agg(n.nspname order by n.nspname)
                 from pg_catalog.pg_publication_namespace s
                 join pg_catalog.pg_namespace n on n.oid = s.pnnspid
                where s.pnpubid = p.oid), '[]') as schemas,
             coalesce((
               select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                        'schema', n.nspname, 'name', c.relname,
                        'columns', (select pg_catalog.jsonb_agg(a.attname order by k.position)
                                      from pg_catalog.unnest(r.prattrs::pg_catalog.int2[]) with ordinality k (attnum, position)
                                      join pg_catalog.pg_attribute a on a.attrelid = r.prrelid and a.attnum = k.attnum),
                        'where', pg_catalog.pg_get_expr(r.prqual, r.prrelid))
                        order by n.nspname, c.relname)
                 from pg_catalog.pg_publication_rel r
                 join pg_catalog.pg_class c on c.oid = r.prrelid
                 join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where r.prpubid = p.oid), '[]') as tables
        from pg_catalog.pg_publication p
       where $1::text is null or p.pubname = $1::text
       order by p.pubname`,
  },
];

/**
 * The tables publication `$1` really publishes, as pg_publication_tables lists them, with what decides whether an
 * UPDATE or DELETE of them fails on the publisher: the replica identity of every relation that holds rows, so for
 * a partitioned table of each of its leaves. Before 18 generated columns are never sent, though the view of 15 lists
 * them.
 */
export const PUBLISHED_TABLES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select t.schemaname::text as schema,
             t.tablename::text as name,
             (select pg_catalog.jsonb_agg(a.attname order by a.attnum)
                from pg_catalog.pg_attribute a
               where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
             null::text as where,
             c.relreplident::text as replica_identity,
             not exists (
               select 1
                 from (select c.oid as relid where c.relkind <> 'p'
                       union all
                       select l.relid from pg_catalog.pg_partition_tree(c.oid) l where l.isleaf and c.relkind = 'p') leaf
                 join pg_catalog.pg_class lc on lc.oid = leaf.relid
                where lc.relkind = 'r' and lc.relreplident <> 'f'
                  and not exists (
                    select 1 from pg_catalog.pg_index i
                     where i.indrelid = lc.oid and i.indisvalid and i.indimmediate
                       and ((lc.relreplident = 'd' and i.indisprimary) or (lc.relreplident = 'i' and i.indisreplident)))
             ) as replica_identity_usable
        from pg_catalog.pg_publication_tables t
        join pg_catalog.pg_namespace n on n.nspname = t.schemaname
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
       where t.pubname = $1::text
       order by t.schemaname, t.tablename`,
  },
  {
    since: PG15,
    sql: `
      select t.schemaname::text as schema,
             t.tablename::text as name,
             (select pg_catalog.jsonb_agg(a.attname order by a.attnum)
                from pg_catalog.pg_attribute a
               where a.attrelid = c.oid and a.attname = any (t.attnames) and a.attgenerated = '') as columns,
             t.rowfilter::text as where,
             c.relreplident::text as replica_identity,
             not exists (
               select 1
                 from (select c.oid as relid where c.relkind <> 'p'
                       union all
                       select l.relid from pg_catalog.pg_partition_tree(c.oid) l where l.isleaf and c.relkind = 'p') leaf
                 join pg_catalog.pg_class lc on lc.oid = leaf.relid
                where lc.relkind = 'r' and lc.relreplident <> 'f'
                  and not exists (
                    select 1 from pg_catalog.pg_index i
                     where i.indrelid = lc.oid and i.indisvalid and i.indimmediate
                       and ((lc.relreplident = 'd' and i.indisprimary) or (lc.relreplident = 'i' and i.indisreplident)))
             ) as replica_identity_usable
        from pg_catalog.pg_publication_tables t
        join pg_catalog.pg_namespace n on n.nspname = t.schemaname
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
       where t.pubname = $1::text
       order by t.schemaname, t.tablename`,
  },
  {
    since: PG18,
    sql: `
      select t.schemaname::text as schema,
             t.tablename::text as name,
             pg_catalog.to_jsonb(t.attnames) as columns,
             t.rowfilter::text as where,
             c.relreplident::text as replica_identity,
             not exists (
               select 1
                 from (select c.oid as relid where c.relkind <> 'p'
                       union all
                       select l.relid from pg_catalog.pg_partition_tree(c.oid) l where l.isleaf and c.relkind = 'p') leaf
                 join pg_catalog.pg_class lc on lc.oid = leaf.relid
                where lc.relkind = 'r' and lc.relreplident <> 'f'
                  and not exists (
                    select 1 from pg_catalog.pg_index i
                     where i.indrelid = lc.oid and i.indisvalid and i.indimmediate
                       and ((lc.relreplident = 'd' and i.indisprimary) or (lc.relreplident = 'i' and i.indisreplident)))
             ) as replica_identity_usable
        from pg_catalog.pg_publication_tables t
        join pg_catalog.pg_namespace n on n.nspname = t.schemaname
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
       where t.pubname = $1::text
       order by t.schemaname, t.tablename`,
  },
];
