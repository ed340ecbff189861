import { type BindAttempt, attemptBind } from '../at-rest/bind-attempt.js';
import { readLinkTables, readSubscription } from '../at-rest/read-shapes.js';
import { keyText } from '../at-rest/row-changes.js';
import { tableId, type TableName } from '../at-rest/table-shape.js';
import type { BoundPair } from '../../postgres/replication/bound-pair.js';
import type { LinkReaders } from '../link/link-readers.js';
import { type DifferingRow, judgeKeys, keyInBothForms } from './judge-keys.js';
import type { RepairFacts } from './repair-facts.js';
import { KEYLESS, type RepairedItem, type RepairItem } from './repair-item.js';
import { repairSql } from './repair-statement.js';
import { notWritable } from './repair-link.js';

/** A difference with the statements that would make it right. */
export interface PlannedItem extends Omit<RepairedItem, 'outcome'> {
  outcome: RepairedItem['outcome'] | 'planned';
  /** Statements of lower turns come first. */
  turn: number;
  sql: string[];
}

export interface PlanLinkRequest {
  readers: LinkReaders;
  facts: RepairFacts;
  /** Differences of the table that have no outcome yet. */
  itemsOf: (table: TableName) => Promise<RepairItem[]>;
  onDone: (items: (PlannedItem | RepairedItem)[]) => Promise<void>;
  signal: AbortSignal;
}

const MOST_BINDS = 6;
const BIND_DEADLINE_MS = 60_000;
const KEYS_AT_ONCE = 200;

/**
 * The statements that would make rows of the subscriber what the publisher's are, as of a bound pair of snapshots that
 * is taken now; nothing is written. Keys that the pair does not decide are looked at in further ones.
 */
export async function planLink(request: PlanLinkRequest): Promise<void> {
  for (const [index, table] of request.facts.tables.entries()) await planTable(request, table, index);
}

async function planTable(request: PlanLinkRequest, table: TableName, index: number): Promise<void> {
  const { facts, itemsOf, onDone, readers, signal } = request;
  const items = await itemsOf(table);
  const tell = (some: readonly RepairItem[], outcome: RepairedItem['outcome'], reason: string) =>
    onDone(some.map(({ position }) => ({ position, outcome, reason })));

  const refusal = facts.refused.get(tableId(table));
  if (refusal !== undefined) return tell(items, 'not-repairable', refusal);
  await tell(
    items.filter(({ key }) => key === null),
    'not-repairable',
    KEYLESS,
  );
  let open = items.filter(({ key }) => key !== null);
  for (let bind = 0; open.length > 0 && bind < MOST_BINDS; bind++) {
    signal.throwIfAborted();
    const attempt: BindAttempt = await attemptBind(readers, [table], { deadlineMs: BIND_DEADLINE_MS, signal });
    if (!attempt.pair) {
      const outcome = attempt.gone ? 'not-repairable' : 'not-repaired';
      return tell(open, outcome, attempt.gone ? 'the table is gone' : attempt.reason);
    }
    try {
      open = await planBound(request, attempt.pair, table, index, open);
    } finally {
      await attempt.pair.release();
    }
  }
  await tell(open, 'changed', 'the row was changed each time it was looked at');
}

/** Answers what this pair does not decide. */
async function planBound(
  { facts, onDone, readers, signal }: PlanLinkRequest,
  pair: BoundPair,
  table: TableName,
  index: number,
  items: readonly RepairItem[],
): Promise<RepairItem[]> {
  const sessions = { publisher: pair.publisher.session, subscriber: pair.subscriber.session };
  const subscription = await readSubscription(sessions.subscriber, readers.subscription.name);
  const { comparable, notComparable } = await readLinkTables(sessions.publisher, sessions.subscriber, subscription, [
    table,
  ]);
  const [shape] = comparable;
  if (!shape?.key) {
    const reason = notComparable[0]?.reason ?? KEYLESS;
    await onDone(items.map(({ position }) => ({ position, outcome: 'not-repairable', reason })));
    return [];
  }
  // Children's rows are deleted first, and inserted last.
  const turnOf = (row: DifferingRow) =>
    row.kind === 'extra' ? facts.tables.length - 1 - index : facts.tables.length + index;
  const again: RepairItem[] = [];
  for (let from = 0; from < items.length; from += KEYS_AT_ONCE) {
    signal.throwIfAborted();
    const some = items
      .slice(from, from + KEYS_AT_ONCE)
      .map((item) => ({ item, key: keyInBothForms(shape, item.key!) }));
    const asked = some.flatMap(({ key }) => ('reason' in key ? [] : [key]));
    const judged = await judgeKeys(sessions, shape, pair, asked);
    const shown = new Set<DifferingRow>();
    const done: (PlannedItem | RepairedItem)[] = [];
    for (const { item, key } of some) {
      const { position } = item;
      if ('reason' in key) {
        done.push({ position, outcome: 'not-repairable', reason: key.reason });
        continue;
      }
      const text = keyText(key.subscriber);
      const rows = judged.differing.get(text) ?? [];
      const reason = notWritable(facts, shape, rows);
      if (judged.doubtful.has(text)) again.push(item);
      else if (rows.length === 0) done.push({ position, outcome: 'gone', reason: null });
      else if (reason !== null) done.push({ position, outcome: 'not-repairable', reason });
      else {
        // Two differences of one key (a row that is there twice) share their statements.
        const sql = rows.filter((row) => !shown.has(row)).map((row) => repairSql(shape, row));
        for (const row of rows) shown.add(row);
        done.push({ position, outcome: 'planned', reason: null, turn: turnOf(rows[0]!), sql });
      }
    }
    await onDone(done);
  }
  return again;
}
