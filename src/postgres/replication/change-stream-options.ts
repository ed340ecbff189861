import type { Problem } from '../../problems/problem.js';
import type { Lsn } from '../../shared/lsn.js';
import type { ConnectionTarget } from '../connection.js';
import type { StreamedTransaction } from './streamed-transaction.js';

/** What a change stream reads and how much of it may be held. */
export interface ChangeStreamOptions {
  target: ConnectionTarget;
  /** A logical slot with plugin pgoutput in the target's database; see `createLogicalSlot`. */
  slotName: string;
  /** Publications by their exact names; at least one. */
  publications: readonly string[];
  /**
   * Called once per committed transaction, in commit order, the next call only after the last one resolved. A
   * rejection ends the stream (`failed`); that transaction and all later ones are delivered again after a restart.
   * Empty transactions (servers up to 14 send them) are delivered too.
   */
  onTransaction?: (transaction: StreamedTransaction) => Promise<void> | void;
  /** Told once when the stream has failed for good. */
  onFailed?: (problem: Problem) => void;
  /** Continue here when it lies past the slot's own position; default: the slot decides. */
  startLsn?: Lsn;
  /** Ask for `pg_logical_emit_message` contents (14 and newer; ignored below). */
  messages?: boolean;
  /** `none`: leave out what was itself applied from elsewhere (16 and newer). Default `any`. */
  origin?: 'any' | 'none';
  /**
   * Let an idle stream release the server's WAL: while everything delivered is confirmed and nothing is in flight,
   * positions without a transaction of ours are confirmed too. Default true.
   */
  confirmIdle?: boolean;
  /** Completed transactions waiting for `onTransaction`, in bytes as sent; beyond it the socket is paused. Default 16 MiB. */
  bufferBytes?: number;
  /** A transaction larger than this is delivered cut short with `overflow: true`. Default 500,000 changes. */
  maxTransactionChanges?: number;
  /** As `maxTransactionChanges`, in bytes as sent. Default 128 MiB. */
  maxTransactionBytes?: number;
  /** Reconnect after that long without a byte from the server. Default the larger of 60 s and its wal_sender_timeout. */
  silenceTimeoutMs?: number;
  /** Shown in pg_stat_activity after `lockstep`; default `stream <slot>`. */
  purpose?: string;
}

export type ChangeStreamState = 'idle' | 'connecting' | 'streaming' | 'reconnecting' | 'failed' | 'closed';
