import { Injectable } from '@nestjs/common';
import { carryOut, type Change, type ChangeOptions, plan } from '../../changes/change.js';
import { readSubscriptions } from '../../postgres/catalog/subscriptions.js';
import { refusal } from '../../postgres/ddl/options/combination-rules.js';
import { skipTransaction } from '../../postgres/ddl/subscription.ddl.js';
import type { TransactionSummary } from '../../postgres/replication/transaction-summary.js';
import { Problem } from '../../problems/problem.js';
import { ServersService } from '../../servers/servers.service.js';
import { formatLsn, type Lsn } from '../../shared/lsn.js';
import { majorOf, PG15 } from '../../shared/server-version.js';
import { appliedLsn } from '../subscription-lag.js';
import type { SubscriptionView } from '../subscription-view.js';
import { SubscriptionsService } from '../subscriptions.service.js';
import { TablesNeedingVerification } from '../tables-needing-verification.repository.js';
import { presentTransaction, type UnappliedTransaction } from './diagnosis.js';
import { DiagnosisService, type Finding } from './diagnosis.service.js';
import { isEndOfPrepared } from './prepared-transactions.js';
import { skipByOrigin } from './remedies.js';

export interface SkipRequest {
  /** Finish LSN; null takes an earlier wish back. */
  lsn: Lsn | null;
  /** Skip what is not found to be the transaction it is stuck on. */
  force: boolean;
  /** Lost changes that are told one by one. Default 100. */
  mostChanges?: number | undefined;
}

/** What the subscriber loses. */
export interface Loss {
  lost: UnappliedTransaction | null;
  /** Why that is not known; null when it is, or when nothing is lost. */
  lostReason: string | null;
}

/** Whether skipping is right: it is not while the transaction is on its way. */
const GOES_ON = new Set<string | null>(['applying', 'idle']);

/** Skips the transaction a subscription is stuck on, and says what that loses before it does. */
@Injectable()
export class SkipService {
  constructor(
    private readonly servers: ServersService,
    private readonly subscriptions: SubscriptionsService,
    private readonly diagnosis: DiagnosisService,
    private readonly needs: TablesNeedingVerification,
  ) {}

  /**
   * 15 and newer. Rejects with CONFLICT for what is applied already, for what is not the stuck transaction, and for a
   * COMMIT PREPARED or ROLLBACK PREPARED, which no SKIP skips.
   */
  async skip(
    server: string,
    database: string,
    name: string,
    { lsn, force, mostChanges }: SkipRequest,
    { dryRun = false }: ChangeOptions = {},
  ): Promise<Change<SubscriptionView> & Loss> {
    const { versionNum, oid } = await this.look(server, database, name);
    if (lsn === null) return { ...(await this.run(server, database, name, null, dryRun)), ...NOTHING_LOST };
    // Refuses an LSN that cannot be one, before anything is looked for.
    if (versionNum >= PG15) skipTransaction(name, lsn, versionNum);
    await this.refuseApplied(server, database, name, lsn, versionNum);
    const finding = await this.diagnosis.diagnose(server, database, name, { mostChanges });
    if (versionNum < PG15) throw notBelow15(finding, lsn);
    const transaction = await this.transaction(server, database, finding, { lsn, force, mostChanges });
    const loss = lossOf(transaction, lsn);
    if (dryRun) return { ...(await this.run(server, database, name, lsn, true)), ...loss };
    const tables = losers(finding, transaction);
    // Before the act: a mark too many goes with the next verification, one too few would hide a loss.
    await this.needs.mark({ server, database, oid }, tables, lsn, whySkipped(transaction, lsn));
    return { ...(await this.run(server, database, name, lsn, false)), ...loss };
  }

  private async look(server: string, database: string, name: string) {
    return this.servers.withSession(server, database, async (session) => {
      const [found] = await readSubscriptions(session, name);
      if (!found) throw new Problem('NOT_FOUND', `there is no subscription ${JSON.stringify(name)} in this database`);
      return { versionNum: session.versionNum, oid: found.oid };
    });
  }

  private async refuseApplied(server: string, database: string, name: string, lsn: Lsn, versionNum: number) {
    if (versionNum < PG15) return;
    const { originLsn, slot } = await this.subscriptions.get(server, database, name);
    const applied = appliedLsn(originLsn, slot);
    if (applied === null || lsn >= applied) return;
    const detail =
      `${formatLsn(lsn)} is before the position ${formatLsn(applied)}, and SKIP takes no such LSN: what ends there is applied, or was ` +
      'prepared before the slot had two_phase, so that it is sent with its COMMIT PREPARED';
    throw refusal('skip-forward', 'CONFLICT', detail, [{ pointer: '#/lsn', detail }]);
  }

  /** What is skipped; null when that could not be read, which needs force. */
  private async transaction(
    server: string,
    database: string,
    finding: Finding,
    { lsn, force, mostChanges }: SkipRequest & { lsn: Lsn },
  ): Promise<TransactionSummary | null> {
    const { diagnosis, transaction } = finding;
    const isStuckOne = transaction?.finishLsn === lsn;
    const isAccepted = isStuckOne && (force || isEndOfPrepared(transaction) || !GOES_ON.has(diagnosis.verdict));
    if (!isAccepted && !force) throw notTheStuckOne(finding, lsn);
    const asked = isAccepted
      ? transaction
      : await this.diagnosis.transactionAt(server, database, finding, lsn, { mostChanges });
    if (asked !== null && isEndOfPrepared(asked)) throw notSkipped(finding, asked);
    return asked;
  }

  private async run(
    server: string,
    database: string,
    name: string,
    lsn: Lsn | null,
    dryRun: boolean,
  ): Promise<Change<SubscriptionView>> {
    const statements = await this.servers.withSession(server, database, async (session) => {
      const composed = skipTransaction(name, lsn, session.versionNum);
      const planned = plan({ server, database }, composed);
      if (!dryRun) await carryOut(session, composed);
      return planned;
    });
    return { statements, result: dryRun ? null : await this.subscriptions.get(server, database, name) };
  }
}

/** Subscribed tables that lose something; all of them where that is not known. */
function losers({ subscription: { tables } }: Finding, transaction: TransactionSummary | null) {
  if (transaction === null) return tables;
  return tables.filter(({ schema, name }) =>
    transaction.tables.some((touched) => touched.schema === schema && touched.name === name),
  );
}

function whySkipped(transaction: TransactionSummary | null, lsn: Lsn): string {
  if (transaction?.kind !== 'prepare') return `the transaction at ${formatLsn(lsn)} was skipped`;
  return `the transaction that was prepared at ${formatLsn(lsn)} was skipped: its COMMIT PREPARED brings none of its changes`;
}

const NOTHING_LOST: Loss = { lost: null, lostReason: null };

function lossOf(transaction: TransactionSummary | null, lsn: Lsn): Loss {
  if (transaction !== null) return { lost: presentTransaction(transaction), lostReason: null };
  const lostReason = `no transaction that ends at ${formatLsn(lsn)} could be read from the publisher; one that does is lost all the same`;
  return { lost: null, lostReason };
}

function notTheStuckOne({ diagnosis }: Finding, lsn: Lsn): Problem {
  const { transaction, transactionReason, verdict, reason } = diagnosis;
  const asked = formatLsn(lsn);
  const detail =
    transaction === null
      ? `${asked} is not known to be a transaction the subscription is stuck on: ${transactionReason}`
      : transaction.finishLsn === asked
        ? `the subscription is not stuck at ${asked}: ${reason}`
        : `the subscription is not stuck at ${asked}, but at ${transaction.finishLsn}`;
  return new Problem('CONFLICT', detail, {
    hint: 'Look at the diagnosis and skip its transaction; with "force": true the LSN is taken as it is.',
    extra: { verdict, stuckAt: transaction?.finishLsn ?? null },
  });
}

/** The worker carries it out whatever it is told to skip (seen with 15 to 18). */
function notSkipped({ diagnosis }: Finding, { kind, finishLsn }: TransactionSummary): Problem {
  const what = kind === 'commitPrepared' ? 'COMMIT PREPARED' : 'ROLLBACK PREPARED';
  return new Problem('CONFLICT', `at ${formatLsn(finishLsn)} is a ${what}, which the server does not skip`, {
    hint: 'See the remedies of the diagnosis.',
    extra: { kind, verdict: diagnosis.verdict, stuckAt: diagnosis.transaction?.finishLsn ?? null },
  });
}

/** What to do instead, with the commands where the transaction is the one that is in the way. */
function notBelow15({ diagnosis, subscription, transaction, versionNum }: Finding, lsn: Lsn): Problem {
  const isStuckOne = transaction?.finishLsn === lsn;
  const { does, sql } = skipByOrigin(subscription, transaction?.endLsn ?? lsn);
  return new Problem(
    'OPTION_NOT_SUPPORTED',
    `skipping a transaction needs PostgreSQL 15; this server is ${majorOf(versionNum)}`,
    {
      hint: `Mend the row on the subscriber so that the change applies. ${does}`,
      errors: [{ pointer: '#/lsn', detail: 'needs PostgreSQL 15' }],
      extra: {
        ...{ option: 'skipping a transaction', minimumVersion: 15, serverVersion: majorOf(versionNum) },
        ...{ stuckAt: diagnosis.transaction?.finishLsn ?? null, stuckReason: diagnosis.transactionReason },
        ...(isStuckOne ? { instead: sql, lost: diagnosis.transaction } : {}),
      },
    },
  );
}
