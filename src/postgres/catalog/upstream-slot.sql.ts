import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** The slot that a standby asks its upstream for; empty without one. */
export const UPSTREAM_SLOT: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select pg_catalog.pg_is_in_recovery() as standby,
             pg_catalog.current_setting('primary_slot_name') as slot`,
  },
];
