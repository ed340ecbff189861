import { FLUSH_WAL, FLUSHED_WAL } from './catalog/upgrade.sql.js';
import type { Session } from './session.js';

/** Where the server's WAL ends, all of it flushed: a stream that has passed it has given everything committed before. */
export async function flushedNow(session: Session): Promise<string> {
  await session.execute(FLUSH_WAL);
  return (await session.row<{ lsn: string }>(FLUSHED_WAL)).lsn;
}
