import { readTableNames, type RowKey, rowsExist } from '../../postgres/catalog/subscriber-rows.js';
import type { Subscription } from '../../postgres/catalog/subscriptions.js';
import { boundedAnswers, type ConnectionTarget } from '../../postgres/connection.js';
import { readUnapplied, type UnappliedEnd } from '../../postgres/replication/read-unapplied.js';
import type { TransactionSummary } from '../../postgres/replication/transaction-summary.js';
import { type Session, withSession } from '../../postgres/session.js';
import type { Lsn } from '../../shared/lsn.js';
import {
  PreparedAsSent,
  type PreparedSending,
  readPreparedGids,
  readPreparedSending,
} from './prepared-transactions.js';

const MOST_BYTES = 512 * 1024 * 1024;
const DEADLINE_MS = 20_000;
/** Transactions that may be without effect, before the one that has one. */
const MOST_CANDIDATES = 50;

export interface Search {
  end: UnappliedEnd;
  /** In commit order; only the last can have an effect that is certain. */
  candidates: TransactionSummary[];
  /** Why what follows the candidates is not known; null: it is, or nothing does. */
  untold: string | null;
  /** What the subscription has prepared on the subscriber. */
  prepared: ReadonlySet<string>;
}

/**
 * Transactions past `position` that the apply worker has something to do in, up to the first that is certain to
 * have an effect. One that changes only tables which are not subscribed leaves no trace: the worker passes it by, unless
 * it is prepared.
 *
 * @param mostChanges of each that are told one by one; the others are counted
 */
export async function searchUnapplied(
  publisher: ConnectionTarget,
  subscriber: Session,
  subscription: Subscription,
  position: Lsn,
  mostChanges: number,
): Promise<Search> {
  const { oid, tables } = subscription;
  const prepared = await readPreparedGids(subscriber, oid);
  const sending = await sendingOf(publisher, subscription, position);
  const asSent = new PreparedAsSent(oid, position, sending.since, prepared);
  const applied = tables.filter(({ state }) => state === 'ready' || state === 'catching-up').map(nameOf);
  const subscribed = new Set(applied);
  const existing = new Set((await readTableNames(subscriber)).map(nameOf));
  // The worker fails at a table that does not exist, whether the subscription knows it or not.
  const concerns = (table: { schema: string; name: string }) =>
    subscribed.has(nameOf(table)) || !existing.has(nameOf(table));
  const candidates: TransactionSummary[] = [];
  const end = await readUnapplied({
    ...requestOf(publisher, subscription, sending),
    ...{ position, mostChanges },
    onTransaction: (received) => {
      const transaction = asSent.accept(received);
      if (transaction === null) return asSent.untold !== null;
      if (transaction.kind === 'commit' && !transaction.tables.some(concerns)) return false;
      candidates.push(transaction);
      return hasCertainEffect(transaction) || candidates.length === MOST_CANDIDATES;
    },
  });
  return { end, candidates, untold: asSent.untold, prepared };
}

function sendingOf(publisher: ConnectionTarget, subscription: Subscription, position: Lsn): Promise<PreparedSending> {
  return withSession(publisher, { purpose: 'diagnosis', ...boundedAnswers() }, (session) =>
    readPreparedSending(session, subscription, position),
  );
}

function requestOf(target: ConnectionTarget, { settings, publications }: Subscription, { twoPhase }: PreparedSending) {
  const origin: 'none' | 'any' = settings.origin === 'none' ? 'none' : 'any';
  const bounds = { mostBytes: MOST_BYTES, deadlineMs: DEADLINE_MS };
  return { target, slotName: settings.slotName!, publications, origin, twoPhase, ...bounds };
}

/** The transaction that ends exactly there; null when none does, or it was not reached. */
export async function findTransaction(
  publisher: ConnectionTarget,
  subscription: Subscription,
  position: Lsn,
  finishLsn: Lsn,
  mostChanges: number,
): Promise<TransactionSummary | null> {
  let found: TransactionSummary | null = null;
  await readUnapplied({
    ...requestOf(publisher, subscription, await sendingOf(publisher, subscription, position)),
    ...{ position, mostChanges },
    onTransaction: (transaction) => {
      // That of a ROLLBACK PREPARED is the end of its record, where that of another may begin.
      if (transaction.finishLsn === finishLsn && transaction.kind !== 'rollbackPrepared') found = transaction;
      return found !== null || transaction.finishLsn > finishLsn;
    },
  });
  return found;
}

/**
 * For each change that is shown, whether the subscriber has a row of its key now; null where that is not known, and for
 * all that is asked past `deadline` (ms epoch). One statement for each table.
 */
export async function rowsOnSubscriber(
  subscriber: Session,
  { changes }: TransactionSummary,
  deadline: number,
): Promise<(boolean | null)[]> {
  const found = changes.map((): boolean | null => null);
  const groups = new Map<string, { schema: string; name: string; keys: RowKey[]; at: number[] }>();
  for (const [index, { schema, table: name, key }] of changes.entries()) {
    if (key === null || Object.values(key).includes(null)) continue;
    const id = JSON.stringify([schema, name, Object.keys(key)]);
    const group = groups.get(id) ?? { schema, name, keys: [], at: [] };
    groups.set(id, group);
    group.keys.push(key);
    group.at.push(index);
  }
  for (const { schema, name, keys, at } of groups.values()) {
    const present = await rowsExist(subscriber, { schema, name }, keys, deadline - Date.now());
    for (const [position, index] of at.entries()) found[index] = present[position] ?? null;
  }
  return found;
}

/** UPDATE and DELETE of rows that are missing: the worker goes on, and its position does not move, unless it prepares them. */
export function hasNoEffect(transaction: TransactionSummary, onSubscriber: readonly (boolean | null)[]): boolean {
  return !hasCertainEffect(transaction) && onSubscriber.every((present) => present === false);
}

function hasCertainEffect({ kind, tables, changes, changeCount }: TransactionSummary): boolean {
  if (kind !== 'commit') return true;
  return changeCount > changes.length || tables.some(({ inserts, truncates }) => inserts + truncates > 0);
}

function nameOf({ schema, name }: { schema: string; name: string }): string {
  return JSON.stringify([schema, name]);
}
