import type { Session } from '../session.js';
import { variantFor } from './variant.js';
import { WAL_SENDERS } from './wal-senders.sql.js';

/** A walsender process (pg_stat_replication). State and LSNs are null for a login that may not see them. */
export interface WalSender {
  pid: number;
  user: string | null;
  applicationName: string | null;
  clientAddr: string | null;
  clientPort: number | null;
  backendStart: string | null;
  state: string | null;
  syncState: string | null;
  sentLsn: string | null;
  writeLsn: string | null;
  flushLsn: string | null;
  replayLsn: string | null;
  /** When the last status message came: a sign of life, never a measure of lag. */
  replyTime: string | null;
  slotName: string | null;
  slotKind: 'logical' | 'physical' | null;
}

interface WalSenderRow {
  pid: number;
  user: string | null;
  application_name: string | null;
  client_addr: string | null;
  client_port: number | null;
  backend_start: Date | null;
  state: string | null;
  sync_state: string | null;
  sent_lsn: string | null;
  write_lsn: string | null;
  flush_lsn: string | null;
  replay_lsn: string | null;
  reply_time: Date | null;
  slot_name: string | null;
  slot_kind: 'logical' | 'physical' | null;
}

export async function readWalSenders(session: Session): Promise<WalSender[]> {
  const rows = await session.rows<WalSenderRow>(variantFor(WAL_SENDERS, session.versionNum));
  return rows.map((row) => ({
    pid: row.pid,
    user: row.user,
    applicationName: row.application_name,
    clientAddr: row.client_addr,
    clientPort: row.client_port,
    backendStart: row.backend_start?.toISOString() ?? null,
    state: row.state,
    syncState: row.sync_state,
    sentLsn: row.sent_lsn,
    writeLsn: row.write_lsn,
    flushLsn: row.flush_lsn,
    replayLsn: row.replay_lsn,
    replyTime: row.reply_time?.toISOString() ?? null,
    slotName: row.slot_name,
    slotKind: row.slot_kind,
  }));
}
