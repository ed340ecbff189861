import type { Session } from '../../postgres/session.js';
import { publishedRows } from './table-hash.js';
import { fromItem, type Side, type TableShape } from './table-shape.js';

/** Rows of a table grouped by a hash, below which a difference lies. */
export interface BucketTotal {
  rows: bigint;
  sum: bigint;
}

/** Below this a table is searched in one piece. */
const UNDIVIDED_ROWS = 50_000n;
const ROWS_PER_BUCKET = 64n;
const MOST_BUCKETS = 262_144;
/** Past this many differing buckets a filter by bucket no longer saves the server work. */
const MOST_FILTERED_BUCKETS = 1000;
const FETCH_ROWS = 5000;

/** How many buckets (a power of two) to divide a table of that size into; 1: no division. */
export function bucketCount(rows: bigint): number {
  if (rows <= UNDIVIDED_ROWS) return 1;
  let count = 1024;
  while (BigInt(count) * ROWS_PER_BUCKET < rows && count < MOST_BUCKETS) count *= 2;
  return count;
}

export function bucketOf(hash: bigint, buckets: number): number {
  return Number(BigInt.asUintN(64, hash) & BigInt(buckets - 1));
}

/** Totals of the row hashes by bucket of `groupHash`; both are SQL expressions of type int8. */
export async function bucketTotals(
  session: Session,
  shape: TableShape,
  side: Side,
  groupHash: string,
  hash: string,
  buckets: number,
): Promise<Map<number, BucketTotal>> {
  const rows = await session.rows<{ bucket: number; rows: string; sum: string }>(
    `select ((${groupHash}) & ${buckets - 1})::int4 as bucket, pg_catalog.count(*)::text as rows, ` +
      `pg_catalog.sum(${hash})::text as sum from ${fromItem(shape, side)}${publishedRows(shape, side)} group by 1`,
  );
  return new Map(rows.map((row) => [row.bucket, { rows: BigInt(row.rows), sum: BigInt(row.sum) }]));
}

/** Takes rows out of bucket totals (or puts them in, with `sign` 1n). */
export function adjustBuckets(
  totals: Map<number, BucketTotal>,
  rows: Iterable<{ groupHash: bigint; hash: bigint }>,
  buckets: number,
  sign: 1n | -1n,
): void {
  for (const row of rows) {
    const bucket = bucketOf(row.groupHash, buckets);
    const total = totals.get(bucket) ?? { rows: 0n, sum: 0n };
    totals.set(bucket, { rows: total.rows + sign, sum: total.sum + sign * row.hash });
  }
}

export function differingBuckets(a: ReadonlyMap<number, BucketTotal>, b: ReadonlyMap<number, BucketTotal>): number[] {
  const nothing: BucketTotal = { rows: 0n, sum: 0n };
  return [...new Set([...a.keys(), ...b.keys()])].filter((bucket) => {
    const left = a.get(bucket) ?? nothing;
    const right = b.get(bucket) ?? nothing;
    return left.rows !== right.rows || left.sum !== right.sum;
  });
}

/** The condition that keeps only rows of those buckets. */
export function bucketCondition(groupHash: string, buckets: number, wanted: readonly number[] | null): string {
  if (wanted === null || wanted.length > MOST_FILTERED_BUCKETS) return 'true';
  return `((${groupHash}) & ${buckets - 1}) = any ('{${wanted.join(',')}}'::int8[])`;
}

/** Rows of a query through a cursor, so that neither side holds more than a page of them. */
export async function* pages<Row extends Record<string, unknown>>(session: Session, sql: string): AsyncGenerator<Row> {
  await session.execute(`declare lockstep_rows no scroll cursor for ${sql}`);
  for (;;) {
    const rows = await session.rows<Row>(`fetch forward ${FETCH_ROWS} from lockstep_rows`);
    yield* rows;
    if (rows.length < FETCH_ROWS) break;
  }
  await session.execute('close lockstep_rows');
}

/** Groups rows that share a hash, in the order they come (ascending). */
export async function* groups<Row extends { groupHash: string }>(
  rows: AsyncIterable<Row>,
): AsyncGenerator<{ groupHash: bigint; rows: Row[] }> {
  let group = null as { groupHash: bigint; rows: Row[] } | null;
  for await (const row of rows) {
    const groupHash = BigInt(row.groupHash);
    if (group?.groupHash !== groupHash) {
      if (group) yield group;
      group = { groupHash, rows: [] };
    }
    group.rows.push(row);
  }
  if (group) yield group;
}

/** Walks both sides' groups in step; a side without that hash contributes no rows. */
export async function* merged<Row extends { groupHash: string }>(
  publisher: AsyncIterable<Row>,
  subscriber: AsyncIterable<Row>,
): AsyncGenerator<{ groupHash: bigint; publisher: Row[]; subscriber: Row[] }> {
  const left = groups(publisher);
  const right = groups(subscriber);
  let [a, b] = await Promise.all([left.next(), right.next()]);
  while (!a.done || !b.done) {
    const order = a.done
      ? 1
      : b.done
        ? -1
        : a.value.groupHash < b.value.groupHash
          ? -1
          : a.value.groupHash > b.value.groupHash
            ? 1
            : 0;
    const groupHash =
      order <= 0 ? (a.value as { groupHash: bigint }).groupHash : (b.value as { groupHash: bigint }).groupHash;
    yield {
      groupHash,
      publisher: order <= 0 && !a.done ? a.value.rows : [],
      subscriber: order >= 0 && !b.done ? b.value.rows : [],
    };
    const [nextA, nextB] = await Promise.all([order <= 0 ? left.next() : null, order >= 0 ? right.next() : null]);
    if (nextA) a = nextA;
    if (nextB) b = nextB;
  }
}
