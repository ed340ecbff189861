import { Injectable } from '@nestjs/common';
import {
  readSubscriptionSlots,
  readSynchronizing,
  type SubscriptionSlot,
  type Synchronized,
} from '../postgres/catalog/subscription-slots.js';
import { identifier } from '../postgres/quoting.js';
import { Problem } from '../problems/problem.js';
import { type FoundOwners, type OwnerSearch, type SlotOwner, SlotOwners } from '../replication-slots/slot-owners.js';
import { ServersService } from '../servers/servers.service.js';
import { within } from '../servers/answer-limit.js';
import { PublisherEnds } from './publisher-ends.js';
import type { ServerAddress } from './publisher-lookup.js';
import { readsFrom } from './slot-reading.js';

const SERVERS_AT_ONCE = 8;
/** A server that is away must not hold up what is asked about another. */
const ASK_MS = 4_000;
/** Made by a table synchronization worker: subscription, table, and the subscriber's system identifier. */
const TABLESYNC = /^pg_(\d+)_sync_(\d+)_(\d+)$/;

/** Which slots of a server the subscriptions of the registered servers read from, the workers of single tables included. */
@Injectable()
export class SubscriptionSlotOwners {
  constructor(
    private readonly servers: ServersService,
    private readonly ends: PublisherEnds,
    owners: SlotOwners,
  ) {
    owners.register((search) => this.find(search));
  }

  private async find(search: OwnerSearch): Promise<FoundOwners> {
    const logical = search.slots.filter(({ kind }) => kind === 'logical');
    const found: FoundOwners = { owners: new Map(), unanswered: [] };
    if (logical.length === 0) return found;
    const addresses = await this.ends.addresses();
    const names = addresses.map(({ name }) => name);
    const next = async () => {
      for (let name = names.shift(); name !== undefined; name = names.shift()) {
        try {
          await within(ASK_MS, this.ask(name, { ...search, slots: logical }, addresses, found.owners));
        } catch (error) {
          if (!(error instanceof Problem)) throw error;
          found.unanswered.push(name);
        }
      }
    };
    await Promise.all(Array.from({ length: SERVERS_AT_ONCE }, next));
    return found;
  }

  private async ask(
    server: string,
    { server: publisher, slots }: OwnerSearch,
    addresses: ServerAddress[],
    owners: Map<string, SlotOwner>,
  ): Promise<void> {
    const subscriptions = await this.servers.look(server, undefined, ASK_MS, readSubscriptionSlots);
    for (const subscription of subscriptions) {
      const slot = slots.find(({ name }) => name === subscription.slotName);
      const reads = slot && readsFrom(subscription, server, { server: publisher, database: slot.database }, addresses);
      if (!slot || reads === false || (reads === null && owners.has(slot.name))) continue;
      const { name, database } = subscription;
      const doubt = reads === null ? `; by its name only, for ${await this.whyInDoubt(subscription, server)}` : '';
      const detail = `subscription ${JSON.stringify(name)} of database ${JSON.stringify(database)} on ${server}${doubt}`;
      owners.set(slot.name, { kind: 'subscription', name, server, database, live: true, detail });
    }
    const { systemIdentifier } = await this.servers.facts(server);
    const made = slots.flatMap(({ name }) => {
      const [, subscription, relation, subscriber] = TABLESYNC.exec(name) ?? [];
      return subscriber === systemIdentifier ? [{ slot: name, subscription: subscription!, relation: relation! }] : [];
    });
    const needed = await this.stillNeeded(server, made, subscriptions);
    for (const { slot, ...synchronized } of made) {
      // Members of one cluster, and servers restored from it, share an identifier: the one that still needs it counts.
      const owner = synchronizationOwner(server, synchronized, subscriptions, needed.has(slot));
      if (owner.live || !owners.has(slot)) owners.set(slot, owner);
    }
  }

  /** Connection strings are read in the database that the server is registered with, whichever the subscription's is. */
  private async whyInDoubt({ conninfo }: SubscriptionSlot, server: string): Promise<string> {
    if (conninfo !== null) return 'the connection string leads to no registered server';
    const { user, database } = await this.servers.target(server);
    const grant = `grant select (subconninfo) on pg_catalog.pg_subscription to ${identifier(user)};`;
    return `the connection string may not be read; in the database ${JSON.stringify(database)}: ${grant}`;
  }

  /** One look at each database, however many slots there are. */
  private async stillNeeded(
    server: string,
    made: readonly (Synchronized & { slot: string })[],
    subscriptions: SubscriptionSlot[],
  ): Promise<Set<string>> {
    const databaseOf = new Map(subscriptions.map(({ oid, database }) => [oid, database]));
    const needed = new Set<string>();
    for (const database of new Set(made.flatMap(({ subscription }) => databaseOf.get(subscription) ?? []))) {
      const there = made.filter(({ subscription }) => databaseOf.get(subscription) === database);
      const found = await this.servers.look(server, database, ASK_MS, (session) => readSynchronizing(session, there));
      const keys = new Set(found.map(keyOf));
      for (const each of there) if (keys.has(keyOf(each))) needed.add(each.slot);
    }
    return needed;
  }
}

function keyOf({ subscription, relation }: Synchronized): string {
  return `${subscription}/${relation}`;
}

/** One that is over left its slot behind: the worker ended between its work and its clean-up. */
function synchronizationOwner(
  server: string,
  { subscription: oid, relation }: Synchronized,
  subscriptions: SubscriptionSlot[],
  live: boolean,
): SlotOwner {
  const subscription = subscriptions.find((each) => each.oid === oid);
  const owner = { kind: 'table-synchronization' as const, server };
  if (!subscription) {
    const detail = `copied a table for a subscription that is not on ${server} any more`;
    return { ...owner, name: oid, database: null, live: false, detail };
  }
  const { name, database } = subscription;
  const which = `table ${relation} (oid) of subscription ${JSON.stringify(name)} on ${server}`;
  return { ...owner, name, database, live, detail: live ? `copies ${which}` : `copied ${which}, which is over` };
}
