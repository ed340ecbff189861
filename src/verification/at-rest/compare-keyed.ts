import { comparePoints, type BoundTransactions, type ComparedPoints, type SnapshotSessions } from './compare-points.js';
import type { Differences } from './difference.js';
import * as drill from './drill-down.js';
import { readByKeys, textArray, type ReadRow, type TouchedKey } from './point-read.js';
import { keyText } from './row-changes.js';
import { rowHash } from './row-hash.js';
import { minus, publishedRows, sameTotal, tableTotal } from './table-hash.js';
import { columnReference, fromItem, outputText, type Side, type TableShape } from './table-shape.js';

export interface ComparedTable {
  /** Rows the publisher has at the bound LSN. */
  rows: number;
  /** Keys on which the verdict waits for another bind. */
  doubtful: string[][];
}

/**
 * Compares a whole table with a key in one bound pair. Both sides add up their rows' hashes; rows touched by the
 * bound transactions are taken out of both sums and compared one by one; only if what remains differs, rows are read.
 */
export async function compareKeyed(
  sessions: SnapshotSessions,
  shape: TableShape,
  bound: BoundTransactions,
  differences: Differences,
): Promise<ComparedTable> {
  const points = await comparePoints(sessions, shape, bound, [], differences);
  const [publisher, subscriber] = await Promise.all([
    tableTotal(sessions.publisher, shape, 'publisher'),
    tableTotal(sessions.subscriber, shape, 'subscriber'),
  ]);
  const counted = points.publisher.filter((row) => row.published);
  const untouchedPublisher = minus(publisher, hashes(counted));
  const untouchedSubscriber = minus(subscriber, hashes(points.subscriber));
  if (!sameTotal(untouchedPublisher, untouchedSubscriber)) {
    const most = publisher.rows > subscriber.rows ? publisher.rows : subscriber.rows;
    await locate(sessions, shape, points, drill.bucketCount(most), differences);
  }
  return { rows: Number(untouchedPublisher.rows) + points.expectedRows, doubtful: points.doubtful };
}

function hashes(rows: readonly ReadRow[]): bigint[] {
  return rows.map((row) => row.hash);
}

interface KeyedRow extends Record<string, unknown> {
  groupHash: string;
  hash: string;
  /** The key in the subscriber's form, and as the side itself prints it. */
  key: string[];
  ownKey: string[];
}

interface Suspect {
  kind: 'missing' | 'extra' | 'different';
  key: TouchedKey;
  /** The row's hash on each side; null where it has none. */
  publisher: string | null;
  subscriber: string | null;
}

/** Finds the untouched rows that differ, by key, in the same snapshots. */
async function locate(
  sessions: SnapshotSessions,
  shape: TableShape,
  points: ComparedPoints,
  buckets: number,
  differences: Differences,
): Promise<void> {
  const wanted = buckets === 1 ? null : await badBuckets(sessions, shape, points, buckets);
  const touched = new Set([...points.publisher, ...points.subscriber].map((row) => row.keyHash));
  const suspects: Suspect[] = [];
  const walk = drill.merged(
    drill.pages<KeyedRow>(sessions.publisher, rowsSql(shape, 'publisher', buckets, wanted)),
    drill.pages<KeyedRow>(sessions.subscriber, rowsSql(shape, 'subscriber', buckets, wanted)),
  );
  for await (const group of walk) {
    if (touched.has(group.groupHash)) continue;
    for (const suspect of unlike(group.publisher, group.subscriber)) {
      if (differences.listed.length + suspects.length < differences.limit) suspects.push(suspect);
      else differences.countOnly(suspect.kind, 1);
    }
  }
  await describe(sessions, shape, suspects, differences);
}

async function badBuckets(
  sessions: SnapshotSessions,
  shape: TableShape,
  points: ComparedPoints,
  buckets: number,
): Promise<number[]> {
  const totals = (side: Side) =>
    drill.bucketTotals(
      sessions[side],
      shape,
      side,
      rowHash(shape.key!, side, shape.transcode),
      rowHash(shape.columns, side, shape.transcode),
      buckets,
    );
  const [publisher, subscriber] = await Promise.all([totals('publisher'), totals('subscriber')]);
  const grouped = (rows: readonly ReadRow[]) => rows.map(({ keyHash, hash }) => ({ groupHash: keyHash, hash }));
  drill.adjustBuckets(publisher, grouped(points.publisher.filter((row) => row.published)), buckets, -1n);
  drill.adjustBuckets(subscriber, grouped(points.subscriber), buckets, -1n);
  return drill.differingBuckets(publisher, subscriber);
}

function rowsSql(shape: TableShape, side: Side, buckets: number, wanted: readonly number[] | null): string {
  const keyHash = rowHash(shape.key!, side, shape.transcode);
  const own = shape.key!.map((column) => outputText(columnReference(column)));
  return (
    `select r.kh::text as "groupHash", r.h::text as hash, r.key, r."ownKey" from (` +
    `select ${keyHash} as kh, ${rowHash(shape.columns, side, shape.transcode)} as h, ` +
    `${textArray(shape.key!, side)} as key, array[${own.join(', ')}]::text[] as "ownKey" ` +
    `from ${fromItem(shape, side)}${publishedRows(shape, side)} offset 0) r ` +
    `where ${drill.bucketCondition('r.kh', buckets, wanted)} order by r.kh, r.h`
  );
}

/** What is left of two groups with the same key once equal rows are paired off. */
function unlike(publisher: readonly KeyedRow[], subscriber: readonly KeyedRow[]): Suspect[] {
  const theirs = [...subscriber];
  const ours = publisher.filter((row) => {
    const match = theirs.findIndex((other) => other.hash === row.hash);
    if (match === -1) return true;
    theirs.splice(match, 1);
    return false;
  });
  const suspects: Suspect[] = [];
  for (const row of ours) {
    const other = theirs.shift();
    const kind = other ? 'different' : 'missing';
    const key = { publisher: row.ownKey, subscriber: row.key };
    suspects.push({ kind, key, publisher: row.hash, subscriber: other?.hash ?? null });
  }
  for (const row of theirs) {
    const key = { publisher: row.key, subscriber: row.key };
    suspects.push({ kind: 'extra', key, publisher: null, subscriber: row.hash });
  }
  return suspects;
}

/** Reads the suspects' rows and lists them with the columns that differ. */
async function describe(
  sessions: SnapshotSessions,
  shape: TableShape,
  suspects: readonly Suspect[],
  differences: Differences,
): Promise<void> {
  const keysWith = (side: Side) => suspects.filter((suspect) => suspect[side] !== null).map(({ key }) => key);
  const [publisher, subscriber] = await Promise.all([
    readByKeys(sessions.publisher, shape, 'publisher', keysWith('publisher')).then(byKeyAndHash),
    readByKeys(sessions.subscriber, shape, 'subscriber', keysWith('subscriber')).then(byKeyAndHash),
  ]);
  for (const { kind, key, ...hash } of suspects) {
    const text = keyText(key.subscriber);
    const ours = hash.publisher === null ? null : publisher.get(text + hash.publisher);
    const theirs = hash.subscriber === null ? null : subscriber.get(text + hash.subscriber);
    differences.add(kind, key.subscriber, ours?.values ?? null, theirs?.values ?? null);
  }
}

function byKeyAndHash(rows: readonly ReadRow[]): Map<string, ReadRow> {
  return new Map(rows.map((row) => [keyText(row.key) + row.hash.toString(), row]));
}
