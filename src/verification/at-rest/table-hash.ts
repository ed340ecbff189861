import type { Session } from '../../postgres/session.js';
import { sliceCondition } from './key-slice.js';
import { rowHash } from './row-hash.js';
import { fromItem, type Side, type TableShape } from './table-shape.js';

/** A multiset of rows boiled down: equal multisets have equal totals, others differ but for chance (2^-64). */
export interface TableTotal {
  rows: bigint;
  /** Sum of the row hashes, exact (numeric), hence unbounded. */
  sum: bigint;
}

/** Reads the whole table once, inside the database. */
export async function tableTotal(session: Session, shape: TableShape, side: Side): Promise<TableTotal> {
  const { rows, sum } = await session.row<{ rows: string; sum: string }>(
    `select pg_catalog.count(*)::text as rows, ` +
      `coalesce(pg_catalog.sum(${rowHash(shape.columns, side, shape.transcode)}), 0)::text as sum ` +
      `from ${fromItem(shape, side)}${publishedRows(shape, side)}`,
  );
  return { rows: BigInt(rows), sum: BigInt(sum) };
}

/** The `where` clause that leaves only the rows the publications send, and of these the shape's slice. */
export function publishedRows(shape: TableShape, side: Side): string {
  const conditions = [
    ...(side === 'publisher' && shape.rowFilter !== null ? [`(${shape.rowFilter})`] : []),
    ...(shape.slice === null ? [] : [sliceCondition(shape, side, shape.slice)]),
  ];
  return conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`;
}

export function sameTotal(a: TableTotal, b: TableTotal): boolean {
  return a.rows === b.rows && a.sum === b.sum;
}

export function minus(total: TableTotal, hashes: Iterable<bigint>): TableTotal {
  let { rows, sum } = total;
  for (const hash of hashes) {
    rows -= 1n;
    sum -= hash;
  }
  return { rows, sum };
}

export function plus(total: TableTotal, hashes: Iterable<bigint>): TableTotal {
  let { rows, sum } = total;
  for (const hash of hashes) {
    rows += 1n;
    sum += hash;
  }
  return { rows, sum };
}
