import { maxLsn, type Lsn } from '../../shared/lsn.js';
import type { Snapshot } from './snapshot.js';
import { isEmpty, type StreamedTransaction } from './streamed-transaction.js';

/** What is known about a subscriber snapshot besides its transactions by name. */
export interface AppliedBounds {
  /** Every publisher transaction ending at or below is in the snapshot. */
  throughLsn: Lsn;
  /** Every publisher transaction ending strictly below is in the snapshot: the origin as read before it. */
  beforeLsn: Lsn | null;
  /** None ending above is in the snapshot: the origin as read after it. */
  upToLsn: Lsn;
}

/** A transaction applied from the publisher: its commit end LSN there, and whether the snapshot sees it here. */
export interface NamedTransaction {
  endLsn: Lsn;
  visible: boolean;
}

/**
 * The end of a transaction that the snapshot does not see although the bounds say that it is in; null where there is
 * none. Then nothing can be said: what the bounds rest on was read while that transaction was half way, or it was
 * applied before and is applied again.
 */
export function contradiction(bounds: AppliedBounds, named: readonly NamedTransaction[]): Lsn | null {
  const found = named.find(
    ({ endLsn, visible }) =>
      !visible && (endLsn <= bounds.throughLsn || (bounds.beforeLsn !== null && endLsn < bounds.beforeLsn)),
  );
  return found?.endLsn ?? null;
}

export interface BindDecision {
  boundLsn: Lsn;
  rollForward: StreamedTransaction[];
  inDoubt: StreamedTransaction[];
}

/** Which of the subscriber's own transactions came from the publisher, and which of them its snapshot sees. */
export function nameApplied(
  local: readonly StreamedTransaction[],
  origin: string,
  snapshot: Snapshot,
): NamedTransaction[] {
  return local.flatMap((transaction) =>
    transaction.origin?.name === origin
      ? [{ endLsn: transaction.origin.lsn, visible: snapshot.visible(transaction.xid) }]
      : [],
  );
}

/**
 * Places publisher transactions that the publisher's snapshot lacks: in the subscriber's snapshot, not in it, or in
 * doubt. Rests on apply order: a subscription commits in publisher commit order, one transaction at a time, so what is
 * below a transaction known to be in is in, and what is above one known to be out is out.
 */
export function decide(
  missingInPublisher: readonly StreamedTransaction[],
  bounds: AppliedBounds,
  named: readonly NamedTransaction[],
): BindDecision {
  let through = bounds.throughLsn;
  let firstOut: Lsn | null = null;
  for (const { endLsn, visible } of named) {
    if (visible) through = maxLsn(through, endLsn);
    else if (firstOut === null || endLsn < firstOut) firstOut = endLsn;
  }
  const decision: BindDecision = { boundLsn: through, rollForward: [], inDoubt: [] };
  for (const transaction of missingInPublisher) {
    if (isEmpty(transaction)) continue;
    const { endLsn } = transaction;
    if (endLsn <= through || (bounds.beforeLsn !== null && endLsn < bounds.beforeLsn)) {
      decision.rollForward.push(transaction);
      decision.boundLsn = maxLsn(decision.boundLsn, endLsn);
    } else if (endLsn <= bounds.upToLsn && (firstOut === null || endLsn < firstOut)) {
      decision.inDoubt.push(transaction);
    }
  }
  return decision;
}
