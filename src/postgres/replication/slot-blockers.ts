import { readSlotBlockers } from '../catalog/replication-slots.js';
import { cutText } from '../../shared/cut-text.js';
import type { Session } from '../session.js';

/** What a new logical slot, or a snapshot, has to wait for. Ages are in milliseconds by the server's clock. */
export interface TransactionBlocker {
  kind: 'session' | 'prepared-transaction';
  /** Null for a prepared transaction. */
  pid: number | null;
  xid: string | null;
  user: string | null;
  database: string | null;
  application: string | null;
  state: string | null;
  /** Set for a prepared transaction. */
  gid: string | null;
  transactionAgeMs: number | null;
  queryAgeMs: number | null;
  /** The statement text, at most 200 characters; null where the login may not see it. */
  query: string | null;
}

const MOST = 20;
const QUERY_LENGTH = 200;

/**
 * Transactions of the whole cluster that have an xid now, oldest first: those a slot being created waits for.
 * `exceptPid` is the creating session itself.
 */
export async function transactionBlockers(session: Session, exceptPid: number): Promise<TransactionBlocker[]> {
  const rows = await readSlotBlockers(session, { exceptPid, limit: MOST });
  return rows.map(({ pid, xid, user, database, application, state, ...row }) => ({
    kind: row.prepared_gid === null ? 'session' : 'prepared-transaction',
    ...{ pid, xid, user, database, application, state, gid: row.prepared_gid },
    transactionAgeMs: milliseconds(row.age_seconds),
    queryAgeMs: milliseconds(row.query_age_seconds),
    query: row.query === null ? null : cutText(row.query, QUERY_LENGTH),
  }));
}

function milliseconds(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1000;
}

/** One line a person can act on. */
export function describeBlocker(blocker: TransactionBlocker): string {
  const age =
    blocker.transactionAgeMs === null ? 'unknown age' : `${Math.round(blocker.transactionAgeMs / 1000)} s old`;
  if (blocker.kind === 'prepared-transaction') {
    return `prepared transaction "${blocker.gid}" of ${blocker.user} in database ${blocker.database}, ${age}`;
  }
  const who = `pid ${blocker.pid} (${blocker.user}, ${blocker.application || 'no application_name'})`;
  return `${who} in database ${blocker.database}, ${blocker.state ?? 'state unknown'}, transaction ${age}`;
}
