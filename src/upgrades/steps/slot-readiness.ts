import { setTimeout as delay } from 'node:timers/promises';
import { readSubscriptions } from '../../postgres/catalog/subscriptions.js';
import {
  describeBlocker,
  type TransactionBlocker,
  transactionBlockers,
} from '../../postgres/replication/slot-blockers.js';
import { Problem } from '../../problems/problem.js';
import type { Side, StepContext } from '../workflow/step.js';

/** The slot inside the fence has five times that, and waits up to three times for what runs at that moment. */
const SOON_MS = 1_000;
const POLL_MS = 100;

interface SlotAhead {
  side: Side;
  slot: string;
  /** On that side; its workers have stopped by the time the slot is made, and hold nothing up. */
  subscription: string;
}

/**
 * Waits, before the fence, until a new slot on that side would be there soon: until whatever transaction runs there in any
 * database ends within a moment. Past the slots' deadline it refuses and names what is left.
 */
export async function slotIsPossible(context: StepContext, { side, slot, subscription }: SlotAhead): Promise<void> {
  const { slotMs } = context.request.deadlines;
  for (const deadline = Date.now() + slotMs; ;) {
    context.signal.throwIfAborted();
    let left = await running(context, side, subscription);
    if (left.length === 0) return;
    // Of the waiting alone: over a slow connection a look takes its time, and says nothing of what it finds.
    const began = Date.now();
    const awaited = new Set(left.map(({ xid }) => xid));
    await context.progress(`waiting until a slot can be made on the ${side}: ${named(left)}`);
    while (left.length > 0) {
      if (Date.now() > deadline) throw heldUp(side, slot, slotMs, left);
      await delay(POLL_MS, undefined, { signal: context.signal });
      left = (await running(context, side, subscription)).filter(({ xid }) => awaited.has(xid));
    }
    if (Date.now() - began < SOON_MS || Date.now() > deadline) return;
  }
}

async function running(context: StepContext, side: Side, subscription: string): Promise<TransactionBlocker[]> {
  const session = await context.act(side);
  const [link] = await readSubscriptions(session, subscription);
  const workers = new Set(link?.workers.map(({ pid }) => pid));
  const found = await transactionBlockers(session, session.backendPid);
  return found.filter(({ pid }) => pid === null || !workers.has(pid));
}

const named = (blockers: TransactionBlocker[]) => blockers.map(describeBlocker).join('; ');

function heldUp(side: Side, slot: string, slotMs: number, blockers: TransactionBlocker[]): Problem {
  return new Problem(
    'PREREQUISITE_FAILED',
    `replication slot ${slot} cannot be made on the ${side} soon enough; after ${slotMs} ms it would still wait for: ${named(blockers)}`,
    {
      hint: 'A slot starts only after every transaction of the server, in any database, that runs at its creation has ended. End them or let them end, then try again.',
      retryable: true,
      extra: { blockers },
    },
  );
}
