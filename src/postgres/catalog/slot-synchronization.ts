import type { Session } from '../session.js';
import { SLOT_SYNCHRONIZATION } from './slot-synchronization.sql.js';
import { variantFor } from './variant.js';

/** From 17 on. */
export interface SlotSynchronization {
  /** The server is in recovery. */
  standby: boolean;
  /** sync_replication_slots. */
  synchronizes: boolean;
  /** hot_standby_feedback. */
  feedback: boolean;
  /** primary_slot_name; empty: none. */
  upstream_slot: string;
  /** synchronized_standby_slots: physical slots that logical senders wait for. */
  waited_for: string[];
}

export function readSlotSynchronization(session: Session): Promise<SlotSynchronization> {
  return session.row(variantFor(SLOT_SYNCHRONIZATION, session.versionNum));
}
