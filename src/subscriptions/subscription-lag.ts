import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import type { Subscription } from '../postgres/catalog/subscriptions.js';
import { type Lsn, maxLsn, parseLsn } from '../shared/lsn.js';

/** How far the subscriber is behind. Null is unknown, and then `reason` says why; it is never 0 for want of a figure. */
export interface SubscriptionLag {
  /** The publisher's current WAL position less what the subscriber has applied. */
  bytes: number | null;
  seconds: number | null;
  reason: string | null;
}

const NO_SECONDS = "seconds need the history of the publisher's WAL positions, which is not recorded yet";

export function unknownLag(why: string): SubscriptionLag {
  return { bytes: null, seconds: null, reason: why };
}

/**
 * The publisher's LSN up to which everything is applied; null when not known. The further one of the origin's position
 * and what the slot has confirmed: a transaction that changes nothing on the subscriber moves only the slot, and the
 * slot is confirmed only now and then.
 */
export function appliedLsn(originLsn: string | null, slot: ReplicationSlot | null): Lsn | null {
  const confirmedLsn = slot?.confirmedFlushLsn ?? null;
  const origin = originLsn === null ? null : parseLsn(originLsn);
  const confirmed = confirmedLsn === null ? null : parseLsn(confirmedLsn);
  return origin === null || confirmed === null ? (origin ?? confirmed) : maxLsn(origin, confirmed);
}

export function lagOf(subscription: Subscription, slot: ReplicationSlot | null): SubscriptionLag {
  if (subscription.settings.slotName === null) return unknownLag('the subscription has no replication slot');
  if (slot === null) return unknownLag('the replication slot does not exist on the publisher');
  if (slot.walStatus === 'lost') return unknownLag('the replication slot is lost: the subscriber cannot catch up');
  if (slot.currentLsn === null) return unknownLag("the publisher's current WAL position is not known");
  const applied = appliedLsn(subscription.originLsn, slot);
  if (applied === null) return unknownLag('nothing is applied yet');
  const behind = parseLsn(slot.currentLsn) - applied;
  // The slot is read before the subscriber may have moved on; being ahead of an older reading is being level with it.
  return { bytes: behind < 0n ? 0 : Number(behind), seconds: null, reason: NO_SECONDS };
}
