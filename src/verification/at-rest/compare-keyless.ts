import type { Session } from '../../postgres/session.js';
import type { BoundTransactions, SnapshotSessions } from './compare-points.js';
import type { ComparedTable } from './compare-keyed.js';
import type { Differences } from './difference.js';
import * as drill from './drill-down.js';
import { textArray } from './point-read.js';
import { rowChanges, TableMoved, wholeRows, type RowChange } from './row-changes.js';
import { hashOfValues, rowHash } from './row-hash.js';
import { imagesOf, SubscriberForm } from './subscriber-form.js';
import { minus, plus, publishedRows, sameTotal, tableTotal } from './table-hash.js';
import { fromItem, type Side, type TableShape } from './table-shape.js';

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
    await locate(sessions, shape, { gone, come }, drill.bucketCount(most), differences);
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
    return column.conversion === 'text' ? text : `${text}::${column.subscriber.type}`;
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
}

/** Finds the rows that one side has more often than the other, in the same snapshots. */
async function locate(
  sessions: SnapshotSessions,
  shape: TableShape,
  moved: Images,
  buckets: number,
  differences: Differences,
): Promise<void> {
  const wanted = buckets === 1 ? null : await badBuckets(sessions, shape, moved, buckets);
  const pending = new Map<bigint, bigint>();
  for (const { hash } of moved.gone) pending.set(hash, (pending.get(hash) ?? 0n) - 1n);
  for (const { hash } of moved.come) pending.set(hash, (pending.get(hash) ?? 0n) + 1n);

  const surplus = new Map<bigint, bigint>();
  const note = (hash: bigint, onPublisher: bigint, onSubscriber: bigint) => {
    const more = onPublisher + (pending.get(hash) ?? 0n) - onSubscriber;
    pending.delete(hash);
    if (more === 0n) return;
    if (surplus.size < differences.limit) surplus.set(hash, more);
    else differences.countOnly(more > 0n ? 'missing' : 'extra', Number(more > 0n ? more : -more));
  };
  const walk = drill.merged(
    drill.pages<CountedHash>(sessions.publisher, countsSql(shape, 'publisher', buckets, wanted)),
    drill.pages<CountedHash>(sessions.subscriber, countsSql(shape, 'subscriber', buckets, wanted)),
  );
  for await (const group of walk) {
    note(group.groupHash, countOf(group.publisher), countOf(group.subscriber));
  }
  // Images of rows that neither snapshot holds; those of buckets that agree cancel out within their bucket.
  const searched = wanted && new Set(wanted);
  for (const hash of [...pending.keys()]) {
    if (!searched || searched.has(drill.bucketOf(hash, buckets))) note(hash, 0n, 0n);
  }
  await describe(sessions, shape, moved, surplus, differences);
}

function countOf(rows: readonly CountedHash[]): bigint {
  return rows.reduce((sum, row) => sum + BigInt(row.count), 0n);
}

async function badBuckets(
  sessions: SnapshotSessions,
  shape: TableShape,
  moved: Images,
  buckets: number,
): Promise<number[]> {
  const totals = (side: Side) => {
    const hash = rowHash(shape.columns, side, shape.transcode);
    return drill.bucketTotals(sessions[side], shape, side, hash, hash, buckets);
  };
  const [publisher, subscriber] = await Promise.all([totals('publisher'), totals('subscriber')]);
  const grouped = (rows: readonly Image[]) => rows.map(({ hash }) => ({ groupHash: hash, hash }));
  drill.adjustBuckets(publisher, grouped(moved.gone), buckets, -1n);
  drill.adjustBuckets(publisher, grouped(moved.come), buckets, 1n);
  return drill.differingBuckets(publisher, subscriber);
}

function countsSql(shape: TableShape, side: Side, buckets: number, wanted: readonly number[] | null): string {
  return (
    `select r.h::text as "groupHash", pg_catalog.count(*)::text as count from (` +
    `select ${rowHash(shape.columns, side, shape.transcode)} as h ` +
    `from ${fromItem(shape, side)}${publishedRows(shape, side)} offset 0) r ` +
    `where ${drill.bucketCondition('r.h', buckets, wanted)} group by r.h order by r.h`
  );
}

/** Lists each surplus row once, with its image and how often it is missing or extra. */
async function describe(
  sessions: SnapshotSessions,
  shape: TableShape,
  moved: Images,
  surplus: ReadonlyMap<bigint, bigint>,
  differences: Differences,
): Promise<void> {
  const hashes = [...surplus.keys()];
  const [publisher, subscriber] = await Promise.all([
    rowsByHash(sessions.publisher, shape, 'publisher', hashes),
    rowsByHash(sessions.subscriber, shape, 'subscriber', hashes),
  ]);
  const streamed = new Map([...moved.gone, ...moved.come].map(({ hash, values }) => [hash, values]));
  for (const [hash, more] of surplus) {
    const image = publisher.get(hash) ?? subscriber.get(hash) ?? streamed.get(hash) ?? null;
    if (more > 0n) differences.add('missing', null, image, null, Number(more));
    else differences.add('extra', null, null, image, Number(-more));
  }
}

async function rowsByHash(
  session: Session,
  shape: TableShape,
  side: Side,
  hashes: readonly bigint[],
): Promise<Map<bigint, (string | null)[]>> {
  const rows = await session.rows<{ hash: string; values: (string | null)[] }>(
    `select distinct on (r.h) r.h::text as hash, r."values" from (` +
      `select ${rowHash(shape.columns, side, shape.transcode)} as h, ${textArray(shape.columns, side)} as "values" ` +
      `from ${fromItem(shape, side)}${publishedRows(shape, side)} offset 0) r where r.h = any ($1::int8[]) order by r.h`,
    [hashes.map((hash) => hash.toString())],
  );
  return new Map(rows.map((row) => [BigInt(row.hash), row.values]));
}
