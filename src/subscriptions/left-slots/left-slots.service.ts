import { Injectable } from '@nestjs/common';
import { dropReplicationSlot } from '../../postgres/ddl/replication-slot.ddl.js';
import type { Place } from '../../changes/change.js';
import { Problem } from '../../problems/problem.js';
import { ReplicationSlotsService } from '../../replication-slots/replication-slots.service.js';
import {
  type FoundOwners,
  type OwnerSearch,
  type SeenServer,
  type SlotOwner,
  SlotOwners,
} from '../../replication-slots/slot-owners.js';
import type { SlotView } from '../../replication-slots/slot-view.js';
import { ServersService } from '../../servers/servers.service.js';
import { PublisherEnds } from '../publisher-ends.js';
import { findPublisher, type ServerAddress, serverNamed } from '../publisher-lookup.js';
import type { PublisherLocation } from '../unregistered-publisher.js';
import { type DropOutcome, dropOutcomes, mayBeAnothers } from './drop-outcomes.js';
import { type LeavingSlot, type LeftSlot, LeftSlotRepository, NOT_CREATED } from './left-slot.repository.js';

/** A slot left behind, and what is known of it now. */
export interface OrphanedSlot {
  id: string;
  slot: string;
  /** `server`: null where it is not a registered one. */
  publisher: { server: string | null; host: string | null; port: string | null; database: string | null };
  subscriber: { server: string; database: string; subscription: string };
  leftAt: string;
  /** `orphan`: it is there and can be dropped; `in-use`: somebody reads from it; `unknown`: it could not be looked at. */
  state: 'orphan' | 'in-use' | 'unknown';
  reason: string | null;
  /** WAL it keeps; null: not known, or none. */
  retainedBytes: number | null;
  /** Null: it may be another's. */
  cleanUp: CleanUp | null;
}

/** How to be rid of it: a request where the publisher is registered, the SQL anywhere. */
export interface CleanUp {
  method: 'DELETE' | null;
  path: string | null;
  sql: string;
}

type PublisherLook = { systemIdentifier: string; slots: SlotView[] } | { problem: string };

/** Slots that dropped subscriptions left on publishers that were away: recorded, found again, and forgotten once gone. */
@Injectable()
export class LeftSlots {
  constructor(
    private readonly left: LeftSlotRepository,
    private readonly servers: ServersService,
    private readonly slots: ReplicationSlotsService,
    private readonly ends: PublisherEnds,
    owners: SlotOwners,
  ) {
    owners.register((search) => this.find(search));
    owners.onGone((seen, isGone) => this.forgetGone(seen, isGone));
  }

  /** Before the subscription is dropped: nobody else will know of the slot. Answers the record's id. */
  async record(left: Omit<LeavingSlot, 'systemIdentifier'>): Promise<string> {
    const { publisherServer } = left;
    const facts = publisherServer === null ? null : await this.servers.facts(publisherServer);
    return this.left.record({ ...left, systemIdentifier: facts?.systemIdentifier ?? null });
  }

  /** Before a slot is made for a subscription that does not exist yet. Answers the record's id. */
  async recordCreation(subscriber: Place, publisher: Place, subscription: string, slot: string): Promise<string> {
    const { host, port } = await this.servers.target(publisher.server);
    return this.record({
      ...{ slot, publisherServer: publisher.server, publisherDatabase: publisher.database, host, port: String(port) },
      ...{ subscriberServer: subscriber.server, subscriberDatabase: subscriber.database },
      ...{ subscription, subscriptionOid: NOT_CREATED },
    });
  }

  /** The same where the publisher is no registered server. */
  async recordCreationAt(
    subscriber: Place,
    { host, port, database }: PublisherLocation,
    subscription: string,
    slot: string,
  ): Promise<string> {
    return this.record({
      ...{ slot, publisherServer: null, publisherDatabase: database, host, port },
      ...{ subscriberServer: subscriber.server, subscriberDatabase: subscriber.database },
      ...{ subscription, subscriptionOid: NOT_CREATED },
    });
  }

  /** Once it was. */
  async confirm(ids: readonly string[]): Promise<void> {
    await this.left.confirm(ids);
  }

  async forget(ids: readonly string[]): Promise<void> {
    await this.left.forget(ids);
  }

  /** Rejects with NOT_FOUND. */
  async require(id: string): Promise<LeftSlot> {
    const left = await this.left.find(id);
    if (left) return left;
    throw new Problem('NOT_FOUND', 'no orphaned slot is recorded under this id');
  }

  /** All that are recorded, oldest first, without a look at any server. */
  async recorded(): Promise<LeftSlot[]> {
    return this.left.all();
  }

  /** As their publishers show them now; those found gone, or never left, are forgotten and left out. */
  async look(recorded: readonly LeftSlot[]): Promise<OrphanedSlot[]> {
    const outcomes = await this.settle(recorded);
    const addresses = outcomes.size === 0 ? [] : await this.ends.addresses();
    const asked = new Map<string, Promise<PublisherLook>>();
    const lookAt = (server: string) => {
      const look = asked.get(server) ?? this.publisherLook(server);
      asked.set(server, look);
      return look;
    };
    const looked = [...outcomes].map(async ([left, outcome]) => {
      const server = serverOf(left, addresses);
      if (outcome.is === 'unknown') return present(left, server, 'unknown', outcome.reason);
      if (server === null) return present(left, null, 'unknown', 'its publisher is not a registered server');
      return this.presentSeen(left, server, await lookAt(server));
    });
    return (await Promise.all(looked)).filter((slot) => slot !== null);
  }

  /** One look at a publisher, however many slots were left there. */
  private async publisherLook(server: string): Promise<PublisherLook> {
    try {
      return await this.slots.seen(server);
    } catch (error) {
      if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
      return { problem: error.detail };
    }
  }

  private async presentSeen(left: LeftSlot, server: string, look: PublisherLook): Promise<OrphanedSlot | null> {
    if ('problem' in look) return present(left, server, 'unknown', look.problem);
    const slot = look.slots.find(({ name }) => name === left.slot);
    if (!slot) {
      const isCluster = left.systemIdentifier === look.systemIdentifier;
      if (!isCluster) return present(left, server, 'unknown', `${server} has no such slot, but may be another server`);
      await this.left.forget([left.id]);
      return null;
    }
    const { owner, ownerReason, orphan, active, activePid, retainedBytes } = slot;
    const reader = owner?.live ? owner.detail : active ? `process ${activePid ?? 'unknown'}` : null;
    if (reader !== null) return { ...present(left, server, 'in-use', `it is kept for ${reader}`), retainedBytes };
    if (orphan !== true) return { ...present(left, server, 'unknown', ownerReason), retainedBytes };
    return { ...present(left, server, 'orphan', null), retainedBytes };
  }

  /**
   * What became of the drops; learnt from the subscribers where the process died before it could say so. Those that the
   * subscription did not leave are forgotten and left out.
   */
  private async settle(recorded: readonly LeftSlot[]): Promise<Map<LeftSlot, DropOutcome>> {
    const outcomes = await dropOutcomes(this.servers, () => this.ends.addresses(), recorded);
    const of = (is: DropOutcome['is']) => [...outcomes].flatMap(([left, outcome]) => (outcome.is === is ? [left] : []));
    await this.left.confirm(of('dropped').flatMap(({ id, dropped }) => (dropped ? [] : [id])));
    const kept = of('kept');
    await this.left.forget(kept.map(({ id }) => id));
    for (const left of kept) outcomes.delete(left);
    return outcomes;
  }

  private async find({ server, systemIdentifier, slots }: OwnerSearch): Promise<FoundOwners> {
    const owners = new Map<string, SlotOwner>();
    const recorded = await this.left.all();
    const addresses = recorded.length === 0 ? [] : await this.ends.addresses();
    const here = recorded.filter((left) =>
      left.systemIdentifier === null
        ? serverOf(left, addresses, server) === server
        : left.systemIdentifier === systemIdentifier,
    );
    const found = here.flatMap((left) => {
      const slot = slots.find(({ name, database }) => name === left.slot && database === left.publisherDatabase);
      return slot ? [{ left, slot }] : [];
    });
    const outcomes = await this.settle(found.map(({ left }) => left));
    for (const { left, slot } of found) {
      // Of what is not known to be dropped the subscription itself may still be the owner.
      if (outcomes.get(left)?.is !== 'dropped') continue;
      // Once it was seen there, its absence means that it is gone.
      if (left.systemIdentifier === null) await this.left.identify(left.id, systemIdentifier);
      const { subscription: name, subscriberServer, subscriberDatabase: database, leftAt } = left;
      const which = `subscription ${JSON.stringify(name)} of database ${JSON.stringify(database)} on ${subscriberServer}`;
      const detail = `${which}, which was dropped without it at ${leftAt.toISOString()}`;
      owners.set(slot.name, { kind: 'subscription', name, server: subscriberServer, database, live: false, detail });
    }
    return { owners, unanswered: [] };
  }

  /** The address may lead to another cluster than when the slot was left: that one says nothing about it. */
  private async forgetGone({ server, systemIdentifier }: SeenServer, isGone: (slot: string) => boolean): Promise<void> {
    const recorded = await this.left.all();
    if (recorded.length === 0) return;
    const addresses = await this.ends.addresses();
    const gone = recorded.filter(
      (left) => left.systemIdentifier === systemIdentifier && serverOf(left, addresses) === server && isGone(left.slot),
    );
    await this.left.forget(gone.map(({ id }) => id));
  }
}

/** The registered server that the slot is on; null: none that is known. */
function serverOf(left: LeftSlot, addresses: readonly ServerAddress[], preferred?: string): string | null {
  const { publisherServer, host, port, publisherDatabase: dbname, subscriberServer } = left;
  if (addresses.some(({ name }) => name === publisherServer)) return publisherServer;
  // Empty: the connection string left it to the default.
  const given = { ...(host ? { host } : {}), ...(port ? { port } : {}), ...(dbname ? { dbname } : {}) };
  const from = serverNamed(subscriberServer, addresses);
  // Two names may be one server's.
  const own = addresses.filter(({ name }) => name === preferred);
  return (findPublisher(given, own, from) ?? findPublisher(given, addresses, from))?.server ?? null;
}

function present(
  left: LeftSlot,
  server: string | null,
  state: OrphanedSlot['state'],
  reason: string | null,
): OrphanedSlot {
  return {
    id: left.id,
    slot: left.slot,
    publisher: { server, host: left.host || null, port: left.port || null, database: left.publisherDatabase || null },
    subscriber: {
      server: left.subscriberServer,
      database: left.subscriberDatabase,
      subscription: left.subscription,
    },
    leftAt: left.leftAt.toISOString(),
    state,
    reason,
    retainedBytes: null,
    cleanUp: state === 'unknown' && mayBeAnothers(left) ? null : cleanUpOf(server, left.slot),
  };
}

export function cleanUpOf(server: string | null, slot: string): CleanUp {
  const sql = dropReplicationSlot(slot)
    .map((each) => each.sql)
    .join('; ');
  if (server === null) return { method: null, path: null, sql };
  return { method: 'DELETE', path: `/v1/servers/${encodeURIComponent(server)}/replication-slots/${slot}`, sql };
}
