import type { Session } from '../../postgres/session.js';
import { publishedRows } from './table-hash.js';
import { fromItem, type Side, type TableShape } from './table-shape.js';

/** Rows of a table grouped by a hash, below which a difference lies. */
export interface BucketTotal {
  rows: bigint;
  sum: bigint;
}

/** The buckets of `buckets` that differ, and how many rows the fuller side has in them. */
export interface BadBuckets {
  buckets: number;
  numbers: ReadonlySet<number>;
  rows: bigint;
}

/** Below this a table is searched in one piece. */
const UNDIVIDED_ROWS = 50_000n;
const ROWS_PER_BUCKET = 64n;
const MOST_BUCKETS = 262_144;
/** Up to this many rows are taken in one answer: a cursor pages, but its plan never runs in parallel. */
const MOST_ROWS_AT_ONCE = 100_000n;
const FETCH_ROWS = 10_000;

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
  // Behind a fence the planner does not know what the groups are made of and takes them for few, as they are; else it
  // expects one for each row and sorts all of them. Written as 0 the fence would keep the plan from running in parallel.
  const rows = await session.rows<{ bucket: number; rows: string; sum: string }>(
    `select r.bucket, pg_catalog.count(*)::text as rows, pg_catalog.sum(r.h)::text as sum from (` +
      `select ((${groupHash}) & ${buckets - 1})::int4 as bucket, ${hash} as h ` +
      `from ${fromItem(shape, side)}${publishedRows(shape, side)} offset '0') r group by r.bucket`,
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

/** All of a table that is not worth dividing. */
export function undivided(rows: bigint): BadBuckets {
  return { buckets: 1, numbers: new Set([0]), rows };
}

/** Compares totals from which what is accounted for was taken. */
export function badBuckets(
  publisher: ReadonlyMap<number, BucketTotal>,
  subscriber: ReadonlyMap<number, BucketTotal>,
  buckets: number,
): BadBuckets {
  const nothing: BucketTotal = { rows: 0n, sum: 0n };
  const numbers = new Set<number>();
  let rows = 0n;
  for (const bucket of new Set([...publisher.keys(), ...subscriber.keys()])) {
    const left = publisher.get(bucket) ?? nothing;
    const right = subscriber.get(bucket) ?? nothing;
    if (left.rows === right.rows && left.sum === right.sum) continue;
    numbers.add(bucket);
    rows += left.rows > right.rows ? left.rows : right.rows;
  }
  return { buckets, numbers, rows };
}

/** The condition that keeps only rows of those buckets: a bit for each bucket, so that any number of them costs the same. */
export function bucketCondition(groupHash: string, bad: BadBuckets): string {
  if (bad.buckets === 1) return 'true';
  const bits = Buffer.alloc(bad.buckets / 8);
  // get_bit counts from the lowest bit of the first byte.
  for (const bucket of bad.numbers) bits[bucket >> 3]! |= 1 << (bucket & 7);
  return `pg_catalog.get_bit('\\x${bits.toString('hex')}'::bytea, ((${groupHash}) & ${bad.buckets - 1})::int4) = 1`;
}

/** What finds a row again in the same snapshot: its table (one of several for a partitioned one) and its place there. */
export const LOCATOR = `pg_catalog.format('%s %s', t.tableoid::int8, t.ctid)`;

/** The rows of a query; more than `expected` says can be held come through a cursor, a page at a time. */
export async function* rowsOf<Row extends Record<string, unknown>>(
  session: Session,
  sql: string,
  expected: bigint,
): AsyncGenerator<Row> {
  if (expected <= MOST_ROWS_AT_ONCE) {
    yield* await session.rows<Row>(sql);
    return;
  }
  // Planned for all of its rows, not for the first ones.
  await session.execute('set local cursor_tuple_fraction = 1');
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
