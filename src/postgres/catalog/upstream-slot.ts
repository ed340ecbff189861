import type { Session } from '../session.js';
import { UPSTREAM_SLOT } from './upstream-slot.sql.js';
import { variantFor } from './variant.js';

/** The slot of its upstream that the server, as a standby, streams from; null: none, or it is no standby. */
export async function readUpstreamSlot(session: Session): Promise<string | null> {
  const sql = variantFor(UPSTREAM_SLOT, session.versionNum);
  const { standby, slot } = await session.row<{ standby: boolean; slot: string }>(sql);
  return standby && slot !== '' ? slot : null;
}
