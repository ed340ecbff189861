import { Injectable } from '@nestjs/common';
import { type FoundOwners, type OwnerSearch, SlotOwners } from '../replication-slots/slot-owners.js';
import { UpgradeRepository } from './upgrade.repository.js';

/** `lockstep_<upgrade>` of its subscription, `lockstep_v_…` and `lockstep_s_…` of the streams it verifies with. */
const SLOT = /^lockstep_(?:[vs]_)?([0-9a-f]{10})(?:_back)?$/;

/** Which slots belong to upgrades; one of an upgrade that is over was left behind. */
@Injectable()
export class UpgradeSlotOwners {
  constructor(
    private readonly repository: UpgradeRepository,
    owners: SlotOwners,
  ) {
    owners.register((search) => this.find(search));
  }

  private async find({ server, slots }: OwnerSearch): Promise<FoundOwners> {
    const owners: FoundOwners['owners'] = new Map();
    const ids = new Map(slots.flatMap(({ name }) => ((id) => (id ? [[name, id] as const] : []))(SLOT.exec(name)?.[1])));
    const upgrades = ids.size === 0 ? [] : await this.repository.byShortIds([...new Set(ids.values())]);
    for (const [slot, id] of ids) {
      const upgrade = upgrades.find(({ shortId, servers }) => shortId === id && servers.includes(server));
      if (!upgrade) continue;
      const { name, phase, live } = upgrade;
      const detail = `upgrade ${JSON.stringify(name)}, phase ${phase}`;
      owners.set(slot, { kind: 'upgrade', name, server: null, database: null, live, detail });
    }
    return { owners, unanswered: [] };
  }
}
