import { setTimeout as delay } from 'node:timers/promises';
import {
  readActiveSessions,
  readSlotPressure,
  type SlotPressure,
} from '../../postgres/catalog/replication-pressure.js';
import { boundedAnswers, type ConnectionTarget } from '../../postgres/connection.js';
import { withSession } from '../../postgres/session.js';

/** How gently a link is compared. */
export interface Pacing {
  /** Rows a chunk never has more of. */
  mostRows: number;
  /** How long a chunk should take. */
  chunkSeconds: number;
  /** While the subscriber is further behind no chunk is begun. */
  maxLagBytes: number;
  /** The same of the WAL that the subscription's slot keeps; null: four fifths of what the server allows a slot. */
  maxSlotBytes: number | null;
  /** The same of sessions of others that are at work on either server; null: whatever their number. */
  maxActiveSessions: number | null;
}

export const DEFAULT_PACING: Pacing = {
  ...{ mostRows: 10_000_000, chunkSeconds: 10 },
  ...{ maxLagBytes: 256 * 1024 * 1024, maxSlotBytes: null, maxActiveSessions: null },
};

export interface PacedLink {
  publisher: ConnectionTarget;
  subscriber: ConnectionTarget;
  /** The subscription's, on the publisher. Ours moves with what is compared: it is not waited for. */
  slot: string;
}

const SLOT_SHARE = 0.8;
const POLL_MS = 1_000;
/** The streams go on while it waits: what they tell is put away, so that the servers need not keep it. */
const MEANWHILE_MS = 10_000;
/** One that does not fall for so long is not on its way: what is asked next tells what is wrong with the link. */
const FALLS_WITHIN_MS = 60_000;

/**
 * Waits until the servers can take another chunk; `onWait` is told for what, and null once it is over. A lag that does
 * not fall any more is not waited for; sessions of others are for as long as it takes.
 */
export async function paced(
  link: PacedLink,
  pacing: Pacing,
  {
    signal,
    onWait,
    meanwhile,
  }: { signal: AbortSignal; onWait: (reason: string | null) => Promise<void>; meanwhile: () => Promise<void> },
): Promise<void> {
  let told: string | null = null;
  let kept = Date.now();
  let least = { bytes: Infinity, since: Date.now() };
  for (;;) {
    const { reason, bytes } = await obstacle(link, pacing);
    if (reason !== told) await onWait((told = reason));
    if (reason === null) return;
    if (bytes !== null) {
      if (bytes < least.bytes) least = { bytes, since: Date.now() };
      else if (Date.now() - least.since > FALLS_WITHIN_MS) return await onWait(null);
    }
    if (Date.now() - kept > MEANWHILE_MS) {
      await meanwhile();
      kept = Date.now();
    }
    await delay(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** What stands in the way, in words that stay the same while it does; `bytes`: how much of it, where that may fall. */
async function obstacle(
  { publisher, subscriber, slot }: PacedLink,
  { maxLagBytes, maxSlotBytes, maxActiveSessions }: Pacing,
): Promise<{ reason: string | null; bytes: number | null }> {
  const look = { purpose: 'verification', ...boundedAnswers() };
  const seen = await withSession(publisher, look, async (session) => ({
    slots: await readSlotPressure(session, [slot]),
    sessions: maxActiveSessions === null ? null : await readActiveSessions(session),
  }));
  const { lagBytes, slotBytes } = seen.slots;
  if (lagBytes !== null && lagBytes > maxLagBytes) {
    return { reason: `the subscriber to be less than ${maxLagBytes} bytes behind`, bytes: lagBytes };
  }
  const most = maxSlotBytes ?? allowedBytes(seen.slots);
  if (slotBytes !== null && slotBytes > most) {
    return { reason: `the subscription's slot to keep less than ${most} bytes of WAL`, bytes: slotBytes };
  }
  if (maxActiveSessions === null) return { reason: null, bytes: null };
  const others = await withSession(subscriber, look, readActiveSessions);
  const isBusy = [seen.sessions, others].some((sessions) => sessions !== null && sessions > maxActiveSessions);
  const reason = isBusy ? `no more than ${maxActiveSessions} sessions to be at work on either server` : null;
  return { reason, bytes: null };
}

function allowedBytes({ slotLimit }: SlotPressure): number {
  return slotLimit === null ? Infinity : slotLimit * SLOT_SHARE;
}
