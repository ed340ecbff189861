import { type ApplyLook, failedBetween, movedBetween } from './apply-watch.js';

/**
 * `failing`: an apply or copy error was seen or counted and nothing goes on; `blocked`: its worker waits for a lock;
 * `applying`: it goes on, however slowly; `idle`: nothing is left to apply; `stalled`: enabled, without a worker, and
 * nothing says why; `disabled`: by somebody.
 */
export type ApplyVerdict = 'failing' | 'blocked' | 'applying' | 'idle' | 'stalled' | 'disabled';

/** `unapplied`: whether the publisher has something for the subscriber that it has not applied; null: not known. */
export function judgeApply(
  { first, last, workers }: { first: ApplyLook; last: ApplyLook; workers: number[] },
  unapplied: boolean | null,
): { verdict: ApplyVerdict; reason: string } {
  const seconds = ((last.at.getTime() - first.at.getTime()) / 1000).toFixed(1);
  if (!last.enabled) {
    const counted = last.errors !== null && last.errors.apply + last.errors.sync > 0;
    if (last.disablesOnError && counted) {
      return {
        verdict: 'failing',
        reason:
          'it is disabled, disable_on_error is on and errors were counted: it disabled itself, unless somebody did',
      };
    }
    return { verdict: 'disabled', reason: 'it is disabled' };
  }
  if (failedBetween(first, last)) {
    const count = last.errors!.apply - first.errors!.apply;
    return { verdict: 'failing', reason: `${times(count, 'apply error')} counted within ${seconds} s` };
  }
  if (movedBetween(first, last)) return { verdict: 'applying', reason: `its position moved within ${seconds} s` };
  if (workers.length > 1) {
    return {
      verdict: 'failing',
      reason: `its apply worker was started anew ${workers.length === 2 ? 'once' : `${workers.length - 1} times`} in ${seconds} s`,
    };
  }
  if (last.workerPid === null || last.workerPid !== first.workerPid) return withoutWorker(last, workers, seconds);
  if (last.waitsFor.length > 0) {
    const holders = last.waitsFor.join(', ');
    return { verdict: 'blocked', reason: `its worker ${last.workerPid} waits for a lock held by pid ${holders}` };
  }
  if (last.unready > 0 && !last.synchronizing && last.errors !== null && last.errors.sync > 0) {
    return {
      verdict: 'failing',
      reason: `${times(last.errors.sync, 'table synchronization error')} counted and ${last.unready} tables wait for a worker`,
    };
  }
  if (unapplied === false) return { verdict: 'idle', reason: 'nothing is left to apply' };
  const steady = `its worker ${last.workerPid} ran throughout, and no error was counted; its position did not move within ${seconds} s`;
  return {
    verdict: 'applying',
    reason: unapplied === null ? `${steady}; whether anything is left to apply is not known` : steady,
  };
}

function withoutWorker(last: ApplyLook, workers: number[], seconds: string): { verdict: ApplyVerdict; reason: string } {
  const [seen] = workers;
  const missing =
    seen === undefined ? `no apply worker ran within ${seconds} s` : `its apply worker ${seen} did not stay`;
  if (last.errors === null) {
    const verdict = seen === undefined ? 'stalled' : 'failing';
    return { verdict, reason: `${missing}; this version counts no errors, see the subscriber's log` };
  }
  if (last.errors.apply > 0)
    return { verdict: 'failing', reason: `${missing}, and ${times(last.errors.apply, 'apply error')} counted` };
  return {
    verdict: 'stalled',
    reason: `${missing}, and no error was counted; see max_logical_replication_workers and the log`,
  };
}

function times(count: number, noun: string): string {
  return count === 1 ? `1 ${noun} was` : `${count} ${noun}s were`;
}
