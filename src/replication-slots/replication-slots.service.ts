import { Injectable } from '@nestjs/common';
import { carryOut, type Change, type ChangeOptions, plan } from '../changes/change.js';
import {
  readReplicationSlots,
  readSlotCreationBlockers,
  type ReplicationSlot,
  type SlotCreationBlocker,
} from '../postgres/catalog/replication-slots.js';
import {
  advanceReplicationSlot,
  copyReplicationSlot,
  createReplicationSlot,
  dropReplicationSlot,
  type ReplicationSlotSpec,
} from '../postgres/ddl/replication-slot.ddl.js';
import { readSystemIdentifier } from '../postgres/catalog/server-facts.js';
import { readWalSenders } from '../postgres/catalog/wal-senders.js';
import { boundedAnswers } from '../postgres/connection.js';
import { type Session, withSession } from '../postgres/session.js';
import { redactText } from '../observability/redact.js';
import { Problem } from '../problems/problem.js';
import { LsnClock } from '../lsn-clock/lsn-clock.service.js';
import { ServersService } from '../servers/servers.service.js';
import { type Lsn, parseLsn } from '../shared/lsn.js';
import { previewAdvance, type SkippedChanges } from './advance-preview.js';
import { outlookOf } from './slot-outlook.js';
import { mayBeLeft, mayHaveMoved } from './slot-doubt.js';
import { SlotOwners } from './slot-owners.js';
import { type Overruled, requireForward, requireInactive, requireUnowned } from './slot-refusals.js';
import { ownership, type SlotView } from './slot-view.js';

export interface CreateSlotOptions extends ChangeOptions {
  /** How long to wait for running transactions; then the problem names those still in the way. */
  deadlineMs?: number;
  /** Told whether it was made: null once the server is asked, and what is known from its answer. */
  onMade?: (made: boolean | null) => void;
}

export const DEFAULT_SLOT_DEADLINE_MS = 30_000;
const LOOK_MS = 10_000;

/** Replication slots of any registered server. */
@Injectable()
export class ReplicationSlotsService {
  constructor(
    private readonly servers: ServersService,
    private readonly clock: LsnClock,
    private readonly owners: SlotOwners,
  ) {}

  async list(server: string): Promise<SlotView[]> {
    return (await this.seen(server)).slots;
  }

  /** All slots, with the cluster that was found at the server's address. */
  seen(server: string): Promise<{ systemIdentifier: string; slots: SlotView[] }> {
    return this.views(server, null);
  }

  /** Rejects with NOT_FOUND. */
  async get(server: string, name: string): Promise<SlotView> {
    const [view] = (await this.views(server, name)).slots;
    if (!view) throw unknownSlot(name);
    return view;
  }

  /**
   * Creates a slot; a logical one in `database`. Rejects with SERVER_TIMEOUT at the deadline, `blockers` naming the
   * transactions it waited for; the server then leaves no slot behind.
   */
  async create(
    server: string,
    database: string | null,
    spec: ReplicationSlotSpec,
    { dryRun = false, deadlineMs = DEFAULT_SLOT_DEADLINE_MS, onMade = () => {} }: CreateSlotOptions = {},
  ): Promise<Change<SlotView>> {
    // What the version cannot do is refused before any connection is made.
    createReplicationSlot(spec, (await this.servers.facts(server)).versionNum);
    const target = await this.servers.target(server, database ?? undefined);
    const limits = { purpose: 'slot creation', ...boundedAnswers(deadlineMs) };
    return withSession(target, limits, async (session) => {
      const statements = createReplicationSlot(spec, session.versionNum);
      const planned = plan({ server, database: target.database }, statements);
      if (dryRun) {
        await requireFree(session, spec.name);
        return { statements: planned, result: null };
      }
      try {
        onMade(null);
        await carryOut(session, statements).catch(refuseUnknownPlugin);
        onMade(true);
      } catch (error) {
        if (!isRefusal(error)) throw mayBeLeft(error, server, spec.name);
        onMade(false);
        throw await this.withBlockers(server, deadlineMs, error);
      }
      return { statements: planned, result: await this.made(server, spec.name) };
    });
  }

  /** Rejects with ALREADY_EXISTS. */
  async requireFree(server: string, name: string): Promise<void> {
    await this.inServer(server, (session) => requireFree(session, name));
  }

  /**
   * A second slot at the place of the first, which keeps its own. A copy is never synchronized to standbys nor two-phase,
   * and a slot that has lost its WAL cannot be copied.
   */
  async copy(
    server: string,
    name: string,
    spec: { name: string; plugin?: string },
    { dryRun = false }: ChangeOptions = {},
  ): Promise<Change<SlotView>> {
    const slot = await this.get(server, name);
    // A logical slot decodes in the database it is made in, which must be that of the first.
    const target = await this.servers.target(server, slot.database ?? undefined);
    return withSession(target, { purpose: 'slot copy', ...boundedAnswers() }, async (session) => {
      const current = await requireSlot(session, name);
      const statements = copyReplicationSlot(current, spec);
      const planned = plan({ server, database: target.database }, statements);
      if (current.restartLsn === null) {
        throw new Problem(
          'WRONG_STATE',
          `the slot ${name} keeps no WAL that a copy could begin at: it is lost or unused`,
        );
      }
      if (dryRun) {
        await requireFree(session, spec.name);
        return { statements: planned, result: null };
      }
      try {
        await carryOut(session, statements).catch(refuseUnknownPlugin);
      } catch (error) {
        throw isRefusal(error) ? error : mayBeLeft(error, server, spec.name);
      }
      return { statements: planned, result: await this.made(server, spec.name) };
    });
  }

  /**
   * Refused with SLOT_ACTIVE while somebody streams from it, and with CONFLICT while it has an owner that will come back
   * for it, or may have one on a server that does not answer, unless `force` says to leave that one without.
   */
  async drop(
    server: string,
    name: string,
    { dryRun = false, ...overruled }: ChangeOptions & Overruled = {},
  ): Promise<Change<{ name: string }>> {
    const slot = await this.get(server, name);
    requireInactive(slot, 'drop');
    requireUnowned(slot, 'drop', overruled);
    return this.inServer(server, async (session, database) => {
      const slot = await requireSlot(session, name);
      const statements = dropReplicationSlot(name);
      const planned = plan({ server, database }, statements);
      requireInactive(slot, 'drop');
      if (dryRun) return { statements: planned, result: null };
      await carryOut(session, statements);
      const systemIdentifier = await readSystemIdentifier(session);
      await this.owners.noteGone({ server, systemIdentifier }, (slot) => slot === name);
      return { statements: planned, result: { name } };
    });
  }

  /**
   * Moves the slot forward: what it would have sent up to `lsn` is never sent. Not past the end of the WAL. Refused with
   * CONFLICT while it has an owner that will come back for it, or may have one on a server that does not answer, unless
   * `force` says that this one is to miss it. A dry run tells what would be skipped.
   */
  async advance(
    server: string,
    name: string,
    lsn: Lsn,
    { dryRun = false, force = false }: ChangeOptions & { force?: boolean } = {},
  ): Promise<Change<SlotView> & { skips: SkippedChanges | null }> {
    const slot = await this.get(server, name);
    requireInactive(slot, 'advance');
    requireUnowned(slot, 'advance', { force });
    // A logical slot is advanced by decoding, which only its own database can do.
    const target = await this.servers.target(server, slot.database ?? undefined);
    return withSession(target, { purpose: 'slot advance', ...boundedAnswers() }, async (session) => {
      const current = await requireSlot(session, name);
      const statements = advanceReplicationSlot(name, lsn);
      const planned = plan({ server, database: target.database }, statements);
      requireInactive(current, 'advance');
      requireForward(current, lsn);
      if (dryRun) {
        const skips = await previewAdvance(this.servers, server, current, slot.owner, lsn);
        return { statements: planned, result: null, skips };
      }
      try {
        await carryOut(session, statements);
      } catch (error) {
        throw isRefusal(error) ? error : mayHaveMoved(error, name);
      }
      return { statements: planned, result: await this.get(server, name), skips: null };
    });
  }

  /** Transactions a logical slot would have to wait for now, oldest first. */
  blockers(server: string): Promise<SlotCreationBlocker[]> {
    return this.inServer(server, async (session) => {
      const blockers = await readSlotCreationBlockers(session);
      return blockers.map(({ query, ...rest }) => ({ ...rest, query: query === null ? null : redactText(query) }));
    });
  }

  private async made(server: string, name: string): Promise<SlotView> {
    try {
      return await this.get(server, name);
    } catch (error) {
      throw mayBeLeft(error, server, name);
    }
  }

  private async views(server: string, name: string | null): Promise<{ systemIdentifier: string; slots: SlotView[] }> {
    const { slots, senders, systemIdentifier } = await this.servers.look(
      server,
      undefined,
      LOOK_MS,
      async (session) => ({
        systemIdentifier: await readSystemIdentifier(session),
        slots: await readReplicationSlots(session, name),
        senders: await readWalSenders(session),
      }),
    );
    const isGone = (slot: string) => !slots.some((each) => each.name === slot);
    if (name === null) await this.owners.noteGone({ server, systemIdentifier }, isGone);
    const now = slots[0]?.currentLsn ?? null;
    if (slots.length === 0) return { systemIdentifier, slots: [] };
    const [budget, history] = await Promise.all([
      this.servers.walBudget(server),
      now === null ? null : this.clock.historyOf(server, parseLsn(now)),
    ]);
    const { owners, unanswered } = await this.owners.find({ server, systemIdentifier, slots });
    const views = slots.map((slot) => ({
      ...slot,
      ...ownership(slot, owners.get(slot.name) ?? null, unanswered),
      reader: senders.find(({ pid }) => pid === slot.activePid) ?? null,
      outlook: outlookOf(slot, history?.rate ?? null, budget),
    }));
    return { systemIdentifier, slots: views };
  }

  /** A slot's creation that ran out of time, with the transactions of the server it waited for. */
  private async withBlockers(server: string, waitedMs: number, error: unknown): Promise<unknown> {
    if (!(error instanceof Problem) || error.options.sqlstate !== '57014') return error;
    const running = await this.blockers(server).catch(() => []);
    const blockers = running.filter(({ ageSeconds }) => ageSeconds === null || ageSeconds * 1000 >= waitedMs);
    const first = blockers[0];
    const who = first?.pid ? `process ${first.pid} (${first.user ?? 'unknown user'})` : 'a prepared transaction';
    return new Problem(
      'SERVER_TIMEOUT',
      `the slot was not created within ${waitedMs} ms: a transaction is in the way`,
      {
        sqlstate: '57014',
        hint: first
          ? `End ${who}, running for ${Math.round(first.ageSeconds ?? 0)} s, or wait for it; then try again.`
          : 'Try again; whatever was in the way has ended meanwhile.',
        extra: { blockers },
        cause: error,
      },
    );
  }

  private async inServer<T>(server: string, work: (session: Session, database: string) => Promise<T>): Promise<T> {
    const { database } = await this.servers.target(server);
    return this.servers.withSession(server, database, (session) => work(session, database));
  }
}

async function requireSlot(session: Session, name: string): Promise<ReplicationSlot> {
  const [slot] = await readReplicationSlots(session, name);
  if (!slot) throw unknownSlot(name);
  return slot;
}

function unknownSlot(name: string): Problem {
  return new Problem('NOT_FOUND', `there is no replication slot ${JSON.stringify(name)} on this server`);
}

/** What the server says of itself when the slot is really created. */
async function requireFree(session: Session, name: string): Promise<void> {
  const [existing] = await readReplicationSlots(session, name);
  if (existing) throw new Problem('ALREADY_EXISTS', `there is a replication slot ${JSON.stringify(name)} already`);
}

/** The library that the server does not find (58P01) is the caller's choice. */
function refuseUnknownPlugin(error: unknown): never {
  if (!(error instanceof Problem) || error.options.sqlstate !== '58P01') throw error;
  throw new Problem('INVALID_INPUT', error.detail, {
    ...{ sqlstate: '58P01', errors: [{ pointer: '#/plugin', detail: 'is not installed on the server' }] },
    ...{ hint: 'Install it there, or use pgoutput or test_decoding, which come with the server.', cause: error },
  });
}

/** An answer of the server, and not the end of its life. */
export function isRefusal(error: unknown): boolean {
  const state = error instanceof Problem ? error.options.sqlstate : undefined;
  return state !== undefined && !/^(08|57P)/.test(state);
}
