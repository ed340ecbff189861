import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../../problems/problem.js';
import type { SubscriptionView } from '../../subscriptions/subscription-view.js';

/** A worker that ended is started again after wal_retrieve_retry_interval, 5 s unless changed. */
const BACK_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 250;
/** One that stays for so long is taken to be back: one that fails is seen between two failures, too. */
const STEADY_MS = 1_000;
/** One failure may be of before what was stuck was skipped or mended. */
const FAILS_FOR_GOOD = 2;

type Seen = Pick<
  SubscriptionView,
  'state' | 'reason' | 'enabled' | 'workers' | 'errors' | 'skipLsn' | 'slot' | 'tables'
>;

/**
 * The subscription as it is once changes are applied: after a skip, or a failure that was mended, its worker is away for
 * some seconds. Rejects with PREREQUISITE_FAILED for one that fails, or stands still for another reason; `retryable`
 * where its worker may yet come back.
 */
export async function whenApplying<View extends Seen>(look: () => Promise<View>): Promise<View> {
  const first = await look();
  if (!isStuck(first)) return first;
  if (!mayComeBack(first)) throw refused(first);
  const pids = new Set<number>();
  const started = Date.now();
  /** The worker of the last look, where nothing spoke against it, and since when. */
  let steady: { pid: number | null; since: number } = { pid: null, since: 0 };
  let last = first;
  while (Date.now() - started < BACK_WITHIN_MS) {
    await delay(LOOK_EVERY_MS);
    last = await look();
    if (!last.enabled) return last;
    const pid = workerOf(last)?.pid ?? null;
    if (pid !== null) pids.add(pid);
    if (failures(first, last, pids) >= FAILS_FOR_GOOD && last.skipLsn === null) throw refused(last);
    const standing = isStuck(last) ? null : pid;
    if (standing !== steady.pid) steady = { pid: standing, since: Date.now() };
    if (standing !== null && Date.now() - steady.since >= STEADY_MS) return last;
  }
  throw failures(first, last, pids) > 0 && last.skipLsn === null ? refused(last) : notBack(last);
}

/** What stands still of another table's first copy is in nobody's way. */
function isStuck(seen: Seen): boolean {
  const { state, tables } = seen;
  const copies = workerOf(seen) !== undefined && tables.some(({ copyFailure }) => copyFailure !== null);
  return state === 'failing' || (state === 'stalled' && !copies);
}

/** A worker that runs and is stalled waits for its publisher; a slot that is lost is so for good. */
function mayComeBack(seen: Seen): boolean {
  return (seen.state === 'failing' || workerOf(seen) === undefined) && seen.slot?.walStatus !== 'lost';
}

function workerOf({ workers }: Seen) {
  return workers.find(({ kind }) => kind === 'apply');
}

/** That were counted, or, where nothing counts them (before 15), workers that did not stay. */
function failures(first: Seen, last: Seen, pids: ReadonlySet<number>): number {
  if (first.errors === null || last.errors === null) return pids.size - 1;
  return last.errors.apply - first.errors.apply;
}

function refused({ state, reason }: Seen): Problem {
  const detail = `the table cannot be copied afresh while the subscription is ${state}: ${reason}`;
  const hint =
    'See what it is stuck on (diagnose), mend that or skip it, and copy the table once changes are applied again.';
  return new Problem('PREREQUISITE_FAILED', detail, { hint });
}

function notBack({ state, reason }: Seen): Problem {
  const waited = `its apply worker was not seen to be back within ${BACK_WITHIN_MS / 1000} s`;
  const detail = `the table cannot be copied afresh yet: ${waited}, and the subscription is ${state}: ${reason}`;
  const hint =
    'Ask again once it is streaming: a worker is started anew after wal_retrieve_retry_interval of the subscriber. If it stays so, see what it is stuck on (diagnose) and the server log of the subscriber.';
  return new Problem('PREREQUISITE_FAILED', detail, { hint, retryable: true });
}
