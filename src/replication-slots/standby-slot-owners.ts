import { Injectable } from '@nestjs/common';
import { readUpstreamSlot } from '../postgres/catalog/upstream-slot.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { SYNCHRONIZED_COPY } from './slot-refusals.js';
import { type FoundOwners, type OwnerSearch, SlotOwners } from './slot-owners.js';

/** A server that is silent must not hold up what is asked about another. */
const ASK_MS = 4_000;

/** Physical slots that registered standbys of the same cluster stream from, and logical ones that a standby holds as copies. */
@Injectable()
export class StandbySlotOwners {
  constructor(
    private readonly servers: ServersService,
    owners: SlotOwners,
  ) {
    owners.register((search) => this.find(search));
  }

  private async find({ server, systemIdentifier, slots }: OwnerSearch): Promise<FoundOwners> {
    const found: FoundOwners = { owners: new Map(), unanswered: [] };
    for (const { name } of slots.filter(({ synced }) => synced === true)) {
      const detail = SYNCHRONIZED_COPY;
      found.owners.set(name, { kind: 'primary', name, server: null, database: null, live: true, detail });
    }
    const physical = new Set(slots.filter(({ kind }) => kind === 'physical').map(({ name }) => name));
    if (physical.size === 0) return found;
    const relatives = (await this.servers.membersOf(systemIdentifier)).filter((name) => name !== server);
    await Promise.all(
      relatives.map(async (name) => {
        try {
          const slot = await this.servers.look(name, undefined, ASK_MS, readUpstreamSlot);
          if (slot === null || !physical.has(slot)) return;
          const detail = `standby ${name}, by its primary_slot_name`;
          found.owners.set(slot, { kind: 'standby', name, server: name, database: null, live: true, detail });
        } catch (error) {
          if (!(error instanceof Problem)) throw error;
          found.unanswered.push(name);
        }
      }),
    );
    return found;
  }
}
