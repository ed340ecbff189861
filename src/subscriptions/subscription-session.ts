import { readSubscriptions, type Subscription } from '../postgres/catalog/subscriptions.js';
import { boundedAnswers, type ConnectionTarget } from '../postgres/connection.js';
import { type Session, withSession } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import type { SubscriptionView } from './subscription-view.js';

/** Refresh and drop talk to the publisher; a slow one must not be cut off at the pace of a catalog query. */
const PUBLISHER_TIMEOUT_MS = 60_000;

export function sessionLimits(purpose: string) {
  return { purpose, ...boundedAnswers(PUBLISHER_TIMEOUT_MS) };
}

/**
 * Lends `work` a session in which nobody else of us changes the subscription: what is read must still hold when it is
 * changed. Not by a transaction, for what talks to the publisher cannot run in one. Rejects with NOT_FOUND.
 */
export async function changing<T>(
  target: ConnectionTarget,
  name: string,
  work: (session: Session, current: Subscription) => Promise<T>,
): Promise<T> {
  return withSession(target, sessionLimits('subscription'), async (session) => {
    await session
      .rows(`select pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended($1, 0))`, [`lockstep subscription ${name}`])
      .catch((error: unknown) => {
        throw isLockTimeout(error) ? busy(name, error) : error;
      });
    return work(session, await requireSubscription(session, name));
  });
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof Problem && error.options.sqlstate === '55P03';
}

function busy(name: string, cause: unknown): Problem {
  return new Problem('CONFLICT', `another change of subscription ${JSON.stringify(name)} is under way`, {
    hint: 'Try again once it has ended: one that takes up tables waits for the publisher.',
    retryable: true,
    cause,
  });
}

export async function requireSubscription(session: Session, name: string): Promise<Subscription> {
  const [subscription] = await readSubscriptions(session, name);
  if (!subscription) throw unknownSubscription(name);
  return subscription;
}

export function requireUnchanged({ oid, name, settings }: Subscription, view: SubscriptionView): void {
  if (oid === view.oid && settings.slotName === view.slotName) return;
  throw new Problem('CONFLICT', `subscription ${JSON.stringify(name)} was changed meanwhile`, { retryable: true });
}

export function unknownSubscription(name: string): Problem {
  return new Problem('NOT_FOUND', `there is no subscription ${JSON.stringify(name)} in this database`);
}
