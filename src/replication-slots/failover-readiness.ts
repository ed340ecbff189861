import { Injectable } from '@nestjs/common';
import { readReplicationSlots, type ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import { readSlotSynchronization, type SlotSynchronization } from '../postgres/catalog/slot-synchronization.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { parseLsn } from '../shared/lsn.js';
import { PG17 } from '../shared/server-version.js';

const LOOK_MS = 8_000;

/** Whether a reader could go on at a standby, were that promoted now; null: not known. */
export interface StandbyReadiness {
  server: string;
  ready: boolean | null;
  /** What keeps it from being ready, is not known, or may end it. */
  reasons: string[];
}

/** Of one slot, over the registered standbys of its cluster: all of them are ready, one is not, or it is not known. */
export interface FailoverReadiness {
  ready: boolean | null;
  reasons: string[];
  standbys: StandbyReadiness[];
}

interface Side {
  settings: SlotSynchronization;
  slot: ReplicationSlot | null;
}

/** Whether readers of a failover slot survive the loss of the primary (17 and newer). */
@Injectable()
export class FailoverReadinessService {
  constructor(private readonly servers: ServersService) {}

  /** Rejects with NOT_FOUND, and with WRONG_STATE on a standby, whose slots are none to fail over from. */
  async of(server: string, name: string): Promise<FailoverReadiness> {
    const { versionNum, systemIdentifier } = await this.servers.facts(server);
    const slot = await this.servers.look(server, undefined, LOOK_MS, (session) => readReplicationSlots(session, name));
    if (slot.length === 0) {
      throw new Problem('NOT_FOUND', `there is no replication slot ${JSON.stringify(name)} on this server`);
    }
    if (versionNum < PG17) return never('PostgreSQL carries slots over to standbys from 17 on');
    const primary = await this.look(server, name);
    if (primary.settings.standby) {
      throw new Problem('WRONG_STATE', `${server} is a standby`, { hint: 'Ask for the slot on the primary.' });
    }
    const unfit = whyNever(primary.slot);
    if (unfit !== null) return never(unfit);
    const members = (await this.servers.membersOf(systemIdentifier)).filter((member) => member !== server);
    const looks = await Promise.all(members.map((member) => this.standby(member, name, primary)));
    const standbys = looks.filter((look) => look !== null);
    if (standbys.length === 0) {
      return { ready: null, reasons: ['no standby of its cluster is registered'], standbys };
    }
    const ready = standbys.some((each) => each.ready === false) ? false : standbys.every((each) => each.ready) || null;
    return { ready, reasons: [], standbys };
  }

  private look(server: string, slot: string): Promise<Side> {
    return this.servers.look(server, undefined, LOOK_MS, async (session) => ({
      settings: await readSlotSynchronization(session),
      slot: (await readReplicationSlots(session, slot))[0] ?? null,
    }));
  }

  /** Null: it is no standby, but the primary by another name, or one that was promoted. */
  private async standby(server: string, name: string, primary: Side): Promise<StandbyReadiness | null> {
    try {
      const there = await this.look(server, name);
      if (!there.settings.standby) return null;
      const missing = whyNotReady(there, primary.slot!);
      return { server, ready: missing.length === 0, reasons: [...missing, ...mayEnd(there, primary)] };
    } catch (error) {
      if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
      return { server, ready: null, reasons: [`it did not answer: ${error.detail}`] };
    }
  }
}

function never(reason: string): FailoverReadiness {
  return { ready: false, reasons: [reason], standbys: [] };
}

function whyNever(slot: ReplicationSlot | null): string | null {
  if (slot === null) return 'it was dropped meanwhile';
  if (slot.kind === 'physical') return 'a physical slot is not carried over to standbys';
  if (slot.walStatus === 'lost' || slot.invalidationReason !== null) return 'it is lost';
  if (slot.failover === true) return null;
  return 'failover is off: disable the subscription, set options.failover by PATCH, and enable it again';
}

function whyNotReady({ settings, slot }: Side, original: ReplicationSlot): string[] {
  if (slot === null) {
    const off = [
      ...(settings.synchronizes ? [] : ['sync_replication_slots is off']),
      ...(settings.feedback ? [] : ['hot_standby_feedback is off']),
      ...(settings.upstream_slot === '' ? ['primary_slot_name is empty'] : []),
    ];
    return ['it has no copy of the slot', ...off, 'primary_conninfo must name a database (dbname)'];
  }
  if (!slot.synced) return ['its slot of that name is its own and no copy: drop it there'];
  if (slot.walStatus === 'lost' || slot.invalidationReason !== null) return ['its copy of the slot is lost'];
  if (slot.temporary) return ['its copy is not complete: the standby has not got as far as the slot'];
  const [received, confirmed] = [slot.currentLsn, original.confirmedFlushLsn];
  if (received !== null && confirmed !== null && parseLsn(received) < parseLsn(confirmed)) {
    return [`its WAL ends at ${received}, before ${confirmed}, which the reader has confirmed`];
  }
  return [];
}

/** What holds now holds later only if the primary's senders wait for the standby. */
function mayEnd({ settings }: Side, primary: Side): string[] {
  const { upstream_slot: slot } = settings;
  if (slot !== '' && primary.settings.waited_for.includes(slot)) return [];
  return [
    `synchronized_standby_slots of the primary does not name ${slot === '' ? 'its slot' : slot}: the reader may get ahead of it`,
  ];
}
