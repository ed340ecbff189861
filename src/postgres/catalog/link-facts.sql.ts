import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** Whether the replication origin of the subscription with oid `$1` is there. Every login may see that. */
export const SUBSCRIPTION_ORIGIN: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select exists (select from pg_catalog.pg_replication_origin o where o.roname = 'pg_' || $1::int8::text) as present`,
  },
];

/** The server's system identifier, and the login that asks. */
export const SYSTEM_IDENTIFIER: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select case when pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
                  then (select s.system_identifier::text from pg_catalog.pg_control_system() s) end as identifier,
             current_user::text as login`,
  },
];
