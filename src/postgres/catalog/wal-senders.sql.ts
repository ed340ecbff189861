import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** Walsenders with the slot each one streams from. A login without pg_monitor sees rows with null state and LSNs. */
export const WAL_SENDERS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select r.pid as pid, r.usename::text as user, r.application_name::text as application_name,
             pg_catalog.host(r.client_addr) as client_addr, r.client_port as client_port, r.backend_start as backend_start,
             r.state::text as state, r.sync_state::text as sync_state,
             r.sent_lsn::text as sent_lsn, r.write_lsn::text as write_lsn,
             r.flush_lsn::text as flush_lsn, r.replay_lsn::text as replay_lsn,
             r.reply_time as reply_time, s.slot_name::text as slot_name, s.slot_type::text as slot_kind
        from pg_catalog.pg_stat_replication r
        left join pg_catalog.pg_replication_slots s on s.active_pid = r.pid
       order by r.pid`,
  },
];
