import { readSubscriptions } from '../../postgres/catalog/subscriptions.js';
import { FLUSHED_WAL, ORIGIN_POSITION } from '../../postgres/catalog/upgrade.sql.js';
import { markerPresent, writeMarker } from '../../postgres/ddl/marker.ddl.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { parseLsn } from '../../shared/lsn.js';
import type { SwitchoverFacts } from '../facts.js';
import { LOCKSTEP_SCHEMA } from '../object-names.js';
import { proveSourceBar } from './fence.step.js';
import { type Direction, publisherOf, subscriberOf } from '../workflow/direction.js';
import { thisMoment } from '../workflow/late-opening.js';
import { describeChange } from '../workflow/local-writes.js';
import type { StepContext, UpgradeStep } from '../workflow/step.js';
import { pollUntil } from '../workflow/poll.js';

/** Proves that everything committed before the fence, and nothing after it, has arrived. */
export const drainStep: UpgradeStep = {
  name: 'drain',
  phase: 'switchover',

  async run(context) {
    await context.progress('draining');
    const switchover = context.facts.switchover!;
    const bar = proveSourceBar(context);
    // Looked at below; a failure of the drain must not leave it unheard.
    bar.catch(() => {});
    const { markerLsn } = await drain(context, {
      direction: 'forward',
      passage: switchover,
      counters: context.facts.errorCounters ?? null,
      workerPid: context.facts.applyWorkerPid ?? null,
      deadlineMs: context.request.deadlines.drainMs,
    });
    await bar;
    const drained = { ...switchover, markerLsn, drainedAt: new Date().toISOString() };
    await context.record({ switchover: drained });
    await refuseForeignChanges(context, 'forward', drained, markerLsn);
    await context.record({ switchover: { ...drained, fenceProof: 'held' } });
    return { markerLsn, fenceProof: 'held' };
  },
};

/** Refuses when the publisher's stream shows, after the fence and up to `upTo`, anything but our marker. */
export async function refuseForeignChanges(
  context: StepContext,
  direction: Direction,
  passage: SwitchoverFacts,
  upTo: string,
): Promise<void> {
  const readers = await context.readers(direction);
  const fence = parseLsn(passage.fenceLsn!);
  const seen = await readers.changesAfter(fence, parseLsn(upTo), context.request.deadlines.drainMs);
  const violations = seen.filter(
    ({ schema, table }) => schema !== LOCKSTEP_SCHEMA || table !== context.names.markerTable,
  );
  if (violations.length === 0) return;
  // Said only once it is known: until the stream was read to the end it is neither held nor violated.
  const violated = { ...passage, fenceProof: 'violated' as const };
  await context.record(direction === 'forward' ? { switchover: violated } : { rollback: violated });
  const where = violations.slice(0, 5).map(describeChange);
  throw new Problem('CONFLICT', `somebody wrote through the fence: ${where.join(', ')}`, {
    hint: 'A superuser or an excluded role wrote after the fence. Stop it, then try once more.',
    extra: { violations: violations.slice(0, 100) },
  });
}

interface Drain {
  direction: Direction;
  /** Of whose `fenceLsn` it holds that every commit of the writers lies below it on the publisher. */
  passage: SwitchoverFacts;
  /** Error counters before the fence; null below 15, where the worker's pid must not change instead. */
  counters: { apply: number; sync: number } | null;
  workerPid: number | null;
  deadlineMs: number;
}

/**
 * Writes the marker on the publisher and waits until the subscriber shows it, has its origin at or past it, has every
 * table ready, and has failed at nothing meanwhile. What cannot be read is not taken for done.
 */
export async function drain(context: StepContext, spec: Drain): Promise<{ markerLsn: string }> {
  const { direction, passage } = spec;
  const publisher = await context.act(publisherOf(direction));
  const subscriber = await context.act(subscriberOf(direction));
  const id = markerId(context, direction, passage);
  await publisher.execute(writeMarker(LOCKSTEP_SCHEMA, context.names.markerTable, id));
  const written = await marker(publisher, context, id);
  // Read after the commit, which was flushed: the marker's commit record ends at or below it.
  const { lsn: markerLsn } = await publisher.row<{ lsn: string }>(FLUSHED_WAL);
  await pollUntil(
    context,
    spec.deadlineMs,
    `the marker at ${markerLsn} to arrive`,
    async () => written !== undefined && (await marker(subscriber, context, id)) === written,
    5,
  );
  await refuseUndrained(context, direction, passage);
  await checkHealthy(subscriber, subscriptionOf(context, direction), spec);
  context.drained.set(direction, thisMoment());
  return { markerLsn };
}

/**
 * Refuses where the subscriber does not show the marker, or has its origin before the fence. Apply commits without
 * waiting for its WAL: a subscriber that crashed after the drain has forgotten what it had shown, and its worker, which
 * would bring it again, is ended when the link is cut.
 */
export async function refuseUndrained(
  context: StepContext,
  direction: Direction,
  passage: SwitchoverFacts,
): Promise<void> {
  const subscriber = await context.act(subscriberOf(direction));
  const [position] = await subscriber.rows<{ lsn: string | null }>(ORIGIN_POSITION, [
    subscriptionOf(context, direction),
  ]);
  if (!position?.lsn) throw new Problem('CONFLICT', 'the origin of the subscription has no position; not drained');
  // The marker was committed after the fence, and the origin moves before what it applied can be seen.
  if (parseLsn(position.lsn) < parseLsn(passage.fenceLsn!)) {
    throw new Problem('CONFLICT', `the origin stands at ${position.lsn}, before the fence at ${passage.fenceLsn!}`);
  }
  if ((await marker(subscriber, context, markerId(context, direction, passage))) === undefined) {
    throw new Problem('CONFLICT', 'the subscriber does not show any more what had been drained; was it restarted?');
  }
}

/** When the marker was written, as the session's server has it. */
async function marker(session: Session, { names }: StepContext, id: string): Promise<string | undefined> {
  const [row] = await session.rows<{ at: string }>(markerPresent(LOCKSTEP_SCHEMA, names.markerTable, id));
  return row?.at;
}

function markerId({ operationId }: StepContext, direction: Direction, { fenceLsn }: SwitchoverFacts): string {
  return `${direction}-${operationId}-${fenceLsn!}`;
}

function subscriptionOf({ names }: StepContext, direction: Direction): string {
  return direction === 'forward' ? names.subscription : names.backSubscription;
}

async function checkHealthy(subscriber: Session, subscription: string, spec: Drain): Promise<void> {
  const [now] = await readSubscriptions(subscriber, subscription);
  if (!now) throw new Problem('CONFLICT', `subscription ${subscription} is gone`);
  const unready = now.tables.filter(({ state }) => state !== 'ready');
  if (unready.length > 0) {
    throw new Problem(
      'CONFLICT',
      `not every table is ready: ${unready.map((t) => `${t.schema}.${t.name}`).join(', ')}`,
    );
  }
  if (spec.counters !== null) {
    if (now.errors === null || now.errors.apply !== spec.counters.apply || now.errors.sync !== spec.counters.sync) {
      throw new Problem('CONFLICT', 'the subscription failed at something since the fence; see the subscriber log');
    }
  } else if (spec.workerPid !== null) {
    const pid = now.workers.find(({ kind }) => kind === 'apply')?.pid;
    if (pid !== spec.workerPid) {
      throw new Problem('CONFLICT', 'the apply worker was restarted since the fence; see the subscriber log');
    }
  }
}
