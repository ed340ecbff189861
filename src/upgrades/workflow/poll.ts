import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../../problems/problem.js';

/** Looks until `done` answers true. SERVER_TIMEOUT past the deadline; ends at once when the signal aborts. */
export async function pollUntil(
  context: { signal: AbortSignal },
  deadlineMs: number,
  what: string,
  done: () => Promise<boolean>,
  everyMs = 20,
): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  while (!(await done())) {
    context.signal.throwIfAborted();
    if (Date.now() > deadline) throw new Problem('SERVER_TIMEOUT', `waited ${deadlineMs} ms for ${what}`);
    await delay(everyMs, undefined, { signal: context.signal });
  }
}
