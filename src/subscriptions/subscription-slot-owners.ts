import { Injectable } from '@nestjs/common';
import {
  isSynchronizing,
  readSubscriptionSlots,
  type SubscriptionSlot,
} from '../postgres/catalog/subscription-slots.js';
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
      const doubt = reads === null ? `; by its name only, for ${whyInDoubt(subscription)}` : '';
      const detail = `subscription ${JSON.stringify(name)} of database ${JSON.stringify(database)} on ${server}${doubt}`;
      owners.set(slot.name, { kind: 'subscription', name, server, database, live: true, detail });
    }
    const { systemIdentifier } = await this.servers.facts(server);
    for (const slot of slots) {
      const [, oid, table, subscriber] = TABLESYNC.exec(slot.name) ?? [];
      if (subscriber !== systemIdentifier) continue;
      // Members of one cluster, and servers restored from it, share an identifier: the one that still needs it counts.
      const owner = await this.synchronization(server, oid!, table!, subscriptions);
      if (owner.live || !owners.has(slot.name)) owners.set(slot.name, owner);
    }
  }

  /** One that is over left its slot behind: the worker ended between its work and its clean-up. */
  private async synchronization(
    server: string,
    oid: string,
    table: string,
    subscriptions: SubscriptionSlot[],
  ): Promise<SlotOwner> {
    const subscription = subscriptions.find((each) => each.oid === oid);
    const owner = { kind: 'table-synchronization' as const, server };
    if (!subscription) {
      const detail = `copied a table for a subscription that is not on ${server} any more`;
      return { ...owner, name: oid, database: null, live: false, detail };
    }
    const { name, database } = subscription;
    const live = await this.servers.look(server, database, ASK_MS, (session) => isSynchronizing(session, oid, table));
    const which = `table ${table} (oid) of subscription ${JSON.stringify(name)} on ${server}`;
    return { ...owner, name, database, live, detail: live ? `copies ${which}` : `copied ${which}, which is over` };
  }
}

function whyInDoubt({ conninfo }: SubscriptionSlot): string {
  return conninfo === null
    ? 'the connection string may not be read'
    : 'the connection string leads to no registered server';
}
