import { Injectable } from '@nestjs/common';
import { Operations } from '../operations/operations.js';
import { type FoundOwners, type OwnerSearch, type SlotOwner, SlotOwners } from '../replication-slots/slot-owners.js';
import { publisherSlotName, readerIdOf, subscriberSlotName } from './link/link-objects.js';
import { ResyncRepository } from './resync/resync.repository.js';
import { VerificationRepository } from './verification.repository.js';

const SLOT = /^lockstep_[vs]_([0-9a-f]{32})$/;

/** Which slots verifications read from; one of a verification that is over was left behind. */
@Injectable()
export class VerificationSlotOwners {
  constructor(
    private readonly repository: VerificationRepository,
    private readonly resyncs: ResyncRepository,
    private readonly operations: Operations,
    owners: SlotOwners,
  ) {
    owners.register((search) => this.find(search));
  }

  private async find({ server, slots }: OwnerSearch): Promise<FoundOwners> {
    const owners: FoundOwners['owners'] = new Map();
    for (const { name: slot } of slots) {
      const [, digits] = SLOT.exec(slot) ?? [];
      if (digits === undefined) continue;
      const verification = await this.repository.find(uuidOf(digits));
      if (!verification) {
        const resync = await this.resyncOf(server, uuidOf(digits));
        if (resync) owners.set(slot, resync);
        continue;
      }
      const { id, state, publisherServer, subscriberServer } = verification;
      const [ofPublisher, ofSubscriber] = [publisherSlotName(readerIdOf(id)), subscriberSlotName(readerIdOf(id))];
      const theirs = slot === ofPublisher ? publisherServer : slot === ofSubscriber ? subscriberServer : null;
      if (theirs !== server) continue;
      const live = state === 'queued' || state === 'running' || state === 'waiting';
      const detail = `verification ${id}, ${state}`;
      owners.set(slot, { kind: 'verification', name: id, server: null, database: null, live, detail });
    }
    return { owners, unanswered: [] };
  }

  private async resyncOf(server: string, id: string): Promise<SlotOwner | null> {
    const resync = await this.resyncs.find(id);
    if (resync?.publisherServer !== server) return null;
    const live = !(await this.operations.hasEnded(id));
    const detail = `resync ${id} of ${resync.schema}.${resync.name}, ${live ? 'under way' : 'over'}`;
    return { kind: 'resync', name: id, server: null, database: null, live, detail };
  }
}

function uuidOf(digits: string): string {
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
