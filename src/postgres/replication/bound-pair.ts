import type { Lsn } from '../../shared/lsn.js';
import type { Session } from '../session.js';
import type { StreamedTransaction } from './streamed-transaction.js';

/** How the subscriber snapshot was tied to publisher transactions. */
export type BindMethod = 'own-slot' | 'positions';

/** One server's half of a bound pair: a REPEATABLE READ, READ ONLY transaction whose snapshot others may import. */
export interface BoundSide {
  /** The session that holds the snapshot open; usable for queries in it. */
  readonly session: Session;
  /** Opens a further session inside the same snapshot (`SET TRANSACTION SNAPSHOT`); the caller closes it. */
  openSession(purpose: string): Promise<Session>;
}

/**
 * A publisher snapshot, a later subscriber snapshot, and exactly the publisher transactions between them.
 * "Publisher rolled forward by `rollForward`" is the publisher's committed state at `boundLsn`; the subscriber
 * snapshot must equal it, except for keys touched by `inDoubt`.
 */
export interface BoundPair {
  readonly method: BindMethod;
  readonly publisher: BoundSide;
  readonly subscriber: BoundSide;
  /** Publisher commit end LSN up to which the subscriber snapshot contains everything. */
  readonly boundLsn: Lsn;
  /** Not in the publisher snapshot, applied in the subscriber snapshot; in publisher commit order. */
  readonly rollForward: readonly StreamedTransaction[];
  /**
   * Not in the publisher snapshot, and not known to be in or out of the subscriber snapshot: with positions those at
   * its edge, with the subscriber's own slot only what that slot's publication does not show or what had no effect.
   * In publisher commit order. A verdict on their keys waits for the next bind.
   */
  readonly inDoubt: readonly StreamedTransaction[];
  /** Whether a committed transaction of the subscriber is in its snapshot; all that are have been delivered by its stream. */
  subscriberSees(xid: number): boolean;
  /** Ends statements that run in the two sessions, and with them the pair, which is released as ever. Never rejects. */
  cancel(): Promise<void>;
  /** Ends both snapshots. Safe to call twice. */
  release(): Promise<void>;
}
