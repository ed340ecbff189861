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
