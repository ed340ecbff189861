import { dropLinkObjects, type LinkEnds } from '../../verification/link/link-objects.js';
import { TIMELINE } from '../../postgres/catalog/upgrade.sql.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import type { PassingFact, UpgradeFacts } from '../facts.js';
import { type Direction, FACTS, FENCE, type Side } from './direction.js';

/** Of a step's context, what is needed here. */
interface Upgrade {
  readonly facts: UpgradeFacts;
  act(side: Side): Promise<Session>;
}

interface Recorded extends Upgrade {
  forget(...facts: PassingFact[]): Promise<void>;
  event(type: string, data: Record<string, unknown>): Promise<void>;
}

const OTHER_TIMELINE =
  'a server came to another timeline since it was verified (a failover, a restore): LSNs after it may be of other changes';

/** The timelines of both servers, as one text. */
export async function timelines(context: Pick<Upgrade, 'act'>): Promise<string> {
  const of = async (side: Side) => (await (await context.act(side)).row<{ timeline: string }>(TIMELINE)).timeline;
  return `${await of('source')} ${await of('target')}`;
}

/**
 * Whether a server is on another timeline than when the link was verified. Its new primary may have lacked the last
 * changes; what was written instead has LSNs that were taken for verified, and for applied.
 */
export async function onOtherTimeline(context: Upgrade, direction: Direction): Promise<boolean> {
  const verified = context.facts[FACTS[direction].timelines];
  return verified !== undefined && verified !== (await timelines(context));
}

export function onlyVerifiedAnew(): Problem {
  return new Problem('CONFLICT', `the verification does not carry any more: ${OTHER_TIMELINE}`, {
    hint: 'Try once more: it begins with another verification.',
    retryable: true,
  });
}

/** Forgets a verification of another timeline, with slots and publications of the streams; others are made then. */
export async function leaveOtherTimeline(context: Recorded, direction: Direction, ends: LinkEnds): Promise<void> {
  if (!(await onOtherTimeline(context, direction))) return;
  const facts = FACTS[direction];
  await context.event('verification-lost', { reason: OTHER_TIMELINE });
  await context.forget(facts.verifiedLsn, facts.verdict);
  // Slots made now have seen nothing of what passed since the fence, and would show that nothing did.
  if (context.facts[FENCE[direction]] !== undefined) throw onlyVerifiedAnew();
  await dropLinkObjects(ends);
  // Last: after a crash in between it is begun anew.
  await context.forget(facts.timelines);
}
