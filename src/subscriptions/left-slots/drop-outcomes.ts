import {
  readSubscriptionsNow,
  type SubscriptionSlot,
  type SubscriptionsNow,
} from '../../postgres/catalog/subscription-slots.js';
import { Problem } from '../../problems/problem.js';
import type { ServersService } from '../../servers/servers.service.js';
import type { ServerAddress } from '../publisher-lookup.js';
import { readsFrom } from '../slot-reading.js';
import { leadsTo } from '../unregistered-publisher.js';
import { type LeftSlot, NOT_CREATED } from './left-slot.repository.js';

const ASK_MS = 4_000;
/** Longer than a creation may take, the deadline of its slot included. */
const CREATION_MS = 15 * 60_000;

/** What became of the drop before which a slot was recorded. */
export type DropOutcome =
  | { is: 'dropped' }
  /** The subscription has the slot still: whoever was about to drop it did not. */
  | { is: 'kept' }
  | { is: 'unknown'; reason: string };

/** By what the subscribers show now; each is asked once, however many records it has. */
export async function dropOutcomes(
  servers: ServersService,
  addressesOf: () => Promise<ServerAddress[]>,
  recorded: readonly LeftSlot[],
): Promise<Map<LeftSlot, DropOutcome>> {
  const addresses = recorded.some(({ dropped }) => !dropped) ? await addressesOf() : [];
  const asked = new Map<string, Promise<SubscriptionsNow | string>>();
  const ask = (server: string) => {
    const answer = asked.get(server) ?? subscriptionsOf(servers, server);
    asked.set(server, answer);
    return answer;
  };
  const outcomes = recorded.map(async (left): Promise<[LeftSlot, DropOutcome]> => {
    if (left.dropped) return [left, { is: 'dropped' }];
    return [left, outcomeOf(left, await ask(left.subscriberServer), addresses)];
  });
  return new Map(await Promise.all(outcomes));
}

async function subscriptionsOf(servers: ServersService, server: string): Promise<SubscriptionsNow | string> {
  try {
    return await servers.look(server, undefined, ASK_MS, readSubscriptionsNow);
  } catch (error) {
    if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
    return `the subscriber ${server} did not tell whether its subscription was dropped: ${error.detail}`;
  }
}

function outcomeOf(left: LeftSlot, now: SubscriptionsNow | string, addresses: ServerAddress[]): DropOutcome {
  if (typeof now === 'string') return { is: 'unknown', reason: now };
  const { slot, subscription, subscriptionOid } = left;
  if (subscriptionOid === NOT_CREATED) return creationOutcome(left, now, addresses);
  const oid = String(subscriptionOid);
  if (now.inChange.has(oid)) {
    return {
      is: 'unknown',
      reason: `the subscription ${JSON.stringify(subscription)} is being dropped or changed now`,
    };
  }
  const found = now.subscriptions.find((each) => each.oid === oid);
  if (!found) return { is: 'dropped' };
  // Slots of single tables go with the subscription itself.
  const hasIt = found.slotName === slot || slot.startsWith(`pg_${oid}_sync_`);
  return hasIt ? { is: 'kept' } : { is: 'dropped' };
}

/** Of a slot that was made for a subscription: until that exists nothing shows that somebody is about to create it. */
function creationOutcome(left: LeftSlot, now: SubscriptionsNow, addresses: ServerAddress[]): DropOutcome {
  const { slot, subscription, subscriberServer, subscriberDatabase, leftAt } = left;
  const created = now.subscriptions.find(
    ({ database, name, slotName }) => database === subscriberDatabase && name === subscription && slotName === slot,
  );
  // Of that name there may be another by now, with a slot of that name on another publisher.
  if (created && readsFromLeft(created, subscriberServer, left, addresses)) return { is: 'kept' };
  if (Date.now() - leftAt.getTime() <= CREATION_MS) {
    return { is: 'unknown', reason: `the subscription ${JSON.stringify(subscription)} may be being created now` };
  }
  if (!mayBeAnothers(left)) return { is: 'dropped' };
  const reason = `whether it was made for the subscription ${JSON.stringify(subscription)}, was there before, or is not there, is not known: look before dropping it`;
  return { is: 'unknown', reason };
}

/**
 * Whether all that is known of it is that a creation asked for one of that name, at a publisher that was not ours to look
 * at: no time that passes makes it the creation's.
 */
export function mayBeAnothers({ publisherServer, subscriptionOid }: LeftSlot): boolean {
  return publisherServer === null && subscriptionOid === NOT_CREATED;
}

function readsFromLeft(
  created: SubscriptionSlot,
  subscriber: string,
  { publisherServer, publisherDatabase: database, host, port }: LeftSlot,
  addresses: ServerAddress[],
): boolean {
  if (publisherServer !== null) {
    return readsFrom(created, subscriber, { server: publisherServer, database }, addresses) === true;
  }
  // One that cannot be told from where it reads has its names at least: nobody is told to drop what it may live on.
  return leadsTo(created.conninfo, { host, port, database }) !== false;
}
