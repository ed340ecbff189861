import type { Lsn } from '../../shared/lsn.js';
import type { StreamedTransaction } from './streamed-transaction.js';

/** A transaction to hand over, or a position that is reached once all before it is handed over. */
export type Delivery =
  { kind: 'transaction'; transaction: StreamedTransaction; bytes: number } | { kind: 'position'; lsn: Lsn };

/** First in, first out. `bytes` counts what was put in and not yet released, so also what is being handled. */
export class DeliveryQueue {
  private items: Delivery[] = [];
  private head = 0;
  private heldBytes = 0;

  get bytes(): number {
    return this.heldBytes;
  }

  get isEmpty(): boolean {
    return this.head === this.items.length;
  }

  push(item: Delivery): void {
    const last = this.isEmpty ? undefined : this.items.at(-1);
    if (item.kind === 'position' && last?.kind === 'position') last.lsn = item.lsn;
    else this.items.push(item);
    if (item.kind === 'transaction') this.heldBytes += item.bytes;
  }

  shift(): Delivery | undefined {
    if (this.isEmpty) return undefined;
    const item = this.items[this.head++];
    if (this.head > 1024 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }

  /** The transaction of that size was handled. */
  release(bytes: number): void {
    this.heldBytes -= bytes;
  }

  clear(): void {
    this.items = [];
    this.head = 0;
    this.heldBytes = 0;
  }
}
