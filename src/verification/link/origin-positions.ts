import type { StreamedTransaction } from '../../postgres/replication/streamed-transaction.js';
import { ZERO_LSN, type Lsn } from '../../shared/lsn.js';

/** Transactions one remembered point stands for: the subscriber keeps at most that much longer than needed. */
const TRANSACTIONS_PER_POINT = 100;

/** Translates "publisher transactions up to here" into a position of the subscriber's own stream. */
export class OriginPositions {
  /** Ascending: the subscriber's transactions up to `local` come from publisher transactions up to `origin`. */
  private readonly points: { origin: Lsn; local: Lsn; transactions: number }[] = [];

  /** Notes a subscriber transaction, in its stream's order; `origin` names the apply worker's replication origin. */
  add(transaction: StreamedTransaction, origin: string): void {
    const last = this.points.at(-1);
    const from = transaction.origin?.name === origin ? transaction.origin.lsn : (last?.origin ?? ZERO_LSN);
    if (last && last.transactions < TRANSACTIONS_PER_POINT) {
      if (from > last.origin) last.origin = from;
      last.local = transaction.endLsn;
      last.transactions++;
    } else {
      this.points.push({
        origin: last && last.origin > from ? last.origin : from,
        local: transaction.endLsn,
        transactions: 1,
      });
    }
  }

  /** The subscriber's position up to which nothing past `lsn` was applied; null when none is known yet. */
  localEndFor(lsn: Lsn): Lsn | null {
    let passed = 0;
    while (passed < this.points.length && this.points[passed]!.origin <= lsn) passed++;
    // Taken off in one go: one by one, each moves all the others.
    return this.points.splice(0, passed).at(-1)?.local ?? null;
  }
}
