import type { SubscribedTable, Subscription } from '../postgres/catalog/subscriptions.js';

/** What several looks show of the first copy of a table that does not get on. */
export interface CopyTrouble {
  /** False: it may be well. */
  failing: boolean;
  /** No worker was seen at it, nor at another table's, for a minute. */
  standsStill: boolean;
  reason: string;
}

type Trouble = Omit<CopyTrouble, 'standsStill'>;

/** Of a table whose copy was begun and is not over. */
interface CopyMemory {
  state: SubscribedTable['state'];
  /** Which worker was at it at the last look, and since when it was seen; null: none was. */
  worker: { pid: number; since: number } | null;
  /** Since when it is known that its copy was interrupted, or not gone on with; null: that was not seen. */
  loneSince: number | null;
  /** How often a worker was seen at it, and then none or another. */
  ends: number;
  /** Counted by looks that did not find the same worker at it as the one before. */
  errors: { count: number; since: number; last: number } | null;
}

export type CopyMemories = ReadonlyMap<string, CopyMemory>;

/** Begun in a transaction of its own: a table stays so when its worker ends, and the next begins anew, or goes on. */
const BEGUN: ReadonlySet<SubscribedTable['state']> = new Set(['copying', 'copied']);
/** A worker that failed is followed by another within seconds. */
const START_WITHIN_MS = 10_000;
/** One that has run for as long is not taken for a failing one for what its predecessors did. */
const PROVEN_MS = 60_000;

/** @param grown table synchronization errors counted since the last look; null: not known @param since that look */
export function rememberCopies(
  before: CopyMemories,
  { enabled, tables, workers }: Subscription,
  grown: number | null,
  { since, now }: { since: number; now: number },
): CopyMemories {
  const memories = new Map<string, CopyMemory>();
  if (!enabled) return memories;
  // It starts those that copy: without it nobody does, which is no failure of a table's.
  const applies = workers.some(({ kind }) => kind === 'apply');
  for (const table of tables) {
    if (!BEGUN.has(table.state)) continue;
    const key = keyOf(table);
    const was = before.get(key)?.state === table.state ? before.get(key)! : null;
    if (!applies) {
      if (was !== null) memories.set(key, { ...was, worker: null });
      continue;
    }
    const pid = workerAt(table, workers);
    const ended = was !== null && was.worker !== null && was.worker.pid !== pid;
    const same = was !== null && (was.worker?.pid ?? null) === pid;
    const worker = pid === null ? null : same ? was.worker : { pid, since: now };
    // Of a worker that was there all the time they are not; of one that is new at the first look nothing is known.
    const theirs = grown !== null && grown > 0 && (pid === null || (was !== null && !same));
    const count = (was?.errors?.count ?? 0) + (theirs ? grown : 0);
    memories.set(key, {
      state: table.state,
      worker,
      loneSince: was?.loneSince ?? (pid === null || ended ? now : null),
      ends: (was?.ends ?? 0) + (ended ? 1 : 0),
      errors: theirs ? { count, since: was?.errors?.since ?? since, last: now } : (was?.errors ?? null),
    });
  }
  return memories;
}

/** By `keyOf` of the table; nothing of those that speak for nothing. */
export function copyTroubles(
  memories: CopyMemories,
  { errors }: Subscription,
  now: number,
): ReadonlyMap<string, CopyTrouble> {
  const busy = [...memories.values()].filter(({ worker }) => worker !== null).length;
  const troubles = new Map<string, CopyTrouble>();
  for (const [key, memory] of memories) {
    const trouble = errors === null ? uncounted(memory, busy, now) : ofCounts(memory, errors.sync, now);
    const { loneSince, worker } = memory;
    const standsStill = busy === 0 && worker === null && loneSince !== null && now - loneSince >= PROVEN_MS;
    if (trouble !== null) troubles.set(key, { ...trouble, standsStill });
  }
  return troubles;
}

export function keyOf({ schema, name }: { schema: string; name: string }): string {
  return JSON.stringify([schema, name]);
}

function ofCounts({ worker, errors, loneSince }: CopyMemory, soFar: number, now: number): Trouble | null {
  if (errors !== null) {
    const { count, since, last } = errors;
    const counted = `${count} table synchronization ${count === 1 ? 'error was' : 'errors were'} counted within ${inSeconds(last - since)}`;
    // One that fails is tried again within seconds, and counted again; one that waits for its turn is not.
    const failing = now - last < PROVEN_MS;
    return { failing, reason: `${counted} ${failing ? 'and it is not over' : 'before'}; ${attended(worker, now)}` };
  }
  if (worker !== null || loneSince === null) return null;
  const told = soFar > 0 ? `; table synchronization errors counted so far: ${soFar}` : '';
  return { failing: false, reason: `${UNATTENDED}${told}` };
}

/** 14 and older count no errors: what is left is to see who is at it. */
function uncounted({ worker, loneSince, ends }: CopyMemory, busy: number, now: number): Trouble | null {
  if (loneSince === null) return null;
  const unproven = worker === null || now - worker.since < PROVEN_MS;
  // It may wait for those of other tables to be done.
  const waits = busy > (worker === null ? 0 : 1);
  const failing = unproven && (ends >= 2 || (now - loneSince >= START_WITHIN_MS && !waits));
  if (!failing && worker !== null) return null;
  const stands = failing
    ? `it was begun and is not over after ${inSeconds(now - loneSince)}; ${attended(worker, now)}`
    : UNATTENDED;
  return { failing, reason: `${stands}; this version counts no errors, see the server log of the subscriber` };
}

const UNATTENDED = 'it was begun and no worker is seen at it: it failed, was interrupted, or waits for a worker';

function attended(worker: CopyMemory['worker'], now: number): string {
  if (worker === null) return 'no worker is at it just now';
  return `worker ${worker.pid} is at it, first seen ${inSeconds(now - worker.since)} ago`;
}

function workerAt({ schema, name }: SubscribedTable, workers: Subscription['workers']): number | null {
  return workers.find(({ table }) => table?.schema === schema && table.name === name)?.pid ?? null;
}

function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}
