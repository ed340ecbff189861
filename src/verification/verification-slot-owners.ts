import { Injectable } from '@nestjs/common';
import { Operations } from '../operations/operations.js';
import { type FoundOwners, type OwnerSearch, type SlotOwner, SlotOwners } from '../replication-slots/slot-owners.js';
import { publisherSlotName, readerIdOf, subscriberSlotName } from './link/link-objects.js';
import { RepairRepository } from './repair/repair.repository.js';
import { ResyncRepository } from './resync/resync.repository.js';
import { type ListedVerification, VerificationRepository } from './verification.repository.js';

const SLOT = /^lockstep_[vs]_([0-9a-f]{32})$/;

/** Which slots verifications read from; one of a verification that is over was left behind. */
@Injectable()
export class VerificationSlotOwners {
  constructor(
    private readonly repository: VerificationRepository,
    private readonly resyncs: ResyncRepository,
    private readonly repairs: RepairRepository,
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
        const found = resync ?? (await this.repairOf(server, slot, uuidOf(digits)));
        if (found) owners.set(slot, found);
        continue;
      }
      const { id, state } = verification;
      if (serverOf(slot, id, verification) !== server) continue;
      const live = state === 'queued' || state === 'running' || state === 'waiting';
      const detail = `verification ${id}, ${state}`;
      owners.set(slot, { kind: 'verification', name: id, server: null, database: null, live, detail });
    }
    return { owners, unanswered: [] };
  }

  private async repairOf(server: string, slot: string, id: string): Promise<SlotOwner | null> {
    const repair = await this.repairs.find(id);
    const verification = repair && (await this.repository.find(repair.verification));
    if (!verification || serverOf(slot, id, verification) !== server) return null;
    const live = !(await this.operations.hasEnded(id));
    const detail = `repair ${id} of verification ${verification.id}, ${live ? 'under way' : 'over'}`;
    return { kind: 'repair', name: id, server: null, database: null, live, detail };
  }

  private async resyncOf(server: string, id: string): Promise<SlotOwner | null> {
    const resync = await this.resyncs.find(id);
    if (resync?.publisherServer !== server) return null;
    const live = !(await this.operations.hasEnded(id));
    const detail = `resync ${id} of ${resync.schema}.${resync.name}, ${live ? 'under way' : 'over'}`;
    return { kind: 'resync', name: id, server: null, database: null, live, detail };
  }
}

/** The server on which readers of that id have a slot of that name. */
function serverOf(slot: string, id: string, link: Pick<ListedVerification, 'publisherServer' | 'subscriberServer'>) {
  if (slot === publisherSlotName(readerIdOf(id))) return link.publisherServer;
  return slot === subscriberSlotName(readerIdOf(id)) ? link.subscriberServer : null;
}

function uuidOf(digits: string): string {
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
