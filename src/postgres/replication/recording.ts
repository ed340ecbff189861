import type { StreamedTransaction } from './streamed-transaction.js';

export interface RecordingLimits {
  /** Changes of whole transactions that may be held. */
  maxChanges: number;
  /** Their bytes as sent. */
  maxBytes: number;
}

interface Entry {
  transaction: StreamedTransaction;
  bytes: number;
  whole: boolean;
}

/**
 * What a stream delivered from some moment on, within a memory bound. Transactions nobody needs whole are kept as
 * headers: xid, LSNs and origin with no changes.
 */
export class Recording {
  private entries: Entry[] = [];
  private changes = 0;
  private bytes = 0;
  private over = false;
  private wanted: (transaction: StreamedTransaction) => boolean = () => true;

  constructor(
    private readonly limits: RecordingLimits,
    private readonly onStop: () => void,
  ) {}

  /** In commit order; incomplete once `exceeded`. */
  get transactions(): readonly StreamedTransaction[] {
    return this.entries.map((entry) => entry.transaction);
  }

  /** More than the limits allow came by; nothing is held any more. */
  get exceeded(): boolean {
    return this.over;
  }

  /** From now on, and for what is held already, only transactions the predicate accepts are kept whole. */
  keepWhole(wanted: (transaction: StreamedTransaction) => boolean): void {
    this.wanted = wanted;
    const held = this.entries;
    this.entries = [];
    this.changes = 0;
    this.bytes = 0;
    for (const entry of held) this.add(entry.transaction, entry.bytes);
  }

  add(transaction: StreamedTransaction, bytes: number): void {
    if (this.over) return;
    const whole = this.wanted(transaction);
    if (whole) {
      this.changes += transaction.changes.length;
      this.bytes += bytes;
    }
    if (this.changes > this.limits.maxChanges || this.bytes > this.limits.maxBytes) {
      this.over = true;
      this.entries = [];
      return;
    }
    this.entries.push({ transaction: whole ? transaction : header(transaction), bytes, whole });
  }

  stop(): void {
    this.onStop();
  }
}

/** Keeps whether it was empty: one change stands for all. */
function header(transaction: StreamedTransaction): StreamedTransaction {
  return {
    ...transaction,
    changes: [],
    messages: [],
    overflow: transaction.overflow || transaction.changes.length > 0,
  };
}
