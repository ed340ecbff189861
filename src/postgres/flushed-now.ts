import { FLUSH_WAL, FLUSHED_WAL } from './catalog/upgrade.sql.js';
import type { Session } from './session.js';

/** Where the server's WAL ends, all of it flushed: a stream that has passed it has given everything committed before. */
export async function flushedNow(session: Session): Promise<string> {
  await session.execute(FLUSH_WAL);
  return (await session.row<{ lsn: string }>(FLUSHED_WAL)).lsn;
}

/**
 * Has a primary write out what was committed without waiting for it (synchronous_commit off): a walsender sends only
 * what is flushed. A standby has no other WAL.
 */
export async function flushCommits(session: Session): Promise<void> {
  const { standby } = await session.row<{ standby: boolean }>('select pg_catalog.pg_is_in_recovery() as standby');
  if (!standby) await session.execute(FLUSH_WAL);
}
