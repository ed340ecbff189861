import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** Of the tables `$1`.`$2` (text[], text[]: schemas and names, pairwise) those whose policies hold the session's role. */
export const TABLES_HIDING_ROWS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select n.nspname::text as schema, c.relname::text as name, current_user::text as login
        from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(schema, name)
        join pg_catalog.pg_namespace n on n.nspname = w.schema
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
       where c.relrowsecurity and pg_catalog.row_security_active(c.oid)
       order by n.nspname, c.relname`,
  },
];
