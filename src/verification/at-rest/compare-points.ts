import type { StreamedTransaction } from '../../postgres/replication/streamed-transaction.js';
import type { Differences } from './difference.js';
import type { PointReader, ReadRow, TouchedKey } from './point-read.js';
import { withinSlice } from './key-slice.js';
import { replay, type BaseRow } from './replay.js';
import { keyPositions, keysOf, keyText, rowChanges, type RowChange, type RowValues } from './row-changes.js';
import type { SnapshotSessions } from './snapshot-sessions.js';
import { imagesOf, SubscriberForm } from './subscriber-form.js';
import type { TableShape } from './table-shape.js';

/** The transactions of a bound pair that decide what the subscriber must have. */
export interface BoundTransactions {
  readonly rollForward: readonly StreamedTransaction[];
  readonly inDoubt: readonly StreamedTransaction[];
}

/** Keys whose rows are held at once, whole and from both sides. */
const KEYS_AT_ONCE = 10_000;

export interface ComparedPoints<Row extends ReadRow> {
  /** Every row of a touched key, as found in the snapshots. */
  publisher: Omit<Row, 'values'>[];
  subscriber: Omit<Row, 'values'>[];
  /** Rows the publisher has among the touched keys at the bound LSN, as far as known. */
  expectedRows: number;
  /** Keys that were not judged and need another bind, in the publisher's form. */
  doubtful: string[][];
}

/**
 * Compares, by key, the rows of the shape's slice that the bound transactions touched, and those of `further` keys: the publisher's rows
 * rolled forward against the subscriber's rows, text by text. Differences go to `differences`. Keys are in the
 * publisher's form.
 *
 * @param onlyFurther judges none but the `further` keys, and those that rows with them got
 */
export async function comparePoints<Row extends ReadRow>(
  sessions: SnapshotSessions,
  shape: TableShape,
  bound: BoundTransactions,
  further: readonly string[][],
  differences: Differences,
  read: PointReader<Row>,
  { onlyFurther = false } = {},
): Promise<ComparedPoints<Row>> {
  const positions = keyPositions(shape);
  const changes = rowChanges(bound.rollForward, shape);
  const doubts = rowChanges(bound.inDoubt, shape);
  const form = await SubscriberForm.of(shape, sessions.subscriber, [
    ...imagesOf([...changes, ...doubts]),
    ...further.map((key) => imageOfKey(key, shape, positions)),
  ]);

  const keys = new Map<string, TouchedKey>();
  for (const publisher of further) {
    const subscriber = form.applyToKey(publisher, positions);
    keys.set(keyText(subscriber), { publisher, subscriber });
  }
  for (const key of touchedKeys(changes, form, positions)) keys.set(keyText(key.subscriber), key);
  const doubtful = new Set<string>();
  for (const key of touchedKeys(doubts, form, positions)) {
    keys.set(keyText(key.subscriber), key);
    doubtful.add(keyText(key.subscriber));
  }

  const followed = onlyFurther ? following(further, changes, form, positions) : null;
  const isMeant = followed ? (text: string) => followed.has(text) : await meantOf(sessions, shape, keys);
  const points: ComparedPoints<Row> = { publisher: [], subscriber: [], expectedRows: 0, doubtful: [] };
  const forward = changes.map((change) => form.applyToChange(change));
  for (const slice of sliced([...keys.keys()], forward, positions)) {
    const wanted = slice.keys.map((text) => keys.get(text)!);
    const [publisher, subscriber] = await both(
      read(sessions.publisher, shape, 'publisher', wanted),
      read(sessions.subscriber, shape, 'subscriber', wanted),
    );
    const base = new Map<string, BaseRow>(publisher.map((row) => [keyText(row.key), row]));
    const { expected, unresolved } = replay(base, slice.changes, positions);
    for (const key of unresolved) doubtful.add(key);

    const actual = groupByKey(subscriber);
    for (const [index, text] of slice.keys.entries()) {
      if (!isMeant(text)) continue;
      const row = expected.get(text) ?? null;
      if (row) points.expectedRows++;
      if (!doubtful.has(text)) judge(wanted[index]!.subscriber, row, actual.get(text) ?? [], differences);
    }
    for (const row of publisher) if (isMeant(keyText(row.key))) points.publisher.push(withoutValues(row));
    for (const row of subscriber) if (isMeant(keyText(row.key))) points.subscriber.push(withoutValues(row));
  }
  points.doubtful = [...doubtful].filter(isMeant).map((text) => keys.get(text)!.publisher);
  return points;
}

/** The keys, and those that rows with them got since; in the subscriber's form. */
function following(
  keys: readonly string[][],
  changes: readonly RowChange[],
  form: SubscriberForm,
  positions: number[],
): Set<string> {
  const textOf = (key: readonly string[]) => keyText(form.applyToKey(key, positions));
  const followed = new Set(keys.map(textOf));
  for (const change of changes) {
    const { before, after } = keysOf(change, positions);
    if (before !== null && after !== null && followed.has(textOf(before))) followed.add(textOf(after));
  }
  return followed;
}

/** The keys that are compared: rows move into a slice and out of it, so that all of the touched ones are read. */
async function meantOf(
  sessions: SnapshotSessions,
  shape: TableShape,
  keys: ReadonlyMap<string, TouchedKey>,
): Promise<(text: string) => boolean> {
  if (shape.slice === null || keys.size === 0) return () => true;
  const within = await withinSlice(sessions, shape, shape.slice, [...keys.values()]);
  const meant = new Set([...keys.keys()].filter((_, index) => within[index]));
  return (text) => meant.has(text);
}

interface Slice {
  /** As keyText has them, in the subscriber's form. */
  keys: string[];
  changes: RowChange[];
}

/** Slices that can be judged one by one: keys between which a row moved are in the same. */
function sliced(keys: readonly string[], changes: readonly RowChange[], positions: readonly number[]): Slice[] {
  const keysOfChanges = changes.map((change) => {
    const { before, after } = keysOf(change, positions);
    return [before, after].flatMap((key) => (key ? [keyText(key)] : []));
  });
  const moved = new Set(keysOfChanges.filter(([one, other]) => other !== undefined && one !== other).flat());
  let last: Slice = { keys: [...moved], changes: [] };
  const slices = [last];
  const sliceOf = new Map(last.keys.map((key) => [key, last]));
  for (const key of keys) {
    if (moved.has(key)) continue;
    if (last.keys.length >= KEYS_AT_ONCE) slices.push((last = { keys: [], changes: [] }));
    last.keys.push(key);
    sliceOf.set(key, last);
  }
  for (const [index, change] of changes.entries()) sliceOf.get(keysOfChanges[index]![0]!)!.changes.push(change);
  return slices;
}

function withoutValues<Row extends ReadRow>(row: Row): Omit<Row, 'values'> {
  const rest: Partial<Row> & Omit<Row, 'values'> = { ...row };
  delete rest.values;
  return rest;
}

/** As Promise.all, but a failure of one waits for the other: nothing is left at work in a session that is used again. */
export async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([a, b]);
  return Promise.all([a, b]);
}

/** A row that holds only the key. */
function imageOfKey(key: readonly string[], shape: TableShape, positions: readonly number[]): RowValues {
  return shape.columns.map((_, position) => key[positions.indexOf(position)] ?? null);
}

/** The keys before and after each change, in both forms. */
function touchedKeys(changes: readonly RowChange[], form: SubscriberForm, positions: number[]): TouchedKey[] {
  const touched: TouchedKey[] = [];
  for (const change of changes) {
    const { before, after } = keysOf(change, positions);
    for (const key of before === after ? [after] : [before, after]) {
      if (key) touched.push({ publisher: key, subscriber: form.applyToKey(key, positions) });
    }
  }
  return touched;
}

function groupByKey(rows: readonly ReadRow[]): Map<string, ReadRow[]> {
  const groups = new Map<string, ReadRow[]>();
  for (const row of rows) {
    const text = keyText(row.key);
    const group = groups.get(text);
    if (group) group.push(row);
    else groups.set(text, [row]);
  }
  return groups;
}

/** A key is unique on the publisher; the subscriber may hold it more than once where it has no such index. */
function judge(key: string[], expected: RowValues | null, actual: ReadRow[], differences: Differences): void {
  // Resolved rows carry no UNCHANGED value, so all are text or null.
  const row = expected as (string | null)[] | null;
  const match = row === null ? -1 : actual.findIndex(({ values }) => sameValues(values, row));
  if (row !== null && match === -1) {
    const other = actual[0];
    if (other) differences.add('different', key, row, other.values);
    else differences.add('missing', key, row, null);
  }
  const accounted = row === null ? -1 : Math.max(match, 0);
  actual.forEach((extra, index) => {
    if (index !== accounted) differences.add('extra', key, null, extra.values);
  });
}

function sameValues(a: readonly (string | null)[], b: readonly (string | null)[]): boolean {
  return a.every((value, position) => value === b[position]);
}
