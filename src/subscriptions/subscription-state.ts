import type { SubscriptionRoom } from '../postgres/catalog/subscription-room.js';
import type { Subscription } from '../postgres/catalog/subscriptions.js';
import type { ApplyEvidence, Failures } from './apply-observations.js';
import { keyOf } from './copy-observations.js';
import { isUncopied } from './copy-progress.js';
import { exceededBy } from './subscriber-room.js';

/**
 * `failing`: errors are being counted and nothing is gained; `stalled`: enabled, but no apply worker runs, or nothing
 * reaches the one that does; `catching-up`: tables are brought in step, or the publisher still sends older WAL.
 */
export type SubscriptionState =
  'disabled' | 'failing' | 'stalled' | 'initializing' | 'copying' | 'catching-up' | 'streaming';

export interface StateVerdict {
  state: SubscriptionState;
  /** Why, where the state alone does not say it. */
  reason: string | null;
}

/** What the publisher's end shows of its being served. */
export interface ServingEnd {
  /** What keeps the publisher from serving it: it did not answer, its slot is missing or lost, its WAL went back; null: nothing known. */
  obstacle: string | null;
  /** Its WAL ends before what was applied: it skips what it writes up to there, and tells the subscriber nothing of it. */
  behind: boolean;
  /** It did not answer. */
  away: boolean;
  /** `state` of the walsender (pg_stat_replication); null: none, or not to be seen. */
  senderState: string | null;
}

/** A worker is started again within seconds; before a first one it may take as long. */
const START_WITHIN_MS = 10_000;
/** Twice as often a walsender with nothing to send says so, at its default timeout. */
const STILL_MS = 60_000;

const MOST_NAMED = 5;

/** Whether it lacks a worker that it wants, be it for want of room. */
export function lacksWorker({ enabled, tables, workers }: Subscription): boolean {
  const runs = (wanted: Subscription['workers'][number]['kind']) => workers.some(({ kind }) => kind === wanted);
  return enabled && (!runs('apply') || (tables.some(isUncopied) && !runs('table synchronization')));
}

/**
 * The state of the whole subscription, from what several looks at both ends show.
 * @param room of the subscriber for all its subscriptions; null: not looked at, or not known
 */
export function stateOf(
  subscription: Subscription,
  evidence: ApplyEvidence,
  end: ServingEnd,
  room: SubscriptionRoom | null = null,
): StateVerdict {
  const { enabled, tables, workers } = subscription;
  if (!enabled) return { state: 'disabled', reason: disabledReason(subscription, end) };
  const worker = workers.find(({ kind }) => kind === 'apply');
  // A connection that is lost counts an error too, but nothing is wrong with what was to be applied.
  if (evidence.apply !== null && !(end.away && worker === undefined)) {
    const now = worker ? 'its worker was started anew each time' : 'no apply worker is running';
    const apart = end.behind ? because(end) : '';
    return failing(`${counted(evidence.apply, 'apply')} and nothing was applied since; ${now}${apart}`);
  }
  if (worker === undefined) return withoutWorker(subscription, evidence, end, exceeded(room));
  if (end.behind) return { state: 'stalled', reason: end.obstacle };
  const unready = tables.filter(({ state }) => state !== 'ready');
  const troubled = unready.flatMap((table) => {
    const trouble = evidence.copies.get(keyOf(table));
    return trouble ? [{ ...trouble, text: `${nameOf(table)}: ${trouble.reason}` }] : [];
  });
  const waits = [waiting(unready.length), ...listed(troubled.map(({ text }) => text))].join('; ');
  const copiesFail = troubled.flatMap(({ failing: fails, text }) => (fails ? [text] : []));
  if (copiesFail.length > 0) {
    return failing(`first copies fail: ${listed(copiesFail).join('; ')}; ${waiting(unready.length)}`);
  }
  const uncopied = tables.filter(isUncopied);
  if (evidence.sync !== null && uncopied.length > 0) {
    const names = listed(uncopied.map(nameOf)).join(', ');
    return failing(`${counted(evidence.sync, 'table synchronization')}; ${waiting(uncopied.length)}: ${names}`);
  }
  if (evidence.still !== null && evidence.still.ms >= STILL_MS && evidence.still.walBytes > 0) {
    const { ms, walBytes } = evidence.still;
    const blocked = `its worker ${worker.pid} has received and applied nothing for ${seconds(ms)}`;
    return {
      state: 'stalled',
      reason: `${blocked}, while the publisher wrote ${walBytes} bytes of WAL${because(end)}`,
    };
  }
  if (unready.some(({ state }) => state === 'copying')) {
    // A worker that cannot start, for want of room, is counted by no version.
    const standsStill = troubled.some((trouble) => trouble.standsStill);
    return standsStill
      ? { state: 'stalled', reason: waits + exceeded(room, true) }
      : { state: 'copying', reason: waits };
  }
  // A connection that is refused, or a worker that ends before it applies anything, is counted by no version.
  if (end.senderState === null && evidence.deafMs !== null && evidence.deafMs >= STILL_MS) {
    const nothing = `no apply worker seen within ${seconds(evidence.deafMs)} had received anything`;
    return { state: 'stalled', reason: `${nothing}${because(end)}; see the server log of the subscriber` };
  }
  if (unready.some(({ state }) => state === 'initializing')) {
    return { state: 'initializing', reason: waits + (lacksWorker(subscription) ? exceeded(room, true) : '') };
  }
  if (unready.length > 0) return { state: 'catching-up', reason: waits };
  const before = beforehand(subscription, evidence);
  if (worker.receivedLsn === null) {
    const nothing = 'its worker has received nothing yet';
    return { state: end.obstacle === null ? 'catching-up' : 'stalled', reason: `${nothing}${because(end)}` };
  }
  if (end.senderState === 'catchup') {
    const sending = 'the publisher is still sending what was written before';
    return { state: 'catching-up', reason: before === null ? sending : `${sending}; ${before}` };
  }
  // The worker lives and had received; whether the publisher has more for it, nobody here can tell.
  return { state: 'streaming', reason: end.obstacle ?? before };
}

function withoutWorker(
  { errors, originLsn, settings, tables }: Subscription,
  { absentMs, deafMs, watchedMs, apply }: ApplyEvidence,
  end: ServingEnd,
  shortage: string,
): StateVerdict {
  const young = (deafMs ?? 0) < START_WITHIN_MS;
  // A table whose copy has ended shows that it ran once, before anything was applied.
  const ran = originLsn !== null || tables.some(({ lsn }) => lsn !== null);
  if (young && !ran && end.obstacle === null && (errors === null || errors.apply === 0)) {
    return { state: 'initializing', reason: `its apply worker is not running yet${shortage}` };
  }
  const since = absentMs === null || absentMs === 0 ? '' : ` (for ${seconds(absentMs)}, at least)`;
  const deaf = (deafMs ?? 0) > (absentMs ?? 0) ? ', and none that was seen before had received anything' : '';
  const slotless = settings.slotName === null ? ' (it has no slot)' : '';
  const counts =
    errors === null
      ? '; this version counts no errors, see the server log of the subscriber'
      : errors.apply > 0
        ? `; ${apply ? counted(apply, 'apply') : toldBefore(errors.apply, watchedMs)}`
        : '; no apply error was counted';
  return {
    state: 'stalled',
    reason: `no apply worker is running${since}${deaf}${slotless}${because(end)}${shortage}${counts}`,
  };
}

function exceeded(room: SubscriptionRoom | null, copies = false): string {
  const shortage = room === null ? null : exceededBy(room, { copies });
  return shortage === null ? '' : `; ${shortage}`;
}

/** Errors that may be of now: nothing that was seen speaks against it. */
function beforehand({ errors }: Subscription, { doubtful, watchedMs }: ApplyEvidence): string | null {
  if (!doubtful || errors === null) return null;
  const since = watchedMs === 0 ? '' : `; nothing was applied within ${seconds(watchedMs)}`;
  return toldBefore(errors.apply, watchedMs) + since;
}

function toldBefore(count: number, watchedMs: number): string {
  const lately = watchedMs === 0 ? 'whether lately is not known at the first look' : 'none seen since it last went on';
  return `apply errors counted so far: ${count}, ${lately}`;
}

function disabledReason({ errors, settings }: Subscription, end: ServingEnd): string | null {
  const failed = settings.disableOnError && errors !== null && errors.apply + errors.sync > 0;
  const reasons = [
    ...(failed ? ['errors were counted and disable_on_error is on; see the server log of the subscriber'] : []),
    ...(end.behind && end.obstacle !== null ? [end.obstacle] : []),
  ];
  return reasons.length > 0 ? reasons.join('; ') : null;
}

function failing(reason: string): StateVerdict {
  return { state: 'failing', reason };
}

function counted({ count, withinMs }: Failures, what: string): string {
  const were = count === 1 ? `error was` : `errors were`;
  return `${count} ${what} ${were} counted within ${seconds(withinMs)}`;
}

function because({ obstacle }: ServingEnd): string {
  return obstacle === null ? '' : `; ${obstacle}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

function nameOf({ schema, name }: { schema: string; name: string }): string {
  return `${schema}.${name}`;
}

function listed(texts: readonly string[]): string[] {
  const more = texts.length - MOST_NAMED;
  return [...texts.slice(0, MOST_NAMED), ...(more > 0 ? [`and ${more} more`] : [])];
}

function waiting(tables: number): string {
  return `${tables} ${tables === 1 ? 'table is' : 'tables are'} not ready yet`;
}
