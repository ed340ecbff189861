import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../problems/problem.js';

/** Rejects with SERVER_TIMEOUT when `work` takes longer: one server that is silent must not hold up what is asked of others. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = new AbortController();
  work.catch(() => {});
  try {
    const timeout = delay(ms, undefined, { signal: late.signal }).then(() => {
      throw new Problem('SERVER_TIMEOUT', `no answer within ${ms} ms`);
    });
    timeout.catch(() => {});
    return await Promise.race([work, timeout]);
  } finally {
    late.abort();
  }
}
