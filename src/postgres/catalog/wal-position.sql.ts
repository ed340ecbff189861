import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** End of this server's WAL: as a primary what it inserted, as a standby what it received; null before either. */
export const WAL_END: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select (case when pg_catalog.pg_is_in_recovery()
                   then coalesce(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
                   else pg_catalog.pg_current_wal_insert_lsn() end)::text as lsn`,
  },
];
