import { type Lsn, parseLsn } from '../../shared/lsn.js';
import type { Session } from '../session.js';
import { variantFor } from './variant.js';
import { WAL_END } from './wal-position.sql.js';

/** Where the server's WAL ends; null on a standby that has none yet. */
export async function readWalEnd(session: Session): Promise<Lsn | null> {
  const { lsn } = await session.row<{ lsn: string | null }>(variantFor(WAL_END, session.versionNum));
  return lsn === null ? null : parseLsn(lsn);
}
