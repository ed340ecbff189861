import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import type { Side } from './direction.js';

const LATE_MS = 5_000;
/** A server that has not answered for this long is lost, not restarting. */
const LOST_MS = 60_000;

/** By performance.now() and Date.now(). */
export interface Moment {
  monotonic: number;
  wall: number;
}

export function thisMoment(): Moment {
  return { monotonic: performance.now(), wall: Date.now() };
}

/** Whether what was shown at that moment may hold no more. Undefined: an earlier process showed it, who knows when. */
export function isLate(shown: Moment | undefined, now: Moment = thisMoment()): boolean {
  if (shown === undefined) return true;
  // By both clocks: one may be set, the other stands still while the host is suspended.
  const wall = now.wall - shown.wall;
  return wall < 0 || wall > LATE_MS || now.monotonic - shown.monotonic > LATE_MS;
}

/** Of a step's context, what is needed here. */
interface Asking {
  act(side: Side): Promise<Session>;
}

/** Since when this process has not reached the source, attempt after attempt. */
const awaySince = new WeakMap<Asking, number>();

/**
 * Whether the source, of which something failed, is lost. Decided by the source itself: a stream may be slow, or closed,
 * while the server is there and can be asked again.
 */
export async function isSourceLost(context: Asking, failure: Problem, now = thisMoment().monotonic): Promise<boolean> {
  if (!isAway(failure) || (await answers(context))) {
    awaySince.delete(context);
    return false;
  }
  const since = awaySince.get(context) ?? now;
  awaySince.set(context, since);
  return now - since > LOST_MS;
}

async function answers(context: Asking): Promise<boolean> {
  try {
    await (await context.act('source')).rows('select 1');
    return true;
  } catch (error) {
    if (error instanceof Problem && isAway(error)) return false;
    throw error;
  }
}

function isAway({ code, options }: Problem): boolean {
  return code === 'SERVER_UNREACHABLE' || (code === 'SERVER_TIMEOUT' && options.sqlstate === undefined);
}
