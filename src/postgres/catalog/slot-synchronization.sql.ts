import { PG17 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** Settings that decide whether a standby holds copies of the primary's failover slots, and who waits for whom. */
export const SLOT_SYNCHRONIZATION: readonly Variant[] = [
  {
    since: PG17,
    sql: `
      select pg_catalog.pg_is_in_recovery() as standby,
             pg_catalog.current_setting('sync_replication_slots')::boolean as synchronizes,
             pg_catalog.current_setting('hot_standby_feedback')::boolean as feedback,
             pg_catalog.current_setting('primary_slot_name') as upstream_slot,
             array(select pg_catalog.btrim(name, ' "')
                     from pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('synchronized_standby_slots'), ',')) name
                  ) as waited_for`,
  },
];
