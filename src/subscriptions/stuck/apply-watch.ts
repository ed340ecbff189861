import { setTimeout as delay } from 'node:timers/promises';
import { applyWaitsSql } from '../../postgres/catalog/apply.sql.js';
import { readSubscriptions } from '../../postgres/catalog/subscriptions.js';
import type { Session } from '../../postgres/session.js';
import { type Lsn, parseLsn } from '../../shared/lsn.js';

const LOOK_EVERY_MS = 100;
/** A worker that fails is started again after wal_retrieve_retry_interval, 5 s unless changed. */
const RESTART_WITHIN_MS = 6_000;
/** For one worker that stays: what it is at is not a failure. */
const STEADY_MS = 1_000;

/** One look at the subscriber's end. Null: not known. */
export interface ApplyLook {
  at: Date;
  enabled: boolean;
  disablesOnError: boolean;
  /** The publisher's commit end LSN of the last transaction that changed something here. */
  remoteLsn: Lsn | null;
  workerPid: number | null;
  /** Sessions the worker waits for a lock of. */
  waitsFor: number[];
  errors: { apply: number; sync: number } | null;
  conflicts: Record<string, number> | null;
  /** Tables whose initial copy is not over, and whether any worker is at one. */
  unready: number;
  synchronizing: boolean;
}

/**
 * Looks until it is plain whether the subscription fails, moves or waits; at most 6 s. Answers the first look and the
 * last one, and every apply worker that was seen.
 */
export async function watchApply(
  session: Session,
  name: string,
  originExpression: string | null,
): Promise<{ first: ApplyLook; last: ApplyLook; workers: number[] } | null> {
  const started = Date.now();
  const workers = new Set<number>();
  let first: ApplyLook | null = null;
  for (;;) {
    const last = await look(session, name, originExpression);
    if (last === null) return null;
    first ??= last;
    if (last.workerPid !== null) workers.add(last.workerPid);
    const steady = workers.size === 1 && last.workerPid !== null && first.workerPid === last.workerPid;
    const over = Date.now() - started > (steady ? STEADY_MS : RESTART_WITHIN_MS);
    const plain = !last.enabled || failedBetween(first, last) || movedBetween(first, last) || workers.size > 1;
    if (over || plain) return { first, last, workers: [...workers] };
    await delay(LOOK_EVERY_MS);
  }
}

export function failedBetween(first: ApplyLook, last: ApplyLook): boolean {
  return first.errors !== null && last.errors !== null && last.errors.apply > first.errors.apply;
}

export function movedBetween(first: ApplyLook, last: ApplyLook): boolean {
  return first.remoteLsn !== null && last.remoteLsn !== null && last.remoteLsn > first.remoteLsn;
}

/** Kinds of conflicts counted between the two looks. */
export function conflictsBetween(first: ApplyLook, last: ApplyLook): string[] {
  return Object.keys(last.conflicts ?? {}).filter((kind) => last.conflicts![kind]! > (first.conflicts?.[kind] ?? 0));
}

async function look(session: Session, name: string, originExpression: string | null): Promise<ApplyLook | null> {
  const [subscription] = await readSubscriptions(session, name);
  if (!subscription) return null;
  const { enabled, settings, workers, errors, conflicts, tables } = subscription;
  const worker = workers.find(({ kind }) => kind === 'apply') ?? null;
  const { remote, waits } = await session.row<{ remote: string | null; waits: number[] }>(
    applyWaitsSql(originExpression),
    [worker?.pid ?? null],
  );
  const unready = tables.filter(({ state }) => state === 'initializing' || state === 'copying' || state === 'copied');
  return {
    at: new Date(),
    enabled,
    disablesOnError: settings.disableOnError === true,
    remoteLsn: remote === null ? null : parseLsn(remote),
    workerPid: worker?.pid ?? null,
    waitsFor: waits,
    errors,
    conflicts,
    unready: unready.length,
    synchronizing: workers.some(({ kind }) => kind === 'table synchronization'),
  };
}
