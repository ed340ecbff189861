import type { StreamedTransaction } from '../../postgres/replication/streamed-transaction.js';
import { formatLsn } from '../../shared/lsn.js';

/** A change seen where only the upgrade's own were to be. */
export interface ForeignChange {
  /** Both null: of a transaction too large to be kept. */
  schema: string | null;
  table: string | null;
  lsn: string;
}

/** The tables that a transaction changed. */
export function changesOf({ changes, endLsn }: StreamedTransaction): ForeignChange[] {
  const lsn = formatLsn(endLsn);
  const tables = new Map<number, ForeignChange>();
  for (const change of changes) {
    const relations = change.kind === 'truncate' ? change.relations : [change.relation];
    for (const { oid, schema, name } of relations) tables.set(oid, { schema, table: name, lsn });
  }
  return [...tables.values()];
}

export function describeChange({ schema, table, lsn }: ForeignChange): string {
  return schema === null ? `a very large transaction at ${lsn}` : `${schema}.${table} at ${lsn}`;
}

/** Transactions of which it is kept what they changed; of the others only that they were there. */
const DESCRIBED = 1_000;

/** Transactions on a subscriber that did not come through the subscription, since it was verified. */
export class LocalWrites {
  /** None is ever forgotten for want of room: one is enough to need a verification. */
  private readonly xids = new Set<number>();
  private readonly described = new Map<number, ForeignChange[]>();

  get size(): number {
    return this.xids.size;
  }

  add(xid: number, changes: ForeignChange[]): void {
    this.xids.add(xid);
    if (this.described.size < DESCRIBED) this.described.set(xid, changes);
  }

  /** Forgets those that a snapshot saw whose rows have been compared. */
  forget(compared: (xid: number) => boolean): void {
    for (const xid of this.xids) {
      if (!compared(xid)) continue;
      this.xids.delete(xid);
      this.described.delete(xid);
    }
  }

  /** What they changed, as far as it was kept. */
  changes(): ForeignChange[] {
    return [...this.described.values()].flat();
  }
}
