import type { Lsn } from '../../shared/lsn.js';
import { type RowChange, wholeRows } from '../at-rest/row-changes.js';

interface RowDelta {
  /** End LSN of the publisher's transaction. */
  lsn: Lsn;
  /** The row, as JSON of its output texts. */
  image: string;
  count: 1 | -1;
}

/** Rows that came (+1) and went (-1) in a table without a key, as one side's stream told it. */
export class RowDeltas {
  private deltas: RowDelta[] = [];

  get size(): number {
    return this.deltas.length;
  }

  /** Of all row images together. */
  get characters(): number {
    return this.deltas.reduce((sum, { image }) => sum + image.length, 0);
  }

  /** Whether a row ever went: needs whole old rows, which an inserts-only stream does not carry. */
  get anyGone(): boolean {
    return this.deltas.some(({ count }) => count === -1);
  }

  /** Answers the characters it took. Throws TableMoved when the stream does not carry the whole old row. */
  add(change: RowChange, lsn: Lsn): number {
    const { gone, come } = wholeRows(change);
    return (gone ? this.push(gone, lsn, -1) : 0) + (come ? this.push(come, lsn, 1) : 0);
  }

  private push(row: readonly (string | null)[], lsn: Lsn, count: 1 | -1): number {
    const image = JSON.stringify(row);
    this.deltas.push({ lsn, image, count });
    return image.length;
  }

  forget(upTo: Lsn): void {
    if (this.deltas.length > 0) this.deltas = this.deltas.filter(({ lsn }) => lsn > upTo);
  }

  clear(): void {
    this.deltas = [];
  }

  /** Net count of each row over the transactions up to `upTo`; rows that came and went equally often are left out. */
  net(upTo: Lsn): { row: (string | null)[]; count: number }[] {
    const counts = new Map<string, number>();
    for (const { lsn, image, count } of this.deltas) {
      if (lsn <= upTo) counts.set(image, (counts.get(image) ?? 0) + count);
    }
    return [...counts]
      .filter(([, count]) => count !== 0)
      .map(([image, count]) => ({ row: JSON.parse(image) as (string | null)[], count }));
  }
}
