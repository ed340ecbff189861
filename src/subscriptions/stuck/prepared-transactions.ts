import { PREPARED_GIDS } from '../../postgres/catalog/apply.sql.js';
import { SLOT_TWO_PHASE } from '../../postgres/catalog/logical-slot.sql.js';
import type { Subscription } from '../../postgres/catalog/subscriptions.js';
import { variantFor } from '../../postgres/catalog/variant.js';
import type { TransactionSummary } from '../../postgres/replication/transaction-summary.js';
import type { Session } from '../../postgres/session.js';
import { formatLsn, type Lsn, parseLsn } from '../../shared/lsn.js';

/** What an apply worker prepares the publisher's transaction as (`TwoPhaseTransactionGid` in worker.c). */
export function preparedGid(subscriptionOid: number, xid: number): string {
  return `${gidsOf(subscriptionOid)}${xid}`;
}

function gidsOf(subscriptionOid: number): string {
  return `pg_gid_${subscriptionOid}_`;
}

/** What the subscription has prepared on the subscriber, by its names there. */
export async function readPreparedGids(subscriber: Session, subscriptionOid: number): Promise<ReadonlySet<string>> {
  const sql = variantFor(PREPARED_GIDS, subscriber.versionNum);
  const rows = await subscriber.rows<{ gid: string }>(sql, [gidsOf(subscriptionOid)]);
  return new Set(rows.map(({ gid }) => gid));
}

/** How a subscription's slot sends what is prepared. */
export interface PreparedSending {
  /** When it is prepared; else all of it with its COMMIT PREPARED. */
  twoPhase: boolean;
  /** What was prepared before is sent with its COMMIT PREPARED all the same; null: not known. */
  since: Lsn | null;
}

/** The slot decides, whatever the subscription says; a subscription that is enabled for it turns it on when it next runs. */
export async function readPreparedSending(
  publisher: Session,
  { settings, twoPhaseState }: Subscription,
  position: Lsn,
): Promise<PreparedSending> {
  const [slot] = await publisher.rows<{ supported: boolean; two_phase: boolean; since: string | null }>(
    variantFor(SLOT_TWO_PHASE, publisher.versionNum),
    [settings.slotName],
  );
  if (slot?.two_phase) return { twoPhase: true, since: slot.since === null ? null : parseLsn(slot.since) };
  return { twoPhase: slot?.supported === true && twoPhaseState === 'enabled', since: position };
}

/**
 * Tells what the apply worker gets from what a copy of its slot sends: the copy sends all that was prepared before
 * `position` with its COMMIT PREPARED, the slot only what was prepared before its own `since`.
 */
export class PreparedAsSent {
  /** Sent with the COMMIT PREPARED that follows. */
  private late: TransactionSummary | null = null;
  /** Why what the worker gets next is not known; null: it is. */
  untold: string | null = null;

  constructor(
    private readonly oid: number,
    private readonly position: Lsn,
    private readonly since: Lsn | null,
    /** On the subscriber. */
    private readonly prepared: ReadonlySet<string>,
  ) {}

  /** Null: nothing that the worker would do something about, or `untold`. */
  accept(transaction: TransactionSummary): TransactionSummary | null {
    const { kind, xid, finishLsn, endLsn, committedAt } = transaction;
    const isPrepared = () => this.prepared.has(preparedGid(this.oid, xid));
    if (kind === 'prepare' && finishLsn < this.position) {
      this.late = transaction;
      return null;
    }
    // The worker looks whether there is anything to roll back.
    if (kind === 'rollbackPrepared') return isPrepared() ? transaction : null;
    const { late } = this;
    if (kind !== 'commitPrepared' || late?.xid !== xid) return transaction;
    if (this.since === null && !isPrepared()) {
      this.untold = this.ambiguity(late, transaction);
      return null;
    }
    // The worker's origin moves only with the COMMIT PREPARED then.
    if (this.since !== null && late.finishLsn < this.since) return { ...late, endLsn };
    return { ...late, kind, finishLsn, endLsn, committedAt };
  }

  private ambiguity(late: TransactionSummary, { xid, finishLsn }: TransactionSummary): string {
    const gid = preparedGid(this.oid, xid);
    return (
      `the publisher's transaction ${xid} was prepared at ${formatLsn(late.finishLsn)} and committed at ` +
      `${formatLsn(finishLsn)}, and the subscriber has no prepared transaction ${gid}: either it was ended there, and its ` +
      `COMMIT PREPARED fails until there is one (begin; prepare transaction '${gid}'; makes an empty one, which loses the ` +
      'changes), or it was prepared before the slot had two_phase, and its changes are sent only now. A publisher below 18 ' +
      "does not tell which; the subscriber's log does, by the message type. SKIP helps in neither case"
    );
  }
}

/** The worker carries it out whatever is to be skipped. */
export function isEndOfPrepared({ kind }: TransactionSummary): boolean {
  return kind === 'commitPrepared' || kind === 'rollbackPrepared';
}

/** Whether ALTER SUBSCRIPTION … SKIP can skip it: no LSN before the origin is taken. */
export function isSkippable(transaction: TransactionSummary, position: Lsn): boolean {
  return !isEndOfPrepared(transaction) && transaction.finishLsn >= position;
}
