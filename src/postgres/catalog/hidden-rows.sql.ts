import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * Of the tables `$1`.`$2` (text[], text[]: schemas and names, pairwise) those whose policies hold the role `$3`, or the
 * session's where that is null.
 */
export const TABLES_HIDING_ROWS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select n.nspname::text as schema, c.relname::text as name, r.rolname::text as login
        from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(schema, name)
        join pg_catalog.pg_namespace n on n.nspname = w.schema
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
        join pg_catalog.pg_roles r on r.rolname = coalesce($3::text, current_user)
       where c.relrowsecurity and not r.rolsuper and not r.rolbypassrls
         and (c.relforcerowsecurity or not pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE'))
       order by n.nspname, c.relname`,
  },
];
