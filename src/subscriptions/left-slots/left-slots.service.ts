import { Injectable } from '@nestjs/common';
import { dropReplicationSlot } from '../../postgres/ddl/replication-slot.ddl.js';
import { Problem } from '../../problems/problem.js';
import { ReplicationSlotsService } from '../../replication-slots/replication-slots.service.js';
import { type FoundOwners, type OwnerSearch, type SlotOwner, SlotOwners } from '../../replication-slots/slot-owners.js';
import { ServersService } from '../../servers/servers.service.js';
import { PublisherEnds } from '../publisher-ends.js';
import { findPublisher, type ServerAddress } from '../publisher-lookup.js';
import { type LeftSlot, LeftSlotRepository } from './left-slot.repository.js';

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
  cleanUp: CleanUp;
}

/** How to be rid of it: a request where the publisher is registered, the SQL anywhere. */
export interface CleanUp {
  method: 'DELETE' | null;
  path: string | null;
  sql: string;
}

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
    owners.onGone((server, isGone) => this.forgetGone(server, isGone));
  }

  /** Before the subscription is dropped: nobody else will know of the slot. Answers the record's id. */
  async record(left: Omit<LeftSlot, 'id' | 'leftAt' | 'systemIdentifier'>): Promise<string> {
    const { publisherServer } = left;
    const facts = publisherServer === null ? null : await this.servers.facts(publisherServer);
    return this.left.record({ ...left, systemIdentifier: facts?.systemIdentifier ?? null });
  }

  async forget(id: string): Promise<void> {
    await this.left.forget([id]);
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

  /** As their publishers show them now; those found gone are forgotten and left out. */
  async look(recorded: readonly LeftSlot[]): Promise<OrphanedSlot[]> {
    const addresses = recorded.length === 0 ? [] : await this.ends.addresses();
    const looked = await Promise.all(recorded.map((left) => this.lookAt(left, serverOf(left, addresses))));
    return looked.filter((slot) => slot !== null);
  }

  private async lookAt(left: LeftSlot, server: string | null): Promise<OrphanedSlot | null> {
    if (server === null) return present(left, null, 'unknown', 'its publisher is not a registered server');
    try {
      const { owner, ownerReason, orphan, active, activePid, retainedBytes } = await this.slots.get(server, left.slot);
      const reader = owner?.live ? owner.detail : active ? `process ${activePid ?? 'unknown'}` : null;
      if (reader !== null) return { ...present(left, server, 'in-use', `it is kept for ${reader}`), retainedBytes };
      if (orphan !== true) return { ...present(left, server, 'unknown', ownerReason), retainedBytes };
      return { ...present(left, server, 'orphan', null), retainedBytes };
    } catch (error) {
      if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
      if (error.code !== 'NOT_FOUND') return present(left, server, 'unknown', error.detail);
      const isCluster = await this.isClusterOf(left, server);
      if (!isCluster) return present(left, server, 'unknown', `${server} has no such slot, but may be another server`);
      await this.left.forget([left.id]);
      return null;
    }
  }

  /** Whether the server is known to be the one that has the slot, or had it. */
  private async isClusterOf(left: LeftSlot, server: string): Promise<boolean> {
    try {
      const { systemIdentifier } = await this.servers.facts(server);
      return left.systemIdentifier !== null && left.systemIdentifier === systemIdentifier;
    } catch (error) {
      // Deregistered meanwhile.
      if (error instanceof Problem && error.code === 'NOT_FOUND') return false;
      throw error;
    }
  }

  private async find({ server, systemIdentifier, slots }: OwnerSearch): Promise<FoundOwners> {
    const owners = new Map<string, SlotOwner>();
    const recorded = await this.left.all();
    const addresses = recorded.length === 0 ? [] : (await this.ends.addresses()).filter(({ name }) => name === server);
    for (const left of recorded) {
      const here =
        left.systemIdentifier === null
          ? serverOf(left, addresses) === server
          : left.systemIdentifier === systemIdentifier;
      const slot = slots.find(({ name, database }) => name === left.slot && database === left.publisherDatabase);
      if (!here || !slot) continue;
      // Once it was seen there, its absence means that it is gone.
      if (left.systemIdentifier === null) await this.left.identify(left.id, systemIdentifier);
      const { subscription: name, subscriberServer, subscriberDatabase: database, leftAt } = left;
      const which = `subscription ${JSON.stringify(name)} of database ${JSON.stringify(database)} on ${subscriberServer}`;
      const detail = `${which}, which was dropped without it at ${leftAt.toISOString()}`;
      owners.set(slot.name, { kind: 'subscription', name, server: subscriberServer, database, live: false, detail });
    }
    return { owners, unanswered: [] };
  }

  private async forgetGone(server: string, isGone: (slot: string) => boolean): Promise<void> {
    const recorded = await this.left.all();
    if (recorded.length === 0) return;
    const addresses = await this.ends.addresses();
    for (const left of recorded) {
      if (serverOf(left, addresses) !== server || !isGone(left.slot)) continue;
      if (await this.isClusterOf(left, server)) await this.left.forget([left.id]);
    }
  }
}

/** The registered server that the slot is on; null: none that is known. */
function serverOf(left: LeftSlot, addresses: readonly ServerAddress[]): string | null {
  const { publisherServer, host, port, publisherDatabase: dbname } = left;
  if (addresses.some(({ name }) => name === publisherServer)) return publisherServer;
  // Empty: the connection string left it to the default.
  const given = { ...(host ? { host } : {}), ...(port ? { port } : {}), ...(dbname ? { dbname } : {}) };
  return findPublisher(given, addresses)?.server ?? null;
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
    cleanUp: cleanUpOf(server, left.slot),
  };
}

export function cleanUpOf(server: string | null, slot: string): CleanUp {
  const sql = dropReplicationSlot(slot)
    .map((each) => each.sql)
    .join('; ');
  if (server === null) return { method: null, path: null, sql };
  return { method: 'DELETE', path: `/v1/servers/${encodeURIComponent(server)}/replication-slots/${slot}`, sql };
}
