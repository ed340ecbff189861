import type { StreamedTransaction } from './streamed-transaction.js';

export interface RecordingLimits {
  /** Changes of whole transactions that may be held. */
  maxChanges: number;
  /** Their bytes as sent. */
  maxBytes: number;
}

interface Entry {
  transaction: StreamedTransaction;
  /** What it counts against the limits while kept whole. */
  changes: number;
  bytes: number;
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
    for (const entry of held) this.keep(entry);
  }

  add(transaction: StreamedTransaction, bytes: number): void {
    this.keep({ transaction, changes: transaction.changes.length, bytes });
  }

  /** A transaction the stream holds anyway: it does not count. */
  addHeld(transaction: StreamedTransaction): void {
    this.keep({ transaction, changes: 0, bytes: 0 });
  }

  private keep(entry: Entry): void {
    if (this.over) return;
    if (!this.wanted(entry.transaction)) {
      this.entries.push({ transaction: header(entry.transaction), changes: 0, bytes: 0 });
      return;
    }
    this.changes += entry.changes;
    this.bytes += entry.bytes;
    this.over = this.changes > this.limits.maxChanges || this.bytes > this.limits.maxBytes;
    if (this.over) this.entries = [];
    else this.entries.push(entry);
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
