import { Injectable } from '@nestjs/common';
import { plan, type PlannedStatement } from '../../changes/change.js';
import { readSubscriptions, type Subscription } from '../../postgres/catalog/subscriptions.js';
import { statement } from '../../postgres/ddl/statement.js';
import { identifier } from '../../postgres/quoting.js';
import { originProgressExpression, subscriptionOrigin } from '../../postgres/replication/origin-progress.js';
import { copySlotSql } from '../../postgres/replication/read-unapplied.js';
import type { TransactionSummary } from '../../postgres/replication/transaction-summary.js';
import { boundedAnswers } from '../../postgres/connection.js';
import { type Session, withSession } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { ServersService } from '../../servers/servers.service.js';
import { formatLsn, type Lsn, maxLsn, parseLsn, ZERO_LSN } from '../../shared/lsn.js';
import { PublisherEnds } from '../publisher-ends.js';
import type { SubscriptionView } from '../subscription-view.js';
import { judgeApply } from './apply-verdict.js';
import { type ApplyLook, conflictsBetween, failedBetween, watchApply } from './apply-watch.js';
import { type Diagnosis, presentTransaction } from './diagnosis.js';
import { remedies } from './remedies.js';
import { findTransaction, hasNoEffect, rowsOnSubscriber, type Search, searchUnapplied } from './unapplied-search.js';

/** For all the rows that are looked for on the subscriber; what they cannot tell by then is not known. */
const ROWS_WITHIN_MS = 5_000;

/** Changes told one by one. */
const SHOWN_CHANGES = 100;

export interface DiagnosisOptions {
  /** Of a transaction, that are told one by one; the others are counted. Default 100. */
  mostChanges?: number | undefined;
}

/** What was found out, with what a skip needs of it. */
export interface Finding {
  diagnosis: Diagnosis;
  subscription: Subscription;
  versionNum: number;
  position: Lsn | null;
  transaction: TransactionSummary | null;
}

type Unapplied = Pick<Diagnosis, 'transaction' | 'transactionReason' | 'passedOver'> & {
  summary: TransactionSummary | null;
  /** Whether anything is left to apply; null: not known. */
  some: boolean | null;
  /** What the subscription has prepared on the subscriber; not looked for where nothing was read. */
  prepared: ReadonlySet<string>;
};

/** Finds out whether a subscription is stuck, and on which transaction of its publisher. */
@Injectable()
export class DiagnosisService {
  constructor(
    private readonly servers: ServersService,
    private readonly ends: PublisherEnds,
  ) {}

  async diagnose(
    server: string,
    database: string,
    name: string,
    { mostChanges = SHOWN_CHANGES }: DiagnosisOptions = {},
  ): Promise<Finding> {
    const view = await this.view(server, database, name);
    const target = await this.servers.target(server, database);
    const limits = { purpose: 'diagnosis', ...boundedAnswers() };
    return withSession(target, limits, (watcher) =>
      withSession(target, limits, (session) => this.find(watcher, session, view, mostChanges)),
    );
  }

  /** The statements of `diagnose` that make something: one slot, for as long as it is read. */
  async plan(server: string, database: string, name: string): Promise<PlannedStatement[]> {
    const view = await this.view(server, database, name);
    if (view.publisher === null || view.slotName === null) return [];
    return plan(view.publisher, [copyStatement(view.slotName)]);
  }

  /** The transaction of the publisher that ends there, past what is applied; null when none does. */
  async transactionAt(
    server: string,
    database: string,
    finding: Finding,
    lsn: Lsn,
    { mostChanges = SHOWN_CHANGES }: DiagnosisOptions,
  ): Promise<TransactionSummary | null> {
    const { publisher, slotName } = await this.view(server, database, finding.subscription.name);
    if (publisher === null || slotName === null || finding.position === null) return null;
    const target = await this.servers.target(publisher.server, publisher.database);
    return findTransaction(target, finding.subscription, finding.position, lsn, mostChanges);
  }

  private async view(server: string, database: string, name: string): Promise<SubscriptionView> {
    const [view] = await this.ends.views(server, database, name);
    if (view) return view;
    throw new Problem('NOT_FOUND', `there is no subscription ${JSON.stringify(name)} in this database`);
  }

  private async find(
    watcher: Session,
    session: Session,
    view: SubscriptionView,
    mostChanges: number,
  ): Promise<Finding> {
    const [subscription] = await readSubscriptions(session, view.name);
    if (!subscription) throw new Problem('NOT_FOUND', `the subscription ${JSON.stringify(view.name)} is gone`);
    const origin = await readOrigin(session, subscription.oid);
    const confirmedLsn = view.slot?.confirmedFlushLsn ?? null;
    const confirmed = confirmedLsn === null ? null : parseLsn(confirmedLsn);
    const furthest = origin.lsn === null ? null : maxLsn(origin.lsn, confirmed ?? ZERO_LSN);
    const position = furthest === ZERO_LSN ? null : furthest;
    const [watched, unapplied] = await Promise.all([
      watchApply(watcher, view.name, origin.expression),
      this.unapplied(session, view, subscription, position, { originProblem: origin.problem, mostChanges }),
    ]);
    if (watched === null) throw new Problem('NOT_FOUND', `the subscription ${JSON.stringify(view.name)} is gone`);
    const { first, last } = watched;
    const gone = unapplied.summary !== null && last.remoteLsn !== null && last.remoteLsn >= unapplied.summary.endLsn;
    const shown = gone ? appliedMeanwhile(unapplied) : unapplied;
    const judged = judgeApply(watched, shown.some);
    const diagnosis: Diagnosis = {
      subscription: view.name,
      ...judged,
      position: position === null ? null : formatLsn(position),
      originLsn: origin.lsn === null ? null : formatLsn(origin.lsn),
      confirmedFlushLsn: confirmed === null ? null : formatLsn(confirmed),
      errors: last.errors,
      conflicts: last.conflicts,
      ...lastFailure(first, last, shown.summary),
      ...{ transaction: shown.transaction, transactionReason: shown.transactionReason, passedOver: shown.passedOver },
      remedies: ['failing', 'stalled', 'disabled'].includes(judged.verdict)
        ? remedies(subscription, session.versionNum, shown.summary, position, shown.prepared)
        : [],
    };
    return { diagnosis, subscription, versionNum: session.versionNum, position, transaction: shown.summary };
  }

  private async unapplied(
    session: Session,
    view: SubscriptionView,
    subscription: Subscription,
    position: Lsn | null,
    { originProblem, mostChanges }: { originProblem: string | null; mostChanges: number },
  ): Promise<Unapplied> {
    const { publisher, slot, slotName } = view;
    if (slotName === null) return unknown('the subscription has no replication slot');
    if (publisher === null) return unknown(view.lag.reason ?? 'the publisher is not a registered server');
    if (slot === null) return unknown(view.lag.reason ?? 'the replication slot was not found on the publisher');
    if (slot.walStatus === 'lost')
      return unknown('the replication slot is lost: what it missed cannot be read any more');
    if (position === null) return unknown(originProblem ?? 'nothing is known to be applied');
    const target = await this.servers.target(publisher.server, publisher.database);
    try {
      plan(publisher, [copyStatement(slotName)]);
      return await judgeCandidates(
        session,
        await searchUnapplied(target, session, subscription, position, mostChanges),
      );
    } catch (error) {
      // What the publisher refuses is an answer about the publisher; the subscriber's side is known all the same.
      if (!(error instanceof Problem) || error.code === 'INTERNAL' || !session.alive) throw error;
      const hint =
        error.code === 'SERVER_PRIVILEGE_MISSING'
          ? `; the login needs: alter role ${identifier(target.user)} replication;`
          : '';
      return unknown(`the publisher's stream could not be read: ${error.detail}${hint}`);
    }
  }
}

async function judgeCandidates(session: Session, { end, candidates, untold, prepared }: Search): Promise<Unapplied> {
  const deadline = Date.now() + ROWS_WITHIN_MS;
  const without: { summary: TransactionSummary; rows: (boolean | null)[] }[] = [];
  const told = (summary: TransactionSummary, rows: (boolean | null)[], passedOver: typeof without): Unapplied => ({
    ...{ summary, transaction: presentTransaction(summary, rows), transactionReason: null },
    ...{ passedOver: passedOver.map((each) => passed(each.summary)), some: true, prepared },
  });
  for (const summary of candidates) {
    const rows = await rowsOnSubscriber(session, summary, deadline);
    if (!hasNoEffect(summary, rows)) return told(summary, rows, without);
    without.push({ summary, rows });
  }
  if (untold !== null) {
    return { ...unknown(untold), passedOver: without.map((each) => passed(each.summary)), some: true };
  }
  const [only] = without;
  // Nothing behind it could be in the way: then it is one of these, the first that the worker comes to.
  if (only !== undefined && end === 'end') return told(only.summary, only.rows, without.slice(1));
  if (end === 'end') {
    return { ...unknown('the publisher has no transaction for it that is not applied'), some: false };
  }
  const bound = end === 'bytes' ? '512 MiB of the stream were read' : '20 s had passed';
  return unknown(
    `${bound} before a transaction came that changes a subscribed table; try again, or see the subscriber's log`,
  );
}

function passed({ finishLsn, changeCount }: TransactionSummary) {
  const reason = 'its rows are missing on the subscriber: it is applied without effect and moves no position';
  return { finishLsn: formatLsn(finishLsn), changeCount, reason };
}

function unknown(transactionReason: string): Unapplied {
  return { summary: null, transaction: null, transactionReason, passedOver: [], some: null, prepared: new Set() };
}

function appliedMeanwhile({ transaction }: Unapplied): Unapplied {
  return unknown(`the transaction at ${transaction!.finishLsn} was applied while it was looked at`);
}

export function copyStatement(slotName: string) {
  return statement(copySlotSql(slotName, 'lockstep_p_…'), 'none; the slot ends with the session that reads it', {
    transactional: false,
  });
}

async function readOrigin(
  session: Session,
  oid: number,
): Promise<{ expression: string | null; lsn: Lsn | null; problem: string | null }> {
  try {
    const expression = await originProgressExpression(session, subscriptionOrigin(oid));
    const { lsn } = await session.row<{ lsn: string | null }>(`select ${expression} as lsn`);
    return { expression, lsn: lsn === null ? ZERO_LSN : parseLsn(lsn), problem: null };
  } catch (error) {
    if (!(error instanceof Problem) || !session.alive) throw error;
    const { hint } = error.options;
    return { expression: null, lsn: null, problem: hint === undefined ? error.detail : `${error.detail}. ${hint}` };
  }
}

function lastFailure(first: ApplyLook, last: ApplyLook, transaction: TransactionSummary | null) {
  const finished = transaction === null ? '"finished at"' : `"finished at ${formatLsn(transaction.finishLsn)}"`;
  const message = `the message of the error is only in the subscriber's log: look for ${finished}`;
  if (failedBetween(first, last)) {
    const seen = { seenAt: last.at.toISOString(), conflicts: conflictsBetween(first, last) };
    return { lastFailure: seen, lastFailureReason: message };
  }
  const none = last.errors === null ? 'this version counts no errors' : 'no error was counted while it was looked at';
  return { lastFailure: null, lastFailureReason: `${none}; ${message}` };
}
