import type { ChunkSize } from './chunk-plan.js';
import type { TableFinding } from './compare-tables.js';
import { tableId, type TableName } from './table-shape.js';

const LEAST_ROWS = 1_000;
/** A first chunk of a table of which nothing is known yet. */
const FIRST_ROWS = 500_000;
/** From one chunk to the next it grows by no more than that: one may have been read from memory, the next is not. */
const MOST_GROWTH = 2;

/** How many rows of each table are compared in one go, so that it takes about the time that was asked for. */
export class ChunkSizes {
  private readonly known = new Map<string, number>();

  /** @param asked null: tables are not divided */
  constructor(
    private readonly asked: { mostRows: number; chunkMs: number } | null,
    private readonly maxParallel: number,
  ) {}

  /** Rows that are worth a bind. */
  get unitRows(): number {
    return this.asked === null ? Infinity : this.first * this.maxParallel;
  }

  of(table: TableName): ChunkSize {
    if (this.asked === null) return { rows: null, atOnce: 1 };
    return { rows: this.known.get(tableId(table)) ?? this.first, atOnce: this.maxParallel };
  }

  /** From how long a chunk took. */
  learn({ task: { size }, rows, ms, shape }: TableFinding): void {
    if (this.asked === null || size === undefined || rows === null) return;
    const fitting = (size * this.asked.chunkMs) / Math.max(ms, 1);
    const most = Math.min(this.asked.mostRows, size * MOST_GROWTH);
    this.known.set(tableId(shape), Math.round(Math.max(LEAST_ROWS, Math.min(fitting, most))));
  }

  private get first(): number {
    return Math.min(FIRST_ROWS, this.asked!.mostRows);
  }
}
