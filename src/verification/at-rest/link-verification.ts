import type { BindMethod } from '../../postgres/replication/bound-pair.js';
import type { Lsn } from '../../shared/lsn.js';
import type { Difference, DifferenceCounts } from './difference.js';
import type { TableName } from './table-shape.js';

export const VERDICTS = ['equal', 'different', 'pending', 'not-comparable', 'stalled'] as const;

/**
 * `equal` and `different` are proven at an LSN. `pending`: not decided within the binds allowed. `not-comparable`:
 * nothing can be said, see the reason. `stalled`: the subscription does not apply, so there is nothing to compare.
 */
export type Verdict = (typeof VERDICTS)[number];

export interface VerifiedTable extends TableName {
  verdict: Verdict;
  /** Why the verdict is neither equal nor different. */
  reason: string | null;
  /** Rows of the publisher at `verifiedLsn`; null when unknown. */
  rows: number | null;
  /** Publisher LSN at which the whole table was compared; null when it was not. */
  verifiedLsn: Lsn | null;
  differences: DifferenceCounts;
}

export interface LinkVerification {
  verdict: Verdict;
  /** What kept the verdict from being equal or different. */
  reason: string | null;
  /** The lowest of the tables' LSNs; null unless every table has one. */
  verifiedLsn: Lsn | null;
  /** Whether all that was compared was compared at `verifiedLsn`, in one bound pair; null when nothing was. */
  atOneLsn: boolean | null;
  /** How the subscriber's snapshots were bound; null when none was. */
  method: BindMethod | null;
  /** Why binding goes by positions where it does. */
  methodReason: string | null;
  tables: VerifiedTable[];
  /** Capped per table; the tables' counts are exact. */
  differences: Difference[];
}

/** What prevails when tables differ in verdict: a difference is certain whatever else is unknown. */
const PRECEDENCE: readonly Verdict[] = ['different', 'stalled', 'pending', 'not-comparable', 'equal'];

/** Nothing compared is nothing proven: without tables the verdict is not-comparable. */
export function overallVerdict(tables: readonly VerifiedTable[]): Verdict {
  if (tables.length === 0) return 'not-comparable';
  return PRECEDENCE.find((verdict) => tables.some((table) => table.verdict === verdict))!;
}

/** Of the tables that can be compared; totals are the planner's estimates until a table is done. */
export interface VerificationProgress {
  rowsDone: number;
  rowsTotal: number;
  bytesDone: number;
  bytesTotal: number;
}
