import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../../problems/problem.js';

/**
 * Looks until `done` answers true; less often the longer it takes, so that it is noticed at most a twentieth late.
 * SERVER_TIMEOUT past the deadline; ends at once when the signal aborts.
 */
export async function pollUntil(
  context: { signal: AbortSignal },
  deadlineMs: number,
  what: string,
  done: () => Promise<boolean>,
  everyMs = 20,
): Promise<void> {
  const begin = Date.now();
  const deadline = begin + deadlineMs;
  while (!(await done())) {
    context.signal.throwIfAborted();
    if (Date.now() > deadline) throw new Problem('SERVER_TIMEOUT', `waited ${deadlineMs} ms for ${what}`);
    const pauseMs = Math.max(everyMs, Math.min(200, (Date.now() - begin) / 20));
    await delay(pauseMs, undefined, { signal: context.signal });
  }
}
