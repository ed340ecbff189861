import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * Running transactions of which it is certain that no commit of theirs began before `$1` (timestamptz, of the server's
 * clock). A statement may be a COMMIT PREPARED also where a comment before it leaves no room for the rest of the text.
 */
export const UNCOMMITTED_SINCE: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select backend_xid::text as xid from pg_catalog.pg_stat_activity
       where backend_xid is not null and (state like 'idle in transaction%' or query_start > $1::timestamptz)
      union all
      select transaction::text from pg_catalog.pg_prepared_xacts
       where database <> pg_catalog.current_database() or not exists (
         select from pg_catalog.pg_stat_activity a
          where a.datname = pg_catalog.current_database() and a.pid <> pg_catalog.pg_backend_pid()
            and (a.backend_type is null
                 or a.backend_type in ('client backend', 'walsender')
                    and (a.state is null or a.state = 'disabled'
                         or a.state = 'active' and a.query_start <= $1::timestamptz
                            and (a.query ~* '\\mcommit\\M.*\\mprepared\\M'
                                 or pg_catalog.octet_length(a.query) >= pg_catalog.pg_size_bytes(
                                      pg_catalog.current_setting('track_activity_query_size')) - 8))
                 or a.backend_type like 'logical replication%' and a.backend_xmin is not null))`,
  },
];
