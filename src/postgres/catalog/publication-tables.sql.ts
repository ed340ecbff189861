import { PG13, PG16 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** What a subscriber of 15 or older asks: the tables of the publications `$1` (text[]), each publication by itself. */
const EACH_BY_ITSELF = `
      select distinct t.schemaname::text as schema, t.tablename::text as name
        from pg_catalog.pg_publication_tables t
       where t.pubname = any ($1::name[])
       order by schema, name`;

/**
 * The tables that a refresh of a subscription to the publications `$1` (text[]) is answered by this publisher, by the
 * version of the subscriber. From 16 on, where both are, a partition is left out that another publication sends as
 * part of its root.
 */
export function publicationTablesSql(subscriberVersion: number): readonly Variant[] {
  if (subscriberVersion < PG16) return [{ since: PG13, sql: EACH_BY_ITSELF }];
  return [
    { since: PG13, sql: EACH_BY_ITSELF },
    {
      since: PG16,
      sql: `
      select distinct n.nspname::text as schema, c.relname::text as name
        from (select coalesce(pg_catalog.array_agg(p.pubname::text), '{}') as names
                from pg_catalog.pg_publication p where p.pubname = any ($1::name[])) existing
        cross join lateral pg_catalog.pg_get_publication_tables(variadic existing.names) t
        join pg_catalog.pg_class c on c.oid = t.relid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       order by schema, name`,
    },
  ];
}

/** Those of the names `$1` (text[]) that are no publication of the database. */
export const MISSING_PUBLICATIONS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select w.name as name
        from pg_catalog.unnest($1::text[]) as w (name)
       where not exists (select from pg_catalog.pg_publication p where p.pubname = w.name)
       order by w.name`,
  },
];
