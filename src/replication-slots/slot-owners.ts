import { Injectable } from '@nestjs/common';
import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';

export type SlotOwnerKind =
  'subscription' | 'table-synchronization' | 'standby' | 'primary' | 'upgrade' | 'verification' | 'resync' | 'repair';

/** For whom a slot is kept. */
export interface SlotOwner {
  kind: SlotOwnerKind;
  /** Of the subscription, the standby's server, the upgrade, or the verification. */
  name: string;
  /** Where a subscription lives; null for other kinds. */
  server: string | null;
  database: string | null;
  /** False: it is over, or never took the slot up, and nothing will read from it any more. */
  live: boolean;
  detail: string;
}

export interface OwnerSearch {
  server: string;
  systemIdentifier: string;
  slots: readonly ReplicationSlot[];
}

export interface FoundOwners {
  /** By slot name. */
  owners: Map<string, SlotOwner>;
  /** Servers that could not be asked, so that a slot without an owner may be theirs. */
  unanswered: string[];
}

/** Looks for owners of one kind. Rejects for nothing that a server answers or fails to answer. */
export type OwnerFinder = (search: OwnerSearch) => Promise<FoundOwners>;

/** A server by name, and the cluster that answered under it. */
export interface SeenServer {
  server: string;
  systemIdentifier: string;
}

/** Told which slots of a server are gone. */
export type GoneListener = (seen: SeenServer, isGone: (slot: string) => boolean) => Promise<void>;

/** Features whose objects read from slots say here which are theirs. */
@Injectable()
export class SlotOwners {
  private readonly finders: OwnerFinder[] = [];
  private readonly listeners: GoneListener[] = [];

  /** Call from the constructor of a provider. */
  register(finder: OwnerFinder): void {
    this.finders.push(finder);
  }

  /** For features that remember slots. Call from the constructor of a provider. */
  onGone(listener: GoneListener): void {
    this.listeners.push(listener);
  }

  /** A slot was dropped, or all of the server's were seen. */
  async noteGone(seen: SeenServer, isGone: (slot: string) => boolean): Promise<void> {
    for (const listener of this.listeners) await listener(seen, isGone);
  }

  /** Of two that claim a slot the one that lives counts. */
  async find(search: OwnerSearch): Promise<FoundOwners> {
    const owners = new Map<string, SlotOwner>();
    const unanswered = new Set<string>();
    for (const found of await Promise.all(this.finders.map((finder) => finder(search)))) {
      for (const [slot, owner] of found.owners) if (owner.live || !owners.has(slot)) owners.set(slot, owner);
      for (const server of found.unanswered) unanswered.add(server);
    }
    return { owners, unanswered: [...unanswered].sort() };
  }
}
