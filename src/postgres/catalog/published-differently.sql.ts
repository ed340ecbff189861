import { PG13, PG15, PG16, PG18 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** How a version of pgoutput tells the column lists of one table apart. */
interface Lists {
  /** Of `s`, a table as one publication sends it: text that is the same where the lists are. */
  columns: string;
  /** Over those rows of one table: whether the publications disagree about generated columns. */
  generatedDiffer: string;
  /** Of `p`, pg_publication: what it does with generated columns. */
  generated: string;
}

/**
 * Tables that several of the publications `$1` (text[]) send, and not alike: other columns, or other row filters (none is
 * one too). A partition that another of them sends as part of its root is not sent by itself. Where all of them send
 * nothing but TRUNCATE, nothing is compared. As pgoutput does (get_rel_sync_entry and what it calls).
 */
function differently({ columns, generatedDiffer, generated }: Lists): string {
  return `
      with asked as materialized (
        select p.oid, p.pubname, p.pubviaroot as via_root, p.pubinsert or p.pubupdate or p.pubdelete as changes,
               ${generated} as generated
          from pg_catalog.pg_publication p
         where p.pubname = any ($1::name[])
      ), sent as materialized (
        select n.nspname::text as schema, c.relname::text as name, c.oid, c.relkind, c.relnatts, c.relispartition,
               a.via_root, a.changes, a.generated, r.prattrs as listed, t.attnames, t.rowfilter
          from asked a
          join pg_catalog.pg_publication_tables t on t.pubname = a.pubname
          join pg_catalog.pg_namespace n on n.nspname = t.schemaname
          join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
          left join pg_catalog.pg_publication_rel r on r.prpubid = a.oid and r.prrelid = c.oid
      ), roots as materialized (
        select distinct sent.oid from sent where sent.via_root and sent.relkind = 'p'
      ), compared as (
        select s.schema, s.name,
               pg_catalog.count(distinct ${columns}) > 1 or ${generatedDiffer} as columns_differ,
               pg_catalog.count(distinct coalesce(s.rowfilter, '')) filter (where s.changes) > 1 as filters_differ
          from sent s
         where not (s.relispartition and exists (
                 select from pg_catalog.pg_partition_ancestors(s.oid) above (relid)
                   join roots on roots.oid = above.relid
                  where above.relid <> s.oid))
         group by s.schema, s.name
        having pg_catalog.bool_or(s.changes)
      )
      select compared.schema, compared.name, compared.columns_differ, compared.filters_differ
        from compared
       where compared.columns_differ or compared.filters_differ
       order by compared.schema, compared.name`;
}

const NAMES = `coalesce((select pg_catalog.array_agg(x.name order by x.name)
                          from pg_catalog.unnest(s.attnames::text[]) x (name))::text, '')`;
const HAS_GENERATED = `exists (select from pg_catalog.pg_attribute g
                      where g.attrelid = s.oid and g.attgenerated <> '' and not g.attisdropped)`;

export const PUBLISHED_DIFFERENTLY: readonly Variant[] = [
  {
    // Neither lists nor filters.
    since: PG13,
    sql: `
      select null::text as schema, null::text as name, false as columns_differ, false as filters_differ
       where $1::text[] is null and false`,
  },
  {
    // A list of all columns is none where it counts as many as the table ever had.
    since: PG15,
    sql: differently({
      columns: `case when pg_catalog.cardinality(s.listed::int2[]) <> s.relnatts then s.listed::text else '' end`,
      generatedDiffer: 'false',
      generated: 'null::text',
    }),
  },
  { since: PG16, sql: differently({ columns: NAMES, generatedDiffer: 'false', generated: 'null::text' }) },
  {
    // Without a list, what each does with generated columns, virtual ones too, has to be the same.
    since: PG18,
    sql: differently({
      columns: NAMES,
      generatedDiffer: `pg_catalog.count(distinct s.generated) filter (where s.listed is null and ${HAS_GENERATED}) > 1`,
      generated: 'p.pubgencols::text',
    }),
  },
];
