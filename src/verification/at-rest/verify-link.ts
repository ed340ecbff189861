import { setTimeout as delay } from 'node:timers/promises';
import type { BindMethod, BoundPair } from '../../postgres/replication/bound-pair.js';
import { withSession, type Session } from '../../postgres/session.js';
import type { ConnectionTarget } from '../../postgres/connection.js';
import type { Lsn } from '../../shared/lsn.js';
import { attemptBind, type Binder } from './bind-attempt.js';
import { tableId, type TableName } from './table-shape.js';
import { ChunkPlanner } from './chunk-planner.js';
import { ChunkSizes } from './chunk-sizes.js';
import { compareTables, type TableTask } from './compare-tables.js';
import type { KeyMoves } from './key-moves.js';
import type { LinkVerification, VerificationProgress } from './link-verification.js';
import { readLinkTables, readSubscription, type LinkTables } from './read-shapes.js';
import type { TableProgress, TableRecord } from './ledger-entry.js';
import { type KeysByTable, TableLedger } from './table-ledger.js';

/** What verifying needs of a link's readers. */
export interface VerifiableLink extends Binder {
  readonly ends: { publisher: ConnectionTarget; subscriber: ConnectionTarget };
  readonly subscription: { name: string };
  readonly positionsReason: string | null;
  /** Every publisher transaction whose commit record starts below this was given to its listeners. */
  readonly publisherPosition: Lsn;
}

/** How a link is compared piece by piece rather than at one LSN. */
export interface ChunkedVerification {
  /** Rows a chunk begins with, and never has more of. */
  mostRows: number;
  /** How long a chunk should take, and a snapshot be held; chunks grow and shrink to it. In milliseconds. */
  chunkMs: number;
  /** Found by a process that went before. */
  earlier: { records: readonly TableRecord[]; method: BindMethod | null };
  /** Given the rows that are not compared again, where there are any. */
  onResumed?: (rowsKept: number) => Promise<void>;
  /**
   * Given what is new after each bind; resolves once it is kept. The publisher's transactions below `position` are of no
   * further use then.
   */
  keep: (progress: readonly TableProgress[], method: BindMethod | null, position: Lsn) => Promise<void>;
  /** Resolves once the servers can take more; `meanwhile` is to be called every now and then until then. */
  pause?: (meanwhile: () => Promise<void>) => Promise<void>;
}

export interface VerifyLinkRequest {
  readers: VerifiableLink;
  /** Null: every table of the link. */
  tables: readonly TableName[] | null;
  /** Compare only the rows with these keys, in tables that have one; no table named here is read as a whole. */
  keys?: KeysByTable;
  /** Tables, or chunks of them, compared at a time. Default 2. */
  maxParallel?: number;
  /** For one bind (waiting until the subscriber has caught up with the snapshot), in milliseconds. Default 60,000. */
  bindDeadlineMs?: number;
  /** For hashing one table or chunk, in milliseconds. Default 12 hours. */
  statementDeadlineMs?: number;
  /** Differences listed per table. Default 1000. */
  listLimit?: number;
  /**
   * Fed from the publisher's stream since before the first bind, and of one in chunks also with what an earlier process
   * did not confirm. Absent: a row that is in doubt and gets another key before it is compared again is not followed.
   */
  moves?: KeyMoves;
  /** Absent: everything in one bound pair, as far as that decides it. */
  chunked?: ChunkedVerification;
  signal?: AbortSignal;
  /** Given each bound pair before it is compared. */
  onBound?: (pair: BoundPair) => void;
  onProgress?: (progress: VerificationProgress) => Promise<void> | void;
}

/** Binds after the first one, for keys in doubt and tables that moved; then they stay `pending`. */
export const MOST_FURTHER_BINDS = 10;
/** A hash over one table: half a day. */
export const STATEMENT_DEADLINE_MS = 12 * 60 * 60 * 1000;
/** Differences listed per table unless asked otherwise. */
export const LIST_LIMIT = 1000;
const BIND_DEADLINE_MS = 60_000;
/** Binds that fail one after the other until the link is taken for stalled or too busy. */
const MOST_FAILED_BINDS = 3;
/** The same of a verification in chunks that has come somewhere: a subscriber may apply one transaction for long. */
const MOST_FAILED_LATER = 30;
const BIND_PAUSE_MS = 2_000;
/** So many tables are locked at once in a verification in chunks. */
const MOST_TABLES_OF_UNIT = 500;

/**
 * Compares the tables of a link, exactly, while both sides are written to: all of them in one bound pair of
 * snapshots, or chunk by chunk, each in a pair of its own; what a pair cannot decide, in further ones. Rejects when a
 * server fails or the signal aborts; that the link does not move is a verdict (`stalled`), not a rejection.
 */
export async function verifyLink(request: VerifyLinkRequest): Promise<LinkVerification> {
  const { readers, signal, chunked, moves } = request;
  const ledger = new TableLedger(readers.positionsReason, request.listLimit ?? LIST_LIMIT);
  ledger.begin(await currentTables(readers.ends, readers.subscription.name, request.tables), request.keys ?? null);
  if (chunked) {
    const kept = ledger.restore(chunked.earlier.records, chunked.earlier.method);
    if (kept > 0) await chunked.onResumed?.(kept);
  }
  moves?.watchOnly(ledger.begun());
  const keep = async (method: BindMethod | null) => {
    if (moves) moves.wanted = ledger.begun().length > 0;
    // Read first: what is given after that comes again, where it is needed.
    const position = readers.publisherPosition;
    for (const table of ledger.begun()) ledger.follow(table, moves?.takeAsKnown(table) ?? (moves ? null : []));
    await chunked?.keep(ledger.changes(), method, position);
  };
  if (moves) moves.wanted = ledger.begun().length > 0;
  await request.onProgress?.(ledger.progress());

  const sizes = new ChunkSizes(chunked ?? null, request.maxParallel ?? 2);
  for (let failed = 0; ;) {
    const unit = ledger.nextUnit(sizes.unitRows, chunked ? MOST_TABLES_OF_UNIT : Infinity);
    if (unit.length === 0) break;
    await chunked?.pause?.(() => keep(null));
    signal?.throwIfAborted();
    for (const table of unit) if (ledger.isUnbegun(table)) moves?.watch(table);
    const deadlineMs = request.bindDeadlineMs ?? BIND_DEADLINE_MS;
    const attempt = await attemptBind(readers, unit, { deadlineMs, ...(signal ? { signal } : {}) });
    if (!attempt.pair && attempt.gone) {
      const { notComparable } = await currentTables(readers.ends, readers.subscription.name, unit);
      for (const table of notComparable) ledger.refuse(table, table.reason);
      ledger.ended(unit);
      continue;
    }
    if (!attempt.pair && attempt.locked) {
      ledger.apart(unit, attempt.reason);
      continue;
    }
    if (!attempt.pair) {
      const most = ledger.hasBegun ? MOST_FAILED_LATER : MOST_FAILED_BINDS;
      if (!chunked || ++failed >= most) {
        ledger.giveUp(attempt);
        break;
      }
      await delay(BIND_PAUSE_MS, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
      continue;
    }
    failed = 0;
    const { pair } = attempt;
    request.onBound?.(pair);
    try {
      await compareBound(request, pair, unit, { ledger, sizes });
    } finally {
      await pair.release();
    }
    ledger.ended(unit);
    const open = new Set(ledger.open().map(tableId));
    for (const table of unit) if (!open.has(tableId(table))) moves?.unwatch(table);
    await keep(pair.method);
  }
  // Tables that are compared side by side tell of it in any order, and the later word may come first.
  await request.onProgress?.(ledger.progress());
  return ledger.conclude();
}

/** The tables a link carries now, read in sessions of their own. */
export async function currentTables(
  ends: VerifiableLink['ends'],
  subscription: string,
  tables: readonly TableName[] | null = null,
): Promise<LinkTables> {
  return withSession(ends.publisher, { purpose: 'verification' }, (publisher) =>
    withSession(ends.subscriber, { purpose: 'verification' }, (subscriber) =>
      readTables(publisher, subscriber, subscription, tables),
    ),
  );
}

async function readTables(
  publisher: Session,
  subscriber: Session,
  name: string,
  tables: readonly TableName[] | null,
): Promise<LinkTables> {
  return readLinkTables(publisher, subscriber, await readSubscription(subscriber, name), tables);
}

async function compareBound(
  request: VerifyLinkRequest,
  pair: BoundPair,
  unit: readonly TableName[],
  { ledger, sizes }: { ledger: TableLedger; sizes: ChunkSizes },
): Promise<void> {
  // Read again under the locks, inside the snapshots: a table may have changed since the names were read.
  const { comparable, notComparable } = await readTables(
    pair.publisher.session,
    pair.subscriber.session,
    request.readers.subscription.name,
    unit,
  );
  for (const table of notComparable) ledger.refuse(table, table.reason);
  const { moves } = request;
  const planner = new ChunkPlanner(pair, request.statementDeadlineMs ?? STATEMENT_DEADLINE_MS, request.signal);
  const tasks: TableTask[] = [];
  try {
    for (const shape of comparable) {
      const wasBegun = !ledger.isUnbegun(shape);
      if (!wasBegun) moves?.begin(shape, pair.boundLsn);
      else if (moves) ledger.follow(shape, moves.take(shape));
      const { remaining, doubtful } = ledger.openOf(shape);
      // Begins anew: not in this pair, past which it is no longer known what moved.
      if (wasBegun && ledger.isUnbegun(shape)) continue;
      const listLimit = ledger.listRoom(shape);
      if (doubtful.length > 0) tasks.push({ shape, only: doubtful, listLimit });
      if (remaining === null) continue;
      const chunks = await planner.next(shape, remaining, sizes.of(shape));
      if (typeof chunks === 'string') {
        ledger.refuse(shape, chunks);
        continue;
      }
      for (const chunk of chunks) chunk.listLimit = listLimit;
      ledger.run(shape, chunks);
      tasks.push(...chunks);
    }
  } finally {
    await planner.close();
  }
  await compareTables(pair, tasks, {
    maxParallel: request.maxParallel ?? 2,
    statementDeadlineMs: request.statementDeadlineMs ?? STATEMENT_DEADLINE_MS,
    listLimit: request.listLimit ?? LIST_LIMIT,
    ...(request.signal ? { signal: request.signal } : {}),
    onTable: async (finding) => {
      sizes.learn(finding);
      ledger.record(finding, pair.method);
      await request.onProgress?.(ledger.progress());
    },
  });
}
