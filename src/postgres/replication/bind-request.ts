import type { BindSessionPool } from './bind-sessions.js';
import type { TableName } from '../catalog/tables.js';
import type { ChangeStream } from './change-stream.js';

/** What `bindPair` binds. */
export interface BindRequest {
  publisher: { stream: ChangeStream };
  /**
   * With a running stream on the subscriber's own slot the method is `own-slot`; with null it is `positions`. The
   * stream must publish every subscribed table with every operation its replica identity allows.
   */
  subscriber: { stream: ChangeStream | null };
  /** Of the same two databases. */
  sessions: BindSessionPool;
  subscription: {
    /** `pg_subscription.oid`; the origin is `pg_<oid>`. */
    oid: number;
    name: string;
    /** The subscription's slot on the publisher. */
    slotName: string;
  };
  /**
   * Locked in ACCESS SHARE MODE on both sides while the pair is held, so that neither TRUNCATE nor a rewrite can
   * pass under the snapshots. Every one must be in state `r` (ready) in pg_subscription_rel before the call.
   */
  tables: readonly TableName[];
  /** For the whole bind, in milliseconds. */
  deadlineMs: number;
  signal?: AbortSignal;
  /** Changes that may be recorded between the two snapshots; default 500,000. */
  maxRecordedChanges?: number;
}
