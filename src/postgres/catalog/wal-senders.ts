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

export async function readWalSenders(session: Session): Promise<WalSender[]> {
  const rows = await session.rows<{
    pid: number;
    user: string | null;
    application_name: string | null;
    client_addr: string | null;
    state: string | null;
  }>(variantFor(WAL_SENDERS, session.versionNum));
  return rows.map(({ pid, user, application_name, client_addr, state }) => ({
    ...{ pid, user, application: application_name, clientAddress: client_addr, state },
  }));
}
