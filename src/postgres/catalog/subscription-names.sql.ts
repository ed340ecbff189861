import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * Subscriptions of database `$1`, or of every database of the server (null): pg_subscription is shared by all of them.
 * After `$2`.`$3` (database and name; null: from the first on), at most `$4` (null: all).
 */
export const SUBSCRIPTION_NAMES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select d.datname::text as database, s.subname::text as name
        from pg_catalog.pg_subscription s
        join pg_catalog.pg_database d on d.oid = s.subdbid
       where d.datallowconn
         and ($1::text is null or d.datname = $1::text)
         and ($2::text is null or (d.datname, s.subname) > ($2::pg_catalog.name, $3::pg_catalog.name))
       order by d.datname, s.subname
       limit $4::int8`,
  },
];
