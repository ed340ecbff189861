import type { Lsn } from '../../shared/lsn.js';

/** Marks a column whose TOASTed value did not change and was therefore not sent. Not null, and not the empty string. */
export const UNCHANGED: unique symbol = Symbol('unchanged TOAST value');

/** A column value as the server printed it; values stay text so that nothing is rounded or reinterpreted. */
export type ColumnValue = string | null | typeof UNCHANGED;

/** Column values in the order of `Relation.columns`. */
export type Tuple = readonly ColumnValue[];

export interface RelationColumn {
  name: string;
  /** Part of the replica identity that old tuples of kind `key` carry. */
  key: boolean;
  typeOid: number;
  typeModifier: number;
}

/** What the last Relation message said; a new object replaces it when the relation changes. */
export interface Relation {
  oid: number;
  schema: string;
  name: string;
  /** `relreplident`: default, nothing, full or index. */
  replicaIdentity: 'd' | 'n' | 'f' | 'i';
  columns: readonly RelationColumn[];
}

export type Change =
  | { kind: 'insert'; relation: Relation; new: Tuple }
  | {
      kind: 'update';
      relation: Relation;
      /** Present when the key changed (`key`: only key columns are set, others null) or the identity is full (`full`). */
      old: { kind: 'key' | 'full'; tuple: Tuple } | null;
      new: Tuple;
    }
  | { kind: 'delete'; relation: Relation; old: { kind: 'key' | 'full'; tuple: Tuple } }
  | { kind: 'truncate'; relations: readonly Relation[]; cascade: boolean; restartIdentity: boolean };

/** The replication origin of a transaction that was itself applied from elsewhere. */
export interface TransactionOrigin {
  /** For example `pg_16394` (a subscription) or `pg_16394_16401` (a tablesync worker). */
  name: string;
  /** Commit end LSN on the origin's server; 0/0 for the initial copy. */
  lsn: Lsn;
}

/** What `pg_logical_emit_message(true, ...)` wrote; delivered only when the stream asked for messages. */
export interface LogicalMessage {
  prefix: string;
  content: Buffer;
}

/** One committed top-level transaction, aborted subtransactions already left out by the server. */
export interface StreamedTransaction {
  /** Unsigned 32-bit xid of the top-level transaction on the streamed server. */
  xid: number;
  /** Start of the commit record. */
  commitLsn: Lsn;
  /** End of the commit record: what is acknowledged, and what a subscriber's origin shows. */
  endLsn: Lsn;
  /** Microseconds since 2000-01-01 UTC, as sent. */
  commitTimeMicros: bigint;
  origin: TransactionOrigin | null;
  /** In the order they were made. Only the first of them when `overflow`. */
  changes: Change[];
  /** The transaction was larger than the stream may hold: `changes` is cut short and must not be taken as whole. */
  overflow: boolean;
  /** Among what was cut off are UPDATEs of these that may have changed a key. */
  cutKeys?: Set<Relation>;
  /** Transactional messages in order; empty unless the stream asked for them. */
  messages: LogicalMessage[];
}

/** Servers up to 14 send transactions that changed nothing published; they never move a subscriber's origin. */
export function isEmpty(transaction: StreamedTransaction): boolean {
  return transaction.changes.length === 0 && !transaction.overflow;
}
