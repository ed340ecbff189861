import { type Lsn, ZERO_LSN } from '../../shared/lsn.js';
import { Recording, type RecordingLimits } from './recording.js';
import type { Snapshot } from './snapshot.js';
import { isEmpty, type StreamedTransaction } from './streamed-transaction.js';

const RETAINED_TRANSACTIONS = 1024;
const RETAINED_CHANGES = 20_000;
const RETAINED_BYTES = 8 * 1024 * 1024;
/** xids per page of the bitmap: one KiB. */
const PAGE_BITS = 13;
const PAGE_XIDS = 1 << PAGE_BITS;

interface Delivered {
  transaction: StreamedTransaction;
  bytes: number;
}

/**
 * Remembers what a stream delivered lately. A transaction may be delivered before it becomes visible: its commit
 * record is in the WAL, and with it on its way to us, while the backend still has to leave the list of running
 * transactions (with synchronous replication that takes arbitrarily long). A snapshot taken now may therefore lack
 * transactions delivered in the past. The last ones are kept whole; of older ones one bit tells that they were
 * delivered, so that a snapshot that lacks one of them is recognised and taken again.
 */
export class DeliveredTransactions {
  private readonly retained: Delivered[] = [];
  private retainedChanges = 0;
  private retainedBytes = 0;
  private readonly recordings = new Set<Recording>();
  private readonly evicted = new Map<number, Uint8Array>();
  private evictedEndLsn: Lsn = ZERO_LSN;

  /** End of the last delivered transaction that changed something and is no longer kept whole; 0/0 for none. */
  get lastEvictedEnd(): Lsn {
    return this.evictedEndLsn;
  }

  /** `bytes`: its size as sent. */
  add(transaction: StreamedTransaction, bytes: number): void {
    for (const recording of this.recordings) recording.add(transaction, bytes);
    this.retained.push({ transaction, bytes });
    this.retainedChanges += transaction.changes.length;
    this.retainedBytes += bytes;
    while (
      this.retained.length > RETAINED_TRANSACTIONS ||
      this.retainedChanges > RETAINED_CHANGES ||
      this.retainedBytes > RETAINED_BYTES
    ) {
      this.evict();
    }
  }

  /** Starts recording, beginning with what is still kept. The caller stops it. */
  record(limits: RecordingLimits): Recording {
    const recording = new Recording(limits, () => this.recordings.delete(recording));
    for (const { transaction } of this.retained) recording.addHeld(transaction);
    this.recordings.add(recording);
    return recording;
  }

  /**
   * Delivered transactions, no longer kept, that the snapshot does not see: full xids. Forgets those which every
   * later snapshot will see.
   */
  lostBehind(snapshot: Snapshot): bigint[] {
    const lost: bigint[] = [];
    for (const [page, bits] of this.evicted) {
      const last = snapshot.widen(page * PAGE_XIDS + PAGE_XIDS - 1);
      if (last < snapshot.xmin) {
        this.evicted.delete(page);
        continue;
      }
      for (let i = 0; i < PAGE_XIDS; i++) {
        if ((bits[i >> 3]! & (1 << (i & 7))) === 0) continue;
        const xid = snapshot.widen(page * PAGE_XIDS + i);
        if (!snapshot.sees(xid)) lost.push(xid);
      }
    }
    return lost;
  }

  private evict(): void {
    const { transaction, bytes } = this.retained.shift()!;
    this.retainedChanges -= transaction.changes.length;
    this.retainedBytes -= bytes;
    if (!isEmpty(transaction)) this.evictedEndLsn = transaction.endLsn;
    const page = Math.floor(transaction.xid / PAGE_XIDS);
    let bits = this.evicted.get(page);
    if (!bits) this.evicted.set(page, (bits = new Uint8Array(PAGE_XIDS / 8)));
    const i = transaction.xid % PAGE_XIDS;
    bits[i >> 3]! |= 1 << (i & 7);
  }
}
