import type { Session } from '../session.js';
import { ACTIVE_SESSIONS, SLOT_PRESSURE } from './replication-pressure.sql.js';
import { variantFor } from './variant.js';

/** In bytes; null where there is no such slot, or no limit. */
export interface SlotPressure {
  /** Written since what the slowest of the slots has confirmed. */
  lagBytes: number | null;
  /** Kept for the slot that keeps most. */
  slotBytes: number | null;
  /** What a slot may keep before it is lost. */
  slotLimit: number | null;
}

export async function readSlotPressure(publisher: Session, slots: readonly string[]): Promise<SlotPressure> {
  return publisher.row<SlotPressure & Record<string, unknown>>(variantFor(SLOT_PRESSURE, publisher.versionNum), [
    slots,
  ]);
}

/** Null: the login may not see it. */
export async function readActiveSessions(session: Session): Promise<number | null> {
  const { sessions } = await session.row<{ sessions: number | null }>(variantFor(ACTIVE_SESSIONS, session.versionNum));
  return sessions;
}
