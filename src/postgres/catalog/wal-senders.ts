import type { Session } from '../session.js';
import { variantFor } from './variant.js';
import { WAL_SENDERS } from './wal-senders.sql.js';

/** Who streams from a server. Null where the login may not see it. */
export interface WalSender {
  pid: number;
  user: string | null;
  application: string | null;
  clientAddress: string | null;
  state: string | null;
}

/** With how far it is in the server's WAL, and how far the other side reports to be. */
export interface WalSenderPositions extends WalSender {
  sentLsn: string | null;
  writeLsn: string | null;
  flushLsn: string | null;
  replayLsn: string | null;
}

export async function readWalSenders(session: Session): Promise<WalSender[]> {
  return (await readWalSenderPositions(session)).map(({ pid, user, application, clientAddress, state }) => {
    return { pid, user, application, clientAddress, state };
  });
}

export async function readWalSenderPositions(session: Session): Promise<WalSenderPositions[]> {
  const rows = await session.rows<{
    pid: number;
    user: string | null;
    application_name: string | null;
    client_addr: string | null;
    state: string | null;
    sent_lsn: string | null;
    write_lsn: string | null;
    flush_lsn: string | null;
    replay_lsn: string | null;
  }>(variantFor(WAL_SENDERS, session.versionNum));
  return rows.map(({ pid, user, application_name, client_addr, state, ...lsns }) => ({
    ...{ pid, user, application: application_name, clientAddress: client_addr, state },
    ...{ sentLsn: lsns.sent_lsn, writeLsn: lsns.write_lsn, flushLsn: lsns.flush_lsn, replayLsn: lsns.replay_lsn },
  }));
}
