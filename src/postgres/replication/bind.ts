import { Problem } from '../../problems/problem.js';
import { setTimeout as delay } from 'node:timers/promises';
import { formatLsn, maxLsn, parseLsn, type Lsn } from '../../shared/lsn.js';
import type { Session } from '../session.js';
import { type BindSessions, dropConnections } from './bind-sessions.js';
import { applyIdleExpression } from '../catalog/apply.sql.js';
import { ApplyProgress } from './apply-progress.js';
import { contradiction, decide, nameApplied, type AppliedBounds, type BindDecision } from './bind-decision.js';
import type { BindRequest } from './bind-request.js';
import type { TakenSnapshot } from './bound-snapshot.js';
import type { BoundPair } from './bound-pair.js';
import { originProgressExpression, subscriptionOrigin } from './origin-progress.js';
import { takeAccountableSnapshot } from './publisher-snapshot.js';
import type { Recording } from './recording.js';
import { isEmpty, type StreamedTransaction } from './streamed-transaction.js';

const DEFAULT_MAX_CHANGES = 500_000;
const MAX_RECORDED_BYTES = 256 * 1024 * 1024;
const CONTRADICTED_PAUSE_MS = 20;
const ANSWER_GRACE_MS = 10_000;
const CANCEL_WITHIN_MS = 2_000;

/**
 * Takes a publisher snapshot, waits until the subscriber has applied everything in it, takes a subscriber snapshot,
 * and tells exactly which publisher transactions lie between the two. Nothing is paused and nothing is written but
 * an empty logical message on each side.
 *
 * Rejects with a Problem and leaves nothing open:
 * - PREREQUISITE_FAILED, `stalledAt` (an LSN or null): the subscription is disabled, has no worker, keeps failing,
 *   or did not move within the deadline; `blockers`: sessions that keep the publisher's snapshot undecidable.
 * - SERVER_TIMEOUT: the subscription moves but did not catch up within the deadline.
 * - LIMIT_REACHED (retryable): more was written between the snapshots than may be recorded.
 * - SERVER_PRIVILEGE_MISSING: the login may not read replication origin progress, or not lock a table.
 * - whatever ended a stream that the bind depends on.
 */
export async function bindPair(request: BindRequest): Promise<BoundPair> {
  const limits = { maxChanges: request.maxRecordedChanges ?? DEFAULT_MAX_CHANGES, maxBytes: MAX_RECORDED_BYTES };
  // Recording begins before the snapshot is taken: what it may lack must not pass by unseen.
  const lastLost = request.publisher.stream.delivered.lastEvictedEnd;
  const published = request.publisher.stream.delivered.record(limits);
  const applied = request.subscriber.stream?.delivered.record(limits) ?? null;
  applied?.keepWhole(() => false);
  try {
    const sessions = await request.sessions.lend(request.tables);
    let unanswered = false;
    const end = () => {
      unanswered = true;
      dropConnections(sessions);
    };
    // Statements of a bind are short; what has not been answered by then waits for a server that is gone.
    const silence = setTimeout(end, request.deadlineMs + ANSWER_GRACE_MS);
    request.signal?.addEventListener('abort', end);
    try {
      return await new Binding(request, sessions, published, applied, lastLost).run();
    } catch (error) {
      await request.sessions.discard(sessions);
      if (request.signal?.aborted) throw cancelled();
      if (unanswered) throw new Problem('SERVER_TIMEOUT', 'a server did not answer while two snapshots were bound');
      throw error;
    } finally {
      clearTimeout(silence);
      request.signal?.removeEventListener('abort', end);
    }
  } finally {
    published.stop();
    applied?.stop();
  }
}

class Binding {
  private readonly deadline: number;

  constructor(
    private readonly request: BindRequest,
    private readonly sessions: BindSessions,
    private readonly published: Recording,
    private readonly applied: Recording | null,
    /** See `DeliveredTransactions.lastEvictedEnd`. */
    private readonly lastLost: Lsn,
  ) {
    this.deadline = Date.now() + request.deadlineMs;
  }

  async run(): Promise<BoundPair> {
    const { publisher, publisherControl, subscriberControl } = this.sessions;
    const { subscription } = this.request;
    const stream = this.request.publisher.stream;
    if (this.request.signal?.aborted) throw cancelled();
    const origin = subscriptionOrigin(subscription.oid);
    const originExpression = await originProgressExpression(subscriberControl, origin);
    const progress = new ApplyProgress(publisherControl, subscriberControl, subscription, originExpression);

    const taken = await takeAccountableSnapshot(publisher, publisherControl, stream, this.deadline);
    this.published.keepWhole((transaction) => !taken.snapshot.visible(transaction.xid));
    await nudge(publisherControl);
    await stream.waitUntil(taken.insertedLsn, this.patience());
    const inPublisher = this.lastInSnapshot(taken);
    await progress.waitUntilApplied(inPublisher, this.deadline, this.request.signal);

    const decision = await this.bindSubscriber(taken, inPublisher, progress, originExpression, origin);
    this.refuseOverflow(decision);
    return this.pair(decision);
  }

  /** Commit end of the last transaction the publisher snapshot sees, as far as transactions matter to the subscriber. */
  private lastInSnapshot(taken: TakenSnapshot): Lsn {
    this.refuseExceeded();
    let last = maxLsn(this.request.publisher.stream.startPosition, this.lastLost);
    for (const transaction of this.published.transactions) {
      if (!isEmpty(transaction) && taken.snapshot.visible(transaction.xid)) last = maxLsn(last, transaction.endLsn);
    }
    return last;
  }

  /** Takes subscriber snapshots until one agrees with all that is known of what it contains. */
  private async bindSubscriber(...given: Parameters<Binding['tryToBindSubscriber']>): Promise<BindDecision> {
    for (;;) {
      const decision = await this.tryToBindSubscriber(...given);
      if (!('contradicted' in decision)) return decision;
      if (Date.now() + CONTRADICTED_PAUSE_MS > this.deadline) throw contradicted(decision.contradicted);
      await delay(CONTRADICTED_PAUSE_MS);
      if (this.request.signal?.aborted) throw cancelled();
    }
  }

  private async tryToBindSubscriber(
    publisher: TakenSnapshot,
    inPublisher: Lsn,
    progress: ApplyProgress,
    originExpression: string,
    origin: string,
  ): Promise<BindDecision | { contradicted: Lsn }> {
    const confirmed = await progress.confirmed();
    const taken = await this.sessions.subscriber.take(
      [`select ${originExpression} as origin`, `select ${applyIdleExpression(this.request.subscription.oid)} as idle`],
      [`${originExpression} as origin`],
    );
    const before = lsnOrNull(taken.before[0]!.origin);
    const after = lsnOrNull(taken.within.origin);
    if (after === null) {
      throw new Problem('PREREQUISITE_FAILED', `the progress of replication origin "${origin}" is unknown`, {
        hint: 'The subscription has not applied anything since the subscriber started; enable it and try again.',
        extra: { stalledAt: null },
      });
    }
    const bounds: AppliedBounds = {
      throughLsn: confirmed === null ? inPublisher : maxLsn(inPublisher, confirmed),
      beforeLsn: before,
      upToLsn: after,
    };
    // No worker had a transaction open between two equal readings: the one that moved the origin there is visible.
    if (before !== null && before === after && taken.before[1]!.idle === true) {
      bounds.throughLsn = maxLsn(bounds.throughLsn, before);
    }
    const named = await this.nameSubscriberTransactions(taken, origin);
    const against = contradiction(bounds, named);
    if (against !== null) return { contradicted: against };
    for (const { endLsn, visible } of named) if (visible) bounds.throughLsn = maxLsn(bounds.throughLsn, endLsn);
    await this.request.publisher.stream.waitUntil(maxLsn(after, bounds.throughLsn), this.patience());
    this.refuseExceeded();
    const missing = this.published.transactions.filter(({ xid }) => !publisher.snapshot.visible(xid));
    return decide(missing, bounds, named);
  }

  private async nameSubscriberTransactions(taken: TakenSnapshot, origin: string) {
    const stream = this.request.subscriber.stream;
    if (!stream || !this.applied) return [];
    // Past the origin as read in the snapshot: a transaction behind it is either delivered by then or has no name.
    await stream.waitUntil(await nudge(this.sessions.subscriberControl), this.patience());
    this.refuseExceeded();
    return nameApplied(this.applied.transactions, origin, taken.snapshot);
  }

  private pair(decision: BindDecision): BoundPair {
    const { publisher, subscriber } = this.sessions;
    const { snapshot } = subscriber;
    return {
      method: this.request.subscriber.stream ? 'own-slot' : 'positions',
      publisher,
      subscriber,
      ...decision,
      subscriberSees: (xid) => snapshot.visible(xid),
      cancel: () => this.cancel(),
      release: once(() => this.request.sessions.giveBack(this.sessions)),
    };
  }

  /** A server notices a closed connection only after the statement, so that is ended first. */
  private async cancel(): Promise<void> {
    const { publisher, publisherControl, subscriber, subscriberControl } = this.sessions;
    const silence = setTimeout(() => dropConnections(this.sessions), CANCEL_WITHIN_MS);
    const ending = (control: Session, { session }: { session: Session }) =>
      control.rows('select pg_catalog.pg_cancel_backend($1)', [session.backendPid]);
    await Promise.allSettled([ending(publisherControl, publisher), ending(subscriberControl, subscriber)]);
    clearTimeout(silence);
    dropConnections(this.sessions);
  }

  private patience() {
    const timeoutMs = Math.max(0, this.deadline - Date.now());
    return this.request.signal ? { timeoutMs, signal: this.request.signal } : { timeoutMs };
  }

  private refuseExceeded(): void {
    if (this.published.exceeded || this.applied?.exceeded) throw tooMuch();
  }

  private refuseOverflow(decision: BindDecision): void {
    const cut = (transaction: StreamedTransaction) => transaction.overflow;
    if (decision.rollForward.some(cut) || decision.inDoubt.some(cut)) throw tooMuch();
  }
}

/** Writes something, so that the server's streams get past what was written before; returns where. */
export async function nudge(session: Session): Promise<Lsn> {
  const { lsn } = await session.row<{ lsn: string }>(
    `select pg_catalog.pg_logical_emit_message(true, 'lockstep', '')::text as lsn`,
  );
  return parseLsn(lsn);
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= work());
}

function lsnOrNull(value: unknown): Lsn | null {
  return typeof value === 'string' ? parseLsn(value) : null;
}

function cancelled(): Problem {
  return new Problem('SERVER_TIMEOUT', 'binding two snapshots was cancelled');
}

function contradicted(lsn: Lsn): Problem {
  return new Problem(
    'PREREQUISITE_FAILED',
    `the subscriber does not show the transaction that ends at ${formatLsn(lsn)}, though its replication origin is past it`,
    {
      hint: 'A commit waits for a synchronous standby on the subscriber, or the origin was moved back by hand. Try again once that is over.',
      retryable: true,
      extra: { stalledAt: formatLsn(lsn) },
    },
  );
}

function tooMuch(): Problem {
  return new Problem('LIMIT_REACHED', 'more was written while binding two snapshots than may be held in memory', {
    hint: 'Try again when fewer rows are being written, or once the bulk load has been applied on the subscriber.',
    retryable: true,
  });
}
