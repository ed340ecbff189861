import type { Problem } from '../../problems/problem.js';
import type { Lsn } from '../../shared/lsn.js';
import type { ChangeStreamOptions, ChangeStreamState } from './change-stream-options.js';

/**
 * Reads one logical slot and hands over committed transactions in commit order, exactly once within its life and at
 * least once over restarts: what was not confirmed comes again. Survives lost connections and server restarts by
 * itself; a slot that is gone, lost or invalidated ends it for good (`failed`), because nothing can bring back what
 * was missed.
 */
export declare class ChangeStream {
  constructor(options: ChangeStreamOptions);

  readonly state: ChangeStreamState;
  /** Why the stream ended for good; null otherwise. */
  readonly failed: Problem | null;
  /**
   * Every transaction whose commit record starts below this has been delivered and its handler has resolved (by this
   * stream or, below `startPosition`, by whoever confirmed the slot before). Moves with commits and keepalives.
   */
  readonly position: Lsn;
  /** What the server is told it may forget. */
  readonly confirmed: Lsn;
  /** Where this stream began. */
  readonly startPosition: Lsn;

  /** Connects and resolves once the server streams. Retries what may pass (slot still active ...) within the deadline. */
  start(options?: { deadlineMs?: number }): Promise<void>;

  /**
   * Declares every transaction with `endLsn <= lsn` durably processed. May be called from `onTransaction` for the
   * transaction at hand. Never moves back. RangeError when it lies past what was delivered.
   */
  confirm(lsn: Lsn): void;

  /** Resolves when `position >= lsn`. Rejects with SERVER_TIMEOUT, with `failed`, when aborted, or when closed. */
  waitUntil(lsn: Lsn, options: { timeoutMs: number; signal?: AbortSignal }): Promise<void>;

  /** Ends streaming after telling the server the last confirmed position. Never rejects, never hangs; twice is fine. */
  close(): Promise<void>;
}
