import { PG13, PG15 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * Tables that several of the publications `$1` (text[]) send, and not alike: other columns, or other row filters (none is
 * one too). Before 15 there are neither.
 */
export const PUBLISHED_DIFFERENTLY: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select null::text as schema, null::text as name, false as columns_differ, false as filters_differ
       where $1::text[] is null and false`,
  },
  {
    since: PG15,
    sql: `
      select sent.schema, sent.name, sent.columns > 1 as columns_differ, sent.filters > 1 as filters_differ
        from (select t.schemaname::text as schema, t.tablename::text as name,
                     pg_catalog.count(distinct columns.names) as columns,
                     pg_catalog.count(distinct coalesce(t.rowfilter, '')) as filters
                from pg_catalog.pg_publication_tables t
               cross join lateral (
                 select pg_catalog.array_agg(a.name order by a.name) as names
                   from pg_catalog.unnest(t.attnames::text[]) as a (name)) columns
               where t.pubname = any ($1::name[])
               group by t.schemaname, t.tablename) sent
       where sent.columns > 1 or sent.filters > 1
       order by sent.schema, sent.name`,
  },
];
