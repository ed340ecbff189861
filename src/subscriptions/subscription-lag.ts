import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import type { Subscription } from '../postgres/catalog/subscriptions.js';
import type { LsnHistory } from '../lsn-clock/lsn-history.js';
import { formatLsn, type Lsn, maxLsn, parseLsn } from '../shared/lsn.js';

/** How far the subscriber is behind. Null is unknown, and then `reason` says why; it is never 0 for want of a figure. */
export interface SubscriptionLag {
  /** The publisher's current WAL position less what the subscriber has applied. */
  bytes: number | null;
  seconds: number | null;
  reason: string | null;
}

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

/**
 * What was applied, where that is past the end of the publisher's WAL; null: it is not. The subscriber is read before
 * its publisher, and a server's slots before the end of its WAL, so that it is no matter of who was asked first.
 */
export function appliedPastEnd(originLsn: string | null, slot: ReplicationSlot | null): Lsn | null {
  const applied = appliedLsn(originLsn, slot);
  const end = slot?.currentLsn ?? null;
  return applied === null || end === null || applied <= parseLsn(end) ? null : applied;
}

/** Why what was applied is past the end of the publisher's WAL; null: it is not. */
export function aheadOfPublisher(originLsn: string | null, slot: ReplicationSlot | null): string | null {
  const applied = appliedPastEnd(originLsn, slot);
  if (applied === null) return null;
  const end = slot!.currentLsn;
  return (
    `the subscriber has applied up to ${formatLsn(applied)}, and the publisher's WAL ends at ${end}: the publisher ` +
    'went back (it was restored, or a server took over without the last of its WAL), or another cluster answers at ' +
    `its address; what it writes before ${formatLsn(applied)} is never sent`
  );
}

/** @param history of the publisher's WAL; null when there is none */
export function lagOf(
  subscription: Subscription,
  slot: ReplicationSlot | null,
  history: LsnHistory | null,
): SubscriptionLag {
  if (subscription.settings.slotName === null) return unknownLag('the subscription has no replication slot');
  if (slot === null) return unknownLag('the replication slot does not exist on the publisher');
  if (slot.walStatus === 'lost') return unknownLag('the replication slot is lost: the subscriber cannot catch up');
  if (slot.currentLsn === null) return unknownLag("the publisher's current WAL position is not known");
  const applied = appliedLsn(subscription.originLsn, slot);
  if (applied === null) return unknownLag('nothing is applied yet');
  const ahead = aheadOfPublisher(subscription.originLsn, slot);
  if (ahead !== null) return unknownLag(ahead);
  const seconds = history?.secondsSince(applied) ?? null;
  const bytes = Number(parseLsn(slot.currentLsn) - applied);
  return { bytes, seconds, reason: seconds === null ? noSeconds(history) : null };
}

function noSeconds(history: LsnHistory | null): string {
  const reach = Math.floor(history?.reachSeconds ?? 0);
  if (reach === 0) return "seconds are not known: no earlier position of the publisher's WAL was recorded";
  return `more than ${reach} seconds: the recorded positions of the publisher's WAL do not reach further back`;
}
