import type { Session } from '../../postgres/session.js';
import type { TableTask } from './compare-tables.js';
import { boundaryAfter } from './key-slice.js';
import type { KeySlice, TableShape } from './table-shape.js';

/** What is left of a table to compare as a whole. `all`: nothing of it was begun. */
export type Remaining =
  | { kind: 'all' }
  /** Keys from there on, in the publisher's form. */
  | { kind: 'ranges'; from: string[] }
  /** The classes from `next` on, of so many. */
  | { kind: 'classes'; classes: number; next: number };

/** How a table is divided. */
export interface ChunkSize {
  /** Rows that are compared in one go; null: the whole table. */
  rows: number | null;
  /** Chunks of one table compared at a time. */
  atOnce: number;
}

/** A chunk to compare, with what is left of its table once it and those before it are done; null: nothing. */
export interface Chunk extends TableTask {
  leaves: Remaining | null;
}

/** For each the whole table is read, which takes a snapshot as long however few rows are in it. */
const MOST_CLASSES = 8;
/** Of tables that were never analyzed only the size is known. */
const BYTES_OF_A_ROW = 100;

/**
 * The next chunks of a table. Ranges of the key where both sides order it alike; else, as collations or types may order
 * it differently, classes of its hash, for each of which the table is read once; a table without a key is a multiset
 * and compared whole.
 *
 * @param publisher in the snapshot in which the chunks are compared
 */
export async function nextChunks(
  publisher: Session,
  shape: TableShape,
  remaining: Remaining,
  { rows, atOnce }: ChunkSize,
): Promise<Chunk[]> {
  const whole: Chunk = { shape, only: null, leaves: null };
  if (rows === null || shape.key === null) return [whole];
  if (remaining.kind === 'classes') return nextClasses(shape, remaining.classes, remaining.next, atOnce);
  if (remaining.kind === 'all' && expectedRows(shape) <= rows) return [whole];
  if (shape.orderedKey) {
    return nextRanges(publisher, shape, remaining.kind === 'ranges' ? remaining.from : null, rows, atOnce);
  }
  let classes = 2;
  while (classes * rows < expectedRows(shape) && classes < MOST_CLASSES) classes *= 2;
  return nextClasses(shape, classes, 0, atOnce);
}

export function expectedRows({ estimatedRows, bytes }: Pick<TableShape, 'estimatedRows' | 'bytes'>): number {
  return estimatedRows > 0 ? estimatedRows : bytes / BYTES_OF_A_ROW;
}

async function nextRanges(
  publisher: Session,
  shape: TableShape,
  first: string[] | null,
  rows: number,
  atOnce: number,
): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  for (let from = first; chunks.length < atOnce;) {
    const boundary = await boundaryAfter(publisher, shape, from, rows);
    // One that is no further, as where bytes cannot be read as text, would be the end of nothing.
    const to = JSON.stringify(boundary) === JSON.stringify(from) ? null : boundary;
    const slice: KeySlice = { kind: 'range', from, to };
    const size = to === null ? {} : { size: rows };
    chunks.push({ shape: { ...shape, slice }, only: null, leaves: to && { kind: 'ranges', from: to }, ...size });
    if (to === null) break;
    from = to;
  }
  return chunks;
}

function nextClasses(shape: TableShape, classes: number, next: number, atOnce: number): Chunk[] {
  const indexes = Array.from({ length: Math.min(atOnce, classes - next) }, (_, at) => next + at);
  return indexes.map((index) => {
    const slice: KeySlice = { kind: 'class', classes, index };
    const leaves: Remaining | null = index + 1 === classes ? null : { kind: 'classes', classes, next: index + 1 };
    return { shape: { ...shape, slice }, only: null, leaves };
  });
}
