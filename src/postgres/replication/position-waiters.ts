import { Problem } from '../../problems/problem.js';
import { formatLsn, type Lsn } from '../../shared/lsn.js';

interface Waiter {
  lsn: Lsn;
  settle: (problem: Problem | null) => void;
}

/** Those who wait until a stream's position reaches an LSN. */
export class PositionWaiters {
  private readonly waiters = new Set<Waiter>();

  constructor(private readonly what: string) {}

  wait(lsn: Lsn, position: () => Lsn, options: { timeoutMs: number; signal?: AbortSignal }): Promise<void> {
    if (position() >= lsn) return Promise.resolve();
    return new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        waiter.settle(new Problem('SERVER_TIMEOUT', `waiting for ${this.what} was cancelled`));
      };
      const timer = setTimeout(() => {
        const detail = `${this.what} is at ${formatLsn(position())} and did not reach ${formatLsn(lsn)} in ${options.timeoutMs} ms`;
        waiter.settle(new Problem('SERVER_TIMEOUT', detail));
      }, options.timeoutMs);
      const waiter: Waiter = {
        lsn,
        settle: (problem) => {
          clearTimeout(timer);
          options.signal?.removeEventListener('abort', onAbort);
          this.waiters.delete(waiter);
          if (problem) reject(problem);
          else resolve();
        },
      };
      this.waiters.add(waiter);
      if (options.signal?.aborted) onAbort();
      else options.signal?.addEventListener('abort', onAbort);
    });
  }

  reached(position: Lsn): void {
    for (const waiter of this.waiters) if (position >= waiter.lsn) waiter.settle(null);
  }

  rejectAll(problem: Problem): void {
    for (const waiter of this.waiters) waiter.settle(problem);
  }
}
