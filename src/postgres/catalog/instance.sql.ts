import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** What tells apart servers of one system identifier: each has started at a moment of its own. */
export const INSTANCE: readonly Variant[] = [
  {
    since: PG13,
    sql: `select pg_catalog.pg_is_in_recovery() as standby, pg_catalog.pg_postmaster_start_time()::text as started`,
  },
];
