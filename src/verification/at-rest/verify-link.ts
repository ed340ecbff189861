import type { BoundPair } from '../../postgres/replication/bound-pair.js';
import { withSession, type Session } from '../../postgres/session.js';
import type { ConnectionTarget } from '../../postgres/connection.js';
import { attemptBind, type Binder } from './bind-attempt.js';
import type { TableName } from './table-shape.js';
import { compareTables, type TableTask } from './compare-tables.js';
import type { LinkVerification, VerificationProgress } from './link-verification.js';
import { readLinkTables, readSubscription, type LinkTables } from './read-shapes.js';
import { type KeysByTable, TableLedger } from './table-ledger.js';

/** What verifying needs of a link's readers. */
export interface VerifiableLink extends Binder {
  readonly ends: { publisher: ConnectionTarget; subscriber: ConnectionTarget };
  readonly subscription: { name: string };
  readonly positionsReason: string | null;
}

export interface VerifyLinkRequest {
  readers: VerifiableLink;
  /** Null: every table of the link. */
  tables: readonly TableName[] | null;
  /** Compare only the rows with these keys, in tables that have one; no table named here is read as a whole. */
  keys?: KeysByTable;
  /** Tables compared at a time. Default 2. */
  maxParallel?: number;
  /** For one bind (waiting until the subscriber has caught up with the snapshot), in milliseconds. Default 60,000. */
  bindDeadlineMs?: number;
  /** For hashing one table, in milliseconds. Default 12 hours. */
  statementDeadlineMs?: number;
  /** Differences listed per table. Default 1000. */
  listLimit?: number;
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

/**
 * Compares the tables of a link, exactly, while both sides are written to: all of them in one bound pair of
 * snapshots; what that pair cannot decide, in further ones. Rejects when a server fails or the signal aborts; that
 * the link does not move is a verdict (`stalled`), not a rejection.
 */
export async function verifyLink(request: VerifyLinkRequest): Promise<LinkVerification> {
  const { readers, signal } = request;
  const ledger = new TableLedger(readers.positionsReason);
  ledger.begin(await currentTables(readers.ends, readers.subscription.name, request.tables), request.keys ?? null);
  await request.onProgress?.(ledger.progress());

  for (let bind = 0; bind <= MOST_FURTHER_BINDS; bind++) {
    const open = ledger.open();
    if (open.length === 0) break;
    signal?.throwIfAborted();
    const deadlineMs = request.bindDeadlineMs ?? BIND_DEADLINE_MS;
    const attempt = await attemptBind(readers, open, { deadlineMs, ...(signal ? { signal } : {}) });
    if (!attempt.pair && attempt.gone) {
      const { notComparable } = await currentTables(readers.ends, readers.subscription.name, open);
      for (const table of notComparable) ledger.refuse(table, table.reason);
      continue;
    }
    if (!attempt.pair) {
      ledger.giveUp(attempt);
      break;
    }
    const { pair } = attempt;
    request.onBound?.(pair);
    try {
      await compareBound(request, pair, open, ledger);
    } finally {
      await pair.release();
    }
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
  open: readonly TableName[],
  ledger: TableLedger,
): Promise<void> {
  // Read again under the locks, inside the snapshots: a table may have changed since the names were read.
  const { comparable, notComparable } = await readTables(
    pair.publisher.session,
    pair.subscriber.session,
    request.readers.subscription.name,
    open,
  );
  for (const table of notComparable) ledger.refuse(table, table.reason);
  const tasks: TableTask[] = comparable.map((shape) => ({ shape, only: ledger.doubtfulKeys(shape) }));
  await compareTables(pair, tasks, {
    maxParallel: request.maxParallel ?? 2,
    statementDeadlineMs: request.statementDeadlineMs ?? STATEMENT_DEADLINE_MS,
    listLimit: request.listLimit ?? LIST_LIMIT,
    ...(request.signal ? { signal: request.signal } : {}),
    onTable: async (finding) => {
      ledger.record(finding, pair.method);
      await request.onProgress?.(ledger.progress());
    },
  });
}
