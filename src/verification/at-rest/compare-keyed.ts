import { comparePoints, type BoundTransactions, type ComparedPoints } from './compare-points.js';
import type { SnapshotSessions } from './snapshot-sessions.js';
import type { Differences } from './difference.js';
import * as drill from './drill-down.js';
import { readLocated, ROWS_AT_ONCE } from './located-rows.js';
import { readHashedByKeys, type HashedRow } from './point-read.js';
import { rowHash } from './row-hash.js';
import { minus, publishedRows, sameTotal, tableTotal } from './table-hash.js';
import { fromItem, type Side, type TableShape } from './table-shape.js';

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
  const points = await comparePoints(sessions, shape, bound, [], differences, readHashedByKeys);
  const [publisher, subscriber] = await Promise.all([
    tableTotal(sessions.publisher, shape, 'publisher'),
    tableTotal(sessions.subscriber, shape, 'subscriber'),
  ]);
  const counted = points.publisher.filter((row) => row.published);
  const untouchedPublisher = minus(publisher, hashes(counted));
  const untouchedSubscriber = minus(subscriber, hashes(points.subscriber));
  if (!sameTotal(untouchedPublisher, untouchedSubscriber)) {
    const most = publisher.rows > subscriber.rows ? publisher.rows : subscriber.rows;
    await locate(sessions, shape, points, most, differences);
  }
  return { rows: Number(untouchedPublisher.rows) + points.expectedRows, doubtful: points.doubtful };
}

function hashes(rows: readonly Pick<HashedRow, 'hash'>[]): bigint[] {
  return rows.map((row) => row.hash);
}

interface KeyedRow extends Record<string, unknown> {
  /** Hash of the key, and of the row. */
  groupHash: string;
  hash: string;
  locator: string;
}

interface Suspect {
  kind: 'missing' | 'extra' | 'different';
  /** Where the row is on each side; null where it is not. */
  publisher: string | null;
  subscriber: string | null;
}

/** Finds the untouched rows that differ, by key, in the same snapshots. */
async function locate(
  sessions: SnapshotSessions,
  shape: TableShape,
  points: ComparedPoints<HashedRow>,
  mostRows: bigint,
  differences: Differences,
): Promise<void> {
  const bad = await findBadBuckets(sessions, shape, points, mostRows);
  const touched = new Set([...points.publisher, ...points.subscriber].map((row) => row.keyHash));
  const suspects: Suspect[] = [];
  const rowsOn = (side: Side) => drill.rowsOf<KeyedRow>(sessions[side], rowsSql(shape, side, bad), bad.rows);
  for await (const group of drill.merged(rowsOn('publisher'), rowsOn('subscriber'))) {
    if (touched.has(group.groupHash)) continue;
    for (const suspect of unlike(group.publisher, group.subscriber)) {
      if (differences.listed.length + suspects.length < differences.limit) suspects.push(suspect);
      else differences.countOnly(suspect.kind, 1);
    }
  }
  await describe(sessions, shape, suspects, differences);
}

async function findBadBuckets(
  sessions: SnapshotSessions,
  shape: TableShape,
  points: ComparedPoints<HashedRow>,
  mostRows: bigint,
): Promise<drill.BadBuckets> {
  const buckets = drill.bucketCount(mostRows);
  if (buckets === 1) return drill.undivided(mostRows);
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
  const grouped = (rows: readonly Pick<HashedRow, 'keyHash' | 'hash'>[]) =>
    rows.map(({ keyHash, hash }) => ({ groupHash: keyHash, hash }));
  drill.adjustBuckets(publisher, grouped(points.publisher.filter((row) => row.published)), buckets, -1n);
  drill.adjustBuckets(subscriber, grouped(points.subscriber), buckets, -1n);
  return drill.badBuckets(publisher, subscriber, buckets);
}

/** Of most rows only the key's hash is computed: the other columns of the answer belong to what the condition leaves. */
function rowsSql(shape: TableShape, side: Side, bad: drill.BadBuckets): string {
  const keyHash = rowHash(shape.key!, side, shape.transcode);
  const where = publishedRows(shape, side);
  return (
    `select r.kh::text as "groupHash", r.h::text as hash, r.locator from (` +
    `select ${keyHash} as kh, ${rowHash(shape.columns, side, shape.transcode)} as h, ${drill.LOCATOR} as locator ` +
    `from ${fromItem(shape, side)}${where}${where ? ' and ' : ' where '}${drill.bucketCondition(keyHash, bad)}) r ` +
    `order by r.kh, r.h`
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
    suspects.push({ kind, publisher: row.locator, subscriber: other?.locator ?? null });
  }
  for (const row of theirs) suspects.push({ kind: 'extra', publisher: null, subscriber: row.locator });
  return suspects;
}

/** Reads the suspects' rows and lists them with the columns that differ. */
async function describe(
  sessions: SnapshotSessions,
  shape: TableShape,
  suspects: readonly Suspect[],
  differences: Differences,
): Promise<void> {
  for (let from = 0; from < suspects.length; from += ROWS_AT_ONCE) {
    const some = suspects.slice(from, from + ROWS_AT_ONCE);
    const read = (side: Side) => {
      const locators = some.map((suspect) => suspect[side]).filter((locator) => locator !== null);
      return readLocated(sessions[side], shape, side, locators);
    };
    const [publisher, subscriber] = await Promise.all([read('publisher'), read('subscriber')]);
    for (const suspect of some) {
      const ours = suspect.publisher === null ? null : publisher.get(suspect.publisher)!;
      const theirs = suspect.subscriber === null ? null : subscriber.get(suspect.subscriber)!;
      differences.add(suspect.kind, (ours ?? theirs)!.key, ours?.values ?? null, theirs?.values ?? null);
    }
  }
}
