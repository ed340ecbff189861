import type { Session } from '../../postgres/session.js';
import type { BoundTransactions } from './compare-points.js';
import type { SnapshotSessions } from './snapshot-sessions.js';
import type { ComparedTable } from './compare-keyed.js';
import type { Differences } from './difference.js';
import * as drill from './drill-down.js';
import { readLocated, ROWS_AT_ONCE } from './located-rows.js';
import { rowChanges, TableMoved, wholeRows, type RowChange } from './row-changes.js';
import { hashOfValues, rowHash } from './row-hash.js';
import { imagesOf, SubscriberForm } from './subscriber-form.js';
import { minus, plus, publishedRows, sameTotal, tableTotal } from './table-hash.js';
import { castAsApplied, fromItem, type Side, type TableShape } from './table-shape.js';

/**
 * Compares a whole table without a usable key as a multiset of rows: the publisher's sum of row hashes, less the old
 * and plus the new images of the bound transactions, is the subscriber's. Throws TableMoved where transactions are in
 * doubt: without a key their rows cannot be set aside.
 */
export async function compareKeyless(
  sessions: SnapshotSessions,
  shape: TableShape,
  bound: BoundTransactions,
  differences: Differences,
): Promise<ComparedTable> {
  if (rowChanges(bound.inDoubt, shape).length > 0) {
    throw new TableMoved('whether the last transactions on the table were applied yet cannot be told');
  }
  const { gone, come } = await images(sessions.subscriber, shape, rowChanges(bound.rollForward, shape));
  const [publisher, subscriber] = await Promise.all([
    tableTotal(sessions.publisher, shape, 'publisher'),
    tableTotal(sessions.subscriber, shape, 'subscriber'),
  ]);
  const expected = plus(minus(publisher, hashesOf(gone)), hashesOf(come));
  if (!sameTotal(expected, subscriber)) {
    const most = expected.rows > subscriber.rows ? expected.rows : subscriber.rows;
    await locate(sessions, shape, { gone, come }, most, differences);
  }
  return { rows: Number(expected.rows), doubtful: [] };
}

/** A row image of the stream with its row hash. */
interface Image {
  values: (string | null)[];
  hash: bigint;
}

interface Images {
  /** Rows that the changes take away, and those they bring. */
  gone: Image[];
  come: Image[];
}

/** Whole row images of changes on a table with REPLICA IDENTITY FULL, or of one that only takes inserts. */
async function images(session: Session, shape: TableShape, changes: readonly RowChange[]): Promise<Images> {
  const form = await SubscriberForm.of(shape, session, imagesOf(changes));
  const rows = changes.map((change) => wholeRows(change));
  const inSubscribersForm = (row: (string | null)[] | null) => (row ? [form.apply(row) as (string | null)[]] : []);
  const gone = rows.flatMap((row) => inSubscribersForm(row.gone));
  const come = rows.flatMap((row) => inSubscribersForm(row.come));
  const hashes = await imageHashes(session, shape, [...gone, ...come]);
  return {
    gone: gone.map((values, index) => ({ values, hash: hashes[index]! })),
    come: come.map((values, index) => ({ values, hash: hashes[gone.length + index]! })),
  };
}

const IMAGES_PER_STATEMENT = 2000;

/** Lets the subscriber read the images as values and hash them as it hashes rows. */
async function imageHashes(session: Session, shape: TableShape, rows: (string | null)[][]): Promise<bigint[]> {
  const columns = shape.columns;
  if (columns.length === 0) return rows.map(() => 0n);
  const parameters = columns.map((_, position) => `pg_catalog.unnest($${position + 1}::text[])`).join(', ');
  const values = columns.map((column, position) => {
    const text = `i.c${position}`;
    return column.conversion === 'text' ? text : `(${castAsApplied(column, text)})`;
  });
  const sql =
    `select (${hashOfValues(columns, values, shape.transcode)})::text as hash ` +
    `from rows from (${parameters}) with ordinality ` +
    `i(${columns.map((_, position) => `c${position}`).join(', ')}, n) order by i.n`;
  const hashes: bigint[] = [];
  for (let start = 0; start < rows.length; start += IMAGES_PER_STATEMENT) {
    const batch = rows.slice(start, start + IMAGES_PER_STATEMENT);
    const found = await session.rows<{ hash: string }>(
      sql,
      columns.map((_, position) => batch.map((row) => row[position] ?? null)),
    );
    hashes.push(...found.map(({ hash }) => BigInt(hash)));
  }
  return hashes;
}

function hashesOf(rows: readonly Image[]): bigint[] {
  return rows.map(({ hash }) => hash);
}

interface CountedHash extends Record<string, unknown> {
  groupHash: string;
  count: string;
  /** Of one of the rows. */
  locator: string;
}

/** Rows that one side has more often than the other, and where one of them is on the side that has any. */
interface Surplus {
  hash: bigint;
  /** Above zero: missing on the subscriber. */
  more: bigint;
  publisher: string | null;
  subscriber: string | null;
}

/** Finds the rows that one side has more often than the other, in the same snapshots. */
async function locate(
  sessions: SnapshotSessions,
  shape: TableShape,
  moved: Images,
  mostRows: bigint,
  differences: Differences,
): Promise<void> {
  const bad = await findBadBuckets(sessions, shape, moved, mostRows);
  const pending = new Map<bigint, bigint>();
  for (const { hash } of moved.gone) pending.set(hash, (pending.get(hash) ?? 0n) - 1n);
  for (const { hash } of moved.come) pending.set(hash, (pending.get(hash) ?? 0n) + 1n);

  const surplus: Surplus[] = [];
  const note = (hash: bigint, publisher: CountedHash | null, subscriber: CountedHash | null) => {
    const more = countOf(publisher) + (pending.get(hash) ?? 0n) - countOf(subscriber);
    pending.delete(hash);
    if (more === 0n) return;
    if (surplus.length < differences.limit) {
      surplus.push({ hash, more, publisher: publisher?.locator ?? null, subscriber: subscriber?.locator ?? null });
    } else {
      differences.countOnly(more > 0n ? 'missing' : 'extra', Number(more > 0n ? more : -more));
    }
  };
  const countsOn = (side: Side) => drill.rowsOf<CountedHash>(sessions[side], countsSql(shape, side, bad), bad.rows);
  for await (const group of drill.merged(countsOn('publisher'), countsOn('subscriber'))) {
    note(group.groupHash, group.publisher[0] ?? null, group.subscriber[0] ?? null);
  }
  // Images of rows that neither snapshot holds; those of buckets that agree cancel out within their bucket.
  for (const hash of [...pending.keys()]) {
    if (bad.numbers.has(drill.bucketOf(hash, bad.buckets))) note(hash, null, null);
  }
  await describe(sessions, shape, moved, surplus, differences);
}

function countOf(rows: CountedHash | null): bigint {
  return rows ? BigInt(rows.count) : 0n;
}

async function findBadBuckets(
  sessions: SnapshotSessions,
  shape: TableShape,
  moved: Images,
  mostRows: bigint,
): Promise<drill.BadBuckets> {
  const buckets = drill.bucketCount(mostRows);
  if (buckets === 1) return drill.undivided(mostRows);
  const totals = (side: Side) => {
    const hash = rowHash(shape.columns, side, shape.transcode);
    return drill.bucketTotals(sessions[side], shape, side, hash, hash, buckets);
  };
  const [publisher, subscriber] = await Promise.all([totals('publisher'), totals('subscriber')]);
  const grouped = (rows: readonly Image[]) => rows.map(({ hash }) => ({ groupHash: hash, hash }));
  drill.adjustBuckets(publisher, grouped(moved.gone), buckets, -1n);
  drill.adjustBuckets(publisher, grouped(moved.come), buckets, 1n);
  return drill.badBuckets(publisher, subscriber, buckets);
}

function countsSql(shape: TableShape, side: Side, bad: drill.BadBuckets): string {
  return (
    `select t.h::text as "groupHash", pg_catalog.count(*)::text as count, pg_catalog.min(${drill.LOCATOR}) as locator ` +
    `from (select t.tableoid, t.ctid, ${rowHash(shape.columns, side, shape.transcode)} as h ` +
    `from ${fromItem(shape, side)}${publishedRows(shape, side)} offset '0') t ` +
    `where ${drill.bucketCondition('t.h', bad)} group by t.h order by t.h`
  );
}

/** Lists each surplus row once, with its image and how often it is missing or extra. */
async function describe(
  sessions: SnapshotSessions,
  shape: TableShape,
  moved: Images,
  surplus: readonly Surplus[],
  differences: Differences,
): Promise<void> {
  const streamed = new Map([...moved.gone, ...moved.come].map(({ hash, values }) => [hash, values]));
  for (let from = 0; from < surplus.length; from += ROWS_AT_ONCE) {
    const some = surplus.slice(from, from + ROWS_AT_ONCE);
    const read = (side: Side) => {
      const locators = some.map((row) => row[side]).filter((locator) => locator !== null);
      return readLocated(sessions[side], shape, side, locators);
    };
    const [publisher, subscriber] = await Promise.all([read('publisher'), read('subscriber')]);
    for (const { hash, more, ...at } of some) {
      const row = publisher.get(at.publisher ?? '') ?? subscriber.get(at.subscriber ?? '');
      const image = row?.values ?? streamed.get(hash)!;
      if (more > 0n) differences.add('missing', null, image, null, Number(more));
      else differences.add('extra', null, null, image, Number(-more));
    }
  }
}
