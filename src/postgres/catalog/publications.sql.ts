import { PG13, PG15, PG18 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * Publications of the database by name: the one named `$1` (null: all), those after `$2` (null: from the first on), at
 * most `$3` (null: all). Their tables are gathered for the whole page at once: before 15 no index leads to those of one.
 */
export const PUBLICATIONS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      with page as materialized (
        select p.*
          from pg_catalog.pg_publication p
         where ($1::text is null or p.pubname = $1::text)
           and ($2::text is null or p.pubname > $2::pg_catalog.name)
         order by p.pubname
         limit $3::int8
      ), listed as (
        select r.prpubid,
               pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                 'schema', n.nspname, 'name', c.relname,
                 'columns', null, 'where', null)
                 order by n.nspname, c.relname) as tables
          from page
          join pg_catalog.pg_publication_rel r on r.prpubid = page.oid
          join pg_catalog.pg_class c on c.oid = r.prrelid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         group by r.prpubid
      )
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
             coalesce(listed.tables, '[]') as tables
        from page p
        left join listed on listed.prpubid = p.oid
       order by p.pubname`,
  },
  {
    since: PG15,
    sql: `
      with page as materialized (
        select p.*
          from pg_catalog.pg_publication p
         where ($1::text is null or p.pubname = $1::text)
           and ($2::text is null or p.pubname > $2::pg_catalog.name)
         order by p.pubname
         limit $3::int8
      ), listed as (
        select r.prpubid,
               pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                 'schema', n.nspname, 'name', c.relname,
                 'columns', (select pg_catalog.jsonb_agg(a.attname order by k.position)
                               from pg_catalog.unnest(r.prattrs::pg_catalog.int2[]) with ordinality k (attnum, position)
                               join pg_catalog.pg_attribute a on a.attrelid = r.prrelid and a.attnum = k.attnum),
                 'where', pg_catalog.pg_get_expr(r.prqual, r.prrelid))
                 order by n.nspname, c.relname) as tables
          from page
          join pg_catalog.pg_publication_rel r on r.prpubid = page.oid
          join pg_catalog.pg_class c on c.oid = r.prrelid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         group by r.prpubid
      )
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
             coalesce(listed.tables, '[]') as tables
        from page p
        left join listed on listed.prpubid = p.oid
       order by p.pubname`,
  },
  {
    since: PG18,
    sql: `
      with page as materialized (
        select p.*
          from pg_catalog.pg_publication p
         where ($1::text is null or p.pubname = $1::text)
           and ($2::text is null or p.pubname > $2::pg_catalog.name)
         order by p.pubname
         limit $3::int8
      ), listed as (
        select r.prpubid,
               pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                 'schema', n.nspname, 'name', c.relname,
                 'columns', (select pg_catalog.jsonb_agg(a.attname order by k.position)
                               from pg_catalog.unnest(r.prattrs::pg_catalog.int2[]) with ordinality k (attnum, position)
                               join pg_catalog.pg_attribute a on a.attrelid = r.prrelid and a.attnum = k.attnum),
                 'where', pg_catalog.pg_get_expr(r.prqual, r.prrelid))
                 order by n.nspname, c.relname) as tables
          from page
          join pg_catalog.pg_publication_rel r on r.prpubid = page.oid
          join pg_catalog.pg_class c on c.oid = r.prrelid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         group by r.prpubid
      )
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
             coalesce(listed.tables, '[]') as tables
        from page p
        left join listed on listed.prpubid = p.oid
       order by p.pubname`,
  },
];

/** What the publications `$1` (text[]) publish, without their tables: they may be many. */
export const PUBLICATION_OPERATIONS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select p.pubname::text as name, p.pubinsert as publishes_insert, p.pubupdate as publishes_update,
             p.pubdelete as publishes_delete, p.pubtruncate as publishes_truncate
        from pg_catalog.pg_publication p
       where p.pubname = any ($1::text[])`,
  },
];
