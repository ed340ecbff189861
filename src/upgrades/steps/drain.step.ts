import { readSubscriptions } from '../../postgres/catalog/subscriptions.js';
import { FLUSHED_WAL, ORIGIN_POSITION } from '../../postgres/catalog/upgrade.sql.js';
import { markerPresent, writeMarker } from '../../postgres/ddl/marker.ddl.js';
import { Problem } from '../../problems/problem.js';
import { parseLsn } from '../../shared/lsn.js';
import type { SwitchoverFacts } from '../facts.js';
import { LOCKSTEP_SCHEMA } from '../object-names.js';
import { proveSourceBar } from './fence.step.js';
import type { Direction } from '../workflow/direction.js';
import { describeChange } from '../workflow/local-writes.js';
import type { Side, StepContext, UpgradeStep } from '../workflow/step.js';
import { pollUntil } from '../workflow/poll.js';

/** Proves that everything committed before the fence, and nothing after it, has arrived. */
export const drainStep: UpgradeStep = {
  name: 'drain',
  phase: 'switchover',

  async run(context) {
    await context.progress('draining');
    const switchover = context.facts.switchover!;
    const markerId = `forward-${context.operationId}-${switchover.fenceLsn!}`;
    const bar = proveSourceBar(context);
    // Looked at below; a failure of the drain must not leave it unheard.
    bar.catch(() => {});
    const { markerLsn } = await drain(context, {
      publisher: 'source',
      subscription: context.names.subscription,
      markerId,
      counters: context.facts.errorCounters ?? null,
      workerPid: context.facts.applyWorkerPid ?? null,
      fenceLsn: switchover.fenceLsn!,
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

export interface Drain {
  publisher: Side;
  subscription: string;
  markerId: string;
  /** Error counters before the fence; null below 15, where the worker's pid must not change instead. */
  counters: { apply: number; sync: number } | null;
  workerPid: number | null;
  /** Every commit of the writers lies below it on the publisher. */
  fenceLsn: string;
  deadlineMs: number;
}

/**
 * Writes the marker on the publisher and waits until the subscriber shows it, has its origin at or past it, has every
 * table ready, and has failed at nothing meanwhile. What cannot be read is not taken for done.
 */
export async function drain(context: StepContext, spec: Drain): Promise<{ markerLsn: string }> {
  const publisher = await context.act(spec.publisher);
  const subscriber = await context.act(spec.publisher === 'source' ? 'target' : 'source');
  await publisher.execute(writeMarker(LOCKSTEP_SCHEMA, context.names.markerTable, spec.markerId));
  const written = await publisher.row<{ at: string }>(
    markerPresent(LOCKSTEP_SCHEMA, context.names.markerTable, spec.markerId),
  );
  // Read after the commit, which was flushed: the marker's commit record ends at or below it.
  const { lsn: markerLsn } = await publisher.row<{ lsn: string }>(FLUSHED_WAL);
  await pollUntil(
    context,
    spec.deadlineMs,
    `the marker at ${markerLsn} to arrive`,
    async () => {
      const [arrived] = await subscriber.rows<{ at: string }>(
        markerPresent(LOCKSTEP_SCHEMA, context.names.markerTable, spec.markerId),
      );
      return arrived?.at === written.at;
    },
    5,
  );
  const [position] = await subscriber.rows<{ lsn: string | null }>(ORIGIN_POSITION, [spec.subscription]);
  if (!position?.lsn) throw new Problem('CONFLICT', 'the origin of the subscription has no position; not drained');
  // The marker was committed after the fence, and the origin moves before what it applied can be seen.
  if (parseLsn(position.lsn) < parseLsn(spec.fenceLsn)) {
    throw new Problem('CONFLICT', `the origin stands at ${position.lsn}, before the fence at ${spec.fenceLsn}`);
  }
  await checkHealthy(subscriber, spec);
  return { markerLsn };
}

async function checkHealthy(subscriber: Awaited<ReturnType<StepContext['act']>>, spec: Drain): Promise<void> {
  const [now] = await readSubscriptions(subscriber, spec.subscription);
  if (!now) throw new Problem('CONFLICT', `subscription ${spec.subscription} is gone`);
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
