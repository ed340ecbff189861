import type {
  Operation,
  SummarizedTable,
  TransactionKind,
  TransactionSummary,
} from '../../postgres/replication/transaction-summary.js';
import { formatLsn } from '../../shared/lsn.js';
import type { ApplyVerdict } from './apply-verdict.js';

/** A change of a transaction that was not applied. Of values the key only. */
export interface UnappliedChange {
  operation: Operation;
  schema: string;
  table: string;
  key: Record<string, string | null> | null;
  columns: string[] | null;
  /** Whether the subscriber has a row of that key now; null: not looked for, or cannot be told. */
  onSubscriber: boolean | null;
}

/** A publisher transaction that the subscriber has not applied. */
export interface UnappliedTransaction {
  kind: TransactionKind;
  /** On the publisher; null: it was not prepared. */
  gid: string | null;
  finishLsn: string;
  endLsn: string;
  xid: number;
  committedAt: string;
  bytes: number;
  changeCount: number;
  tables: SummarizedTable[];
  /** The first ones. */
  changes: UnappliedChange[];
  changesLeftOut: number;
}

export interface Diagnosis {
  subscription: string;
  verdict: ApplyVerdict | null;
  /** How the verdict was reached, or why there is none. */
  reason: string;
  /** Everything the publisher committed or prepared up to here is applied; null: not known. */
  position: string | null;
  originLsn: string | null;
  confirmedFlushLsn: string | null;
  errors: { apply: number; sync: number } | null;
  conflicts: Record<string, number> | null;
  lastFailure: { seenAt: string; conflicts: string[] } | null;
  lastFailureReason: string | null;
  transaction: UnappliedTransaction | null;
  /** Why there is no transaction. */
  transactionReason: string | null;
  /** Unapplied by the position, but found to change nothing on the subscriber. */
  passedOver: { finishLsn: string; changeCount: number; reason: string }[];
  remedies: { does: string; sql: string[] }[];
}

export function presentTransaction(
  summary: TransactionSummary,
  onSubscriber: readonly (boolean | null)[] = [],
): UnappliedTransaction {
  const { kind, gid, finishLsn, endLsn, xid, committedAt, bytes, changeCount, tables, changes } = summary;
  return {
    ...{ kind, gid },
    finishLsn: formatLsn(finishLsn),
    endLsn: formatLsn(endLsn),
    ...{ xid, committedAt, bytes, changeCount, tables },
    changes: changes.map((change, index) => ({ ...change, onSubscriber: onSubscriber[index] ?? null })),
    changesLeftOut: changeCount - changes.length,
  };
}
