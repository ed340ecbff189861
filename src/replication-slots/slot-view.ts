import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import type { WalSender } from '../postgres/catalog/wal-senders.js';
import type { SlotOutlook } from './slot-outlook.js';
import type { SlotOwner } from './slot-owners.js';

/** A slot with whom it is for and what is to come of it. */
export interface SlotView extends ReplicationSlot {
  /** Null: none was found; `ownerReason` says where was looked. */
  owner: SlotOwner | null;
  ownerReason: string | null;
  /** Servers that did not answer when owners were looked for: the slot may be theirs. */
  unanswered: string[];
  /** Nobody will read from it any more; null: that is not known. */
  orphan: boolean | null;
  /** Who streams from it now; null: nobody, or it may not be seen. */
  reader: WalSender | null;
  outlook: SlotOutlook;
}

/** What was found out about the owner of one slot. */
export function ownership(
  slot: ReplicationSlot,
  owner: SlotOwner | null,
  unanswered: string[],
): Pick<SlotView, 'owner' | 'ownerReason' | 'unanswered' | 'orphan'> {
  const away = unanswered.length > 0 ? `, and ${unanswered.join(', ')} did not answer` : '';
  // Whoever comes after a subscription may have taken up its slot; the names of all others are theirs alone.
  if (owner && !owner.live && owner.kind === 'subscription' && away !== '' && !slot.active) {
    return { owner, unanswered, ownerReason: `whoever it was kept for is over${away}`, orphan: null };
  }
  if (owner) return { owner, unanswered, ownerReason: null, orphan: slot.active ? false : !owner.live };
  const ownerReason = `nothing that is registered here reads from it${away}; a reader that is not registered may`;
  return { owner: null, unanswered, ownerReason, orphan: slot.active ? false : null };
}
