import { readReplicationSlots } from '../../postgres/catalog/replication-slots.js';
import { endStreamOf } from '../../postgres/replication/logical-slot.js';
import { Problem } from '../../problems/problem.js';
import { dropLinkObjects, publisherSlotName, subscriberSlotName } from '../../verification/link/link-objects.js';
import { type Direction, FACTS, FENCE, publisherOf, type Side, subscriberOf } from './direction.js';
import type { ConnectionTarget } from '../../postgres/connection.js';
import type { Session } from '../../postgres/session.js';
import type { PassingFact, UpgradeFacts } from '../facts.js';
import type { ObjectNames } from '../object-names.js';

/** Of a step's context, what its readers' slots are looked after with. */
interface SlotsContext {
  readonly names: ObjectNames;
  readonly facts: UpgradeFacts;
  act(side: Side): Promise<Session>;
  connection(side: Side): Promise<ConnectionTarget>;
  forget(...facts: PassingFact[]): Promise<void>;
  event(type: string, data: Record<string, unknown>): Promise<void>;
}

export function readerId({ names }: SlotsContext, direction: Direction): string {
  return direction === 'forward' ? names.readers : names.backReaders;
}

/** How the readers of the link reach both servers, and what their objects are called. */
export async function endsOf(context: SlotsContext, direction: Direction) {
  return {
    readerId: readerId(context, direction),
    publisher: await context.connection(publisherOf(direction)),
    subscriber: await context.connection(subscriberOf(direction)),
  };
}

/**
 * A slot that vanished takes with it what was touched since the verified LSN on the publisher, or written by others on
 * the subscriber: then only a new verification counts. Inside a fence that is its end: a slot made now has seen nothing
 * of what passed since, and would show that nothing did.
 */
export async function forgetVerificationWithoutSlot(context: SlotsContext, direction: Direction): Promise<void> {
  const id = readerId(context, direction);
  const lost: Side[] = [];
  for (const [side, name] of [
    [publisherOf(direction), publisherSlotName(id)],
    [subscriberOf(direction), subscriberSlotName(id)],
  ] as const) {
    // The walsender of an earlier holder, whose host may be gone: the server would notice only after wal_sender_timeout.
    await endStreamOf(await context.act(side), name);
    const [slot] = await readReplicationSlots(await context.act(side), name);
    if (!slot || slot.walStatus === 'lost') lost.push(side);
  }
  if (lost.length === 0 || !context.facts[FACTS[direction].opened]) return;
  const reason = `the verification slot on the ${lost.join(' and the ')} is gone`;
  await context.event('verification-lost', { reason });
  // Forgotten before the slots are made again: after a crash in between, slots that are there would speak for it.
  await context.forget(FACTS[direction].verifiedLsn, FACTS[direction].verdict);
  if (context.facts[FENCE[direction]] !== undefined) {
    throw new Problem('CONFLICT', `${reason}: nothing shows any more what was written since the fence`, {
      hint: 'Try again: it begins with another verification then.',
    });
  }
  await dropLinkObjects(await endsOf(context, direction));
}
