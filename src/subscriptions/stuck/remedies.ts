import type { Subscription } from '../../postgres/catalog/subscriptions.js';
import { disableSubscription, enableSubscription, skipTransaction } from '../../postgres/ddl/subscription.ddl.js';
import { literal } from '../../postgres/quoting.js';
import { subscriptionOrigin } from '../../postgres/replication/origin-progress.js';
import type { TransactionSummary } from '../../postgres/replication/transaction-summary.js';
import { formatLsn, type Lsn } from '../../shared/lsn.js';
import { PG15 } from '../../shared/server-version.js';
import type { Diagnosis } from './diagnosis.js';
import { isSkippable, preparedGid } from './prepared-transactions.js';

type Remedy = Diagnosis['remedies'][number];

/**
 * What can be done about a transaction that fails, with the SQL for the subscriber.
 *
 * @param position past which the transaction was looked for
 * @param prepared what the subscription has prepared on the subscriber
 */
export function remedies(
  subscription: Subscription,
  versionNum: number,
  transaction: TransactionSummary | null,
  position: Lsn | null,
  prepared: ReadonlySet<string>,
): Remedy[] {
  const { name, oid, enabled } = subscription;
  const enable = enabled ? [] : enableSubscription(name).map(({ sql }) => sql);
  const mend = {
    does: 'Mend what is in the way on the subscriber (the row, the missing table or column); the transaction is then applied, nothing is lost.',
    sql: enable,
  };
  if (transaction === null || position === null) return [mend];
  const { kind, xid, finishLsn, endLsn } = transaction;
  if (versionNum < PG15) return [mend, skipByOrigin(subscription, endLsn)];
  if (isSkippable(transaction, position)) {
    const sql = [...skipTransaction(name, finishLsn, versionNum).map((each) => each.sql), ...enable];
    const later =
      kind === 'prepare'
        ? ' It is prepared all the same, empty, so that its COMMIT PREPARED passes; where that is what fails ' +
          '(max_prepared_transactions, a name that is in use), skipping does not help.'
        : '';
    return [mend, { does: `Skip the transaction: all its changes are lost, those of other tables too.${later}`, sql }];
  }
  if (kind === 'prepare') return [mend, skipByOrigin(subscription, endLsn, 'SKIP takes no LSN before its position')];
  const gid = preparedGid(oid, xid);
  if (kind === 'rollbackPrepared' || prepared.has(gid)) return [mend];
  return [
    {
      does:
        "As the subscription's owner, give the subscriber a prepared transaction for the COMMIT PREPARED to end, as the " +
        'one it had is gone; this one is empty: all changes of the transaction are lost.',
      sql: ['begin', `prepare transaction ${literal(gid)}`, ...enable],
    },
  ];
}

/** Where there is no SKIP the origin is moved past the transaction while nothing is applied. */
export function skipByOrigin({ name, oid }: Subscription, endLsn: Lsn, why = 'Below 15'): Remedy {
  const origin = literal(subscriptionOrigin(oid));
  return {
    does: `${why}: as superuser, once its workers have ended, move its origin past the transaction, all of whose changes are lost.`,
    sql: [
      ...disableSubscription(name).map(({ sql }) => sql),
      `select pg_catalog.pg_replication_origin_advance(${origin}, ${literal(formatLsn(endLsn))})`,
      ...enableSubscription(name).map(({ sql }) => sql),
    ],
  };
}
