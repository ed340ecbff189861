import type { BoundPair } from '../../postgres/replication/bound-pair.js';
import type { Session } from '../../postgres/session.js';
import { sqlstateOf } from '../../postgres/translate-error.js';
import { Problem } from '../../problems/problem.js';
import type { Lsn } from '../../shared/lsn.js';
import { compareKeyed } from './compare-keyed.js';
import { compareKeyless } from './compare-keyless.js';
import { both, comparePoints } from './compare-points.js';
import type { SnapshotSessions } from './snapshot-sessions.js';
import { Differences } from './difference.js';
import { readByKeys } from './point-read.js';
import { TableMoved } from './row-changes.js';
import type { TableShape } from './table-shape.js';

const LOCK_NOT_AVAILABLE = '55P03';
const IN_FAILED_TRANSACTION = '25P02';
/** So few keys are read sooner in the pair's own sessions than further ones are opened. */
const FEW_KEYS = 10_000;

/** What is to be done with one table in a bound pair: all of it, or only keys that an earlier pair left in doubt. */
export interface TableTask {
  /** With the slice of it that is compared. */
  shape: TableShape;
  only: readonly string[][] | null;
  /** Rows that a slice was made of, before any row filter. */
  size?: number;
  /** Differences that may be listed; default: as the options say. */
  listLimit?: number;
}

/** What one bound pair says about a table. */
export interface TableFinding {
  task: TableTask;
  shape: TableShape;
  /** How long it took, in milliseconds. */
  ms: number;
  lsn: Lsn;
  /** Rows the publisher has at `lsn`; null when only keys were looked at, or nothing. */
  rows: number | null;
  differences: Differences;
  /** Keys that need another bind. */
  doubtful: string[][];
  /** The table as a whole needs another bind, for this reason. */
  moved: string | null;
  /** The servers refused to compare it. */
  refusal: string | null;
}

export interface CompareOptions {
  /** Tables compared at a time; each takes one session on each side. */
  maxParallel: number;
  /** Ends a single statement (a hash over a whole table is one), in milliseconds. */
  statementDeadlineMs: number;
  /** Differences listed per table; the rest is counted. */
  listLimit: number;
  signal?: AbortSignal;
  onTable?: (finding: TableFinding) => Promise<void> | void;
}

/** Compares tables in one bound pair, several at a time, largest first. Rejects when aborted or a server fails. */
export async function compareTables(
  pair: BoundPair,
  tasks: readonly TableTask[],
  options: CompareOptions,
): Promise<TableFinding[]> {
  const queue = [...tasks].sort((a, b) => b.shape.bytes - a.shape.bytes);
  const findings: TableFinding[] = [];
  const few = tasks.every(({ only }) => only) && keysOf(tasks) <= FEW_KEYS;
  const sessions = few ? new OwnSessions(pair, options) : new FurtherSessions(pair, options);
  const parallel = few ? 1 : Math.max(1, Math.min(options.maxParallel, tasks.length));
  const worker = async () => {
    for (let task = queue.shift(); task; task = queue.shift()) {
      options.signal?.throwIfAborted();
      const begun = Date.now();
      const finding = await compareTask(pair, task, sessions, options);
      finding.ms = Date.now() - begun;
      findings.push(finding);
      await options.onTable?.(finding);
    }
  };
  const stop = () => void sessions.terminate();
  options.signal?.addEventListener('abort', stop, { once: true });
  try {
    const workers = Array.from({ length: parallel }, worker);
    await Promise.all(workers).catch(async (error: unknown) => {
      // The other workers' statements are of no use any more.
      queue.length = 0;
      await sessions.terminate();
      await Promise.allSettled(workers);
      throw error;
    });
    options.signal?.throwIfAborted();
    return findings;
  } catch (error) {
    options.signal?.throwIfAborted();
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', stop);
    await sessions.close();
  }
}

function keysOf(tasks: readonly TableTask[]): number {
  return tasks.reduce((sum, { only }) => sum + (only?.length ?? 0), 0);
}

async function compareTask(
  pair: BoundPair,
  task: TableTask,
  sessions: SessionLender,
  options: CompareOptions,
): Promise<TableFinding> {
  const { shape, only, listLimit = options.listLimit } = task;
  const differences = new Differences(shape, pair.boundLsn, listLimit);
  const finding: TableFinding = {
    ...{ task, shape, differences, lsn: pair.boundLsn, ms: 0 },
    ...{ rows: null, doubtful: [], moved: null, refusal: null },
  };
  const lent = await sessions.borrow();
  try {
    if (only) {
      const { doubtful } = await comparePoints(lent, shape, pair, only, differences, readByKeys, {
        onlyFurther: true,
      });
      await sessions.giveBack(lent);
      return { ...finding, doubtful };
    }
    const compared = await (shape.key ? compareKeyed : compareKeyless)(lent, shape, pair, differences);
    await sessions.giveBack(lent);
    return { ...finding, ...compared };
  } catch (error) {
    await sessions.discard(lent);
    const fresh = { ...finding, differences: new Differences(shape, pair.boundLsn, listLimit) };
    if (error instanceof TableMoved) return { ...fresh, moved: error.reason };
    // Whoever waits for an exclusive lock waits for this pair's: the next one comes after it.
    if (sqlstateOf(error) === LOCK_NOT_AVAILABLE) {
      return { ...fresh, moved: 'another session waits to lock the table exclusively (TRUNCATE, ALTER TABLE ...)' };
    }
    if (isTablesOwn(error)) return { ...fresh, refusal: error.detail };
    throw error;
  }
}

/** Errors that concern the one table (a filter that fails, a privilege below it) and say nothing of the others. */
function isTablesOwn(error: unknown): error is Problem {
  if (!(error instanceof Problem) || error.options.sqlstate === undefined) return false;
  // What went before failed the transaction; that says nothing of this table.
  if (error.options.sqlstate === IN_FAILED_TRANSACTION) return false;
  return ['SERVER_FAILED', 'SERVER_PRIVILEGE_MISSING', 'NOT_FOUND', 'PREREQUISITE_FAILED'].includes(error.code);
}

/** Lends the two sessions in which one table is compared. */
interface SessionLender {
  borrow(): Promise<SnapshotSessions>;
  giveBack(sessions: SnapshotSessions): Promise<void>;
  /** Instead of `giveBack` where a statement failed. Never rejects. */
  discard(sessions: SnapshotSessions): Promise<void>;
  /** Ends running statements at once. */
  terminate(): Promise<void>;
  close(): Promise<void>;
}

/** Compiling the long expressions costs more than it saves. */
function settingsFor(options: CompareOptions): string {
  return `set local statement_timeout = ${options.statementDeadlineMs}; set local jit = off`;
}

/** The sessions that hold the pair's snapshots, for one table at a time. */
class OwnSessions implements SessionLender {
  private isPrepared = false;

  constructor(
    private readonly pair: BoundPair,
    private readonly options: CompareOptions,
  ) {}

  async borrow(): Promise<SnapshotSessions> {
    const sessions = { publisher: this.pair.publisher.session, subscriber: this.pair.subscriber.session };
    if (!this.isPrepared) {
      // A failed statement must not end the transaction, and with it the snapshot.
      await onBoth(sessions, `${settingsFor(this.options)}; savepoint lockstep`);
      this.isPrepared = true;
    }
    return sessions;
  }

  giveBack(): Promise<void> {
    return Promise.resolve();
  }

  async discard(sessions: SnapshotSessions): Promise<void> {
    // A transaction that stays failed would be taken for the next table's fault.
    await onBoth(sessions, 'rollback to savepoint lockstep').catch(() => this.pair.cancel());
  }

  /** Nobody else is in these snapshots, and whoever asks for this releases the pair. */
  terminate(): Promise<void> {
    return this.pair.cancel();
  }

  async close(): Promise<void> {}
}

async function onBoth({ publisher, subscriber }: SnapshotSessions, sql: string): Promise<void> {
  await both(publisher.execute(sql), subscriber.execute(sql));
}

/** Further sessions inside the pair's snapshots, reused from table to table. */
class FurtherSessions implements SessionLender {
  private readonly all = new Set<SnapshotSessions>();
  private readonly free: SnapshotSessions[] = [];

  constructor(
    private readonly pair: BoundPair,
    private readonly options: CompareOptions,
  ) {}

  async borrow(): Promise<SnapshotSessions> {
    const free = this.free.pop();
    if (free) return free;
    const publisher = await this.open('publisher');
    try {
      const sessions = { publisher, subscriber: await this.open('subscriber') };
      this.all.add(sessions);
      return sessions;
    } catch (error) {
      await publisher.close();
      throw error;
    }
  }

  giveBack(sessions: SnapshotSessions): Promise<void> {
    this.free.push(sessions);
    return Promise.resolve();
  }

  /** A failed statement ended its transaction, and with it the snapshot: the sessions are not used again. */
  async discard(sessions: SnapshotSessions): Promise<void> {
    this.all.delete(sessions);
    await Promise.all([sessions.publisher.close(), sessions.subscriber.close()]);
  }

  /** A server notices a closed connection only after the statement. */
  async terminate(): Promise<void> {
    const sides = ['publisher', 'subscriber'] as const;
    await Promise.allSettled(
      sides.map((side) =>
        this.pair[side].session.rows('select pg_catalog.pg_terminate_backend(p) from pg_catalog.unnest($1::int4[]) p', [
          [...this.all].map((sessions) => sessions[side].backendPid),
        ]),
      ),
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.all].map((sessions) => this.discard(sessions)));
  }

  private async open(side: 'publisher' | 'subscriber'): Promise<Session> {
    const session = await this.pair[side].openSession('verification');
    await session.execute(settingsFor(this.options));
    return session;
  }
}
