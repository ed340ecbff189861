import type { Subscription } from '../postgres/catalog/subscriptions.js';
import type { Lsn } from '../shared/lsn.js';
import { type CopyMemories, type CopyTrouble, copyTroubles, rememberCopies } from './copy-observations.js';
import { isUncopied } from './copy-progress.js';

/** Errors counted from one look to the next, and nothing gained since. */
export interface Failures {
  count: number;
  /** How long ago the look was that did not count them yet. */
  withinMs: number;
}

/** What several looks at a subscription show that a single one cannot. */
export interface ApplyEvidence {
  /** How long it has been looked at; 0 at the first look, which shows no change. */
  watchedMs: number;
  /** How long no look has seen an apply worker; 0 at the first such look; null: there is one, or none is wanted. */
  absentMs: number | null;
  /** How long no look has seen an apply worker that had received anything; as `absentMs` otherwise. */
  deafMs: number | null;
  /** Apply errors that were counted while the position stood. */
  apply: Failures | null;
  /** Apply errors were counted before the first look, and nothing was seen to be applied since that was not then. */
  doubtful: boolean;
  /** Copy errors that were counted while no copy was finished. */
  sync: Failures | null;
  /** Of tables whose first copy does not get on, by their key. */
  copies: ReadonlyMap<string, CopyTrouble>;
  /** How long nothing was received nor applied, and the WAL the publisher has written meanwhile; null: not known. */
  still: { ms: number; walBytes: number } | null;
}

export interface ApplyLook {
  subscription: Subscription;
  /** Up to where the publisher's changes are applied; null: not known. */
  position: Lsn | null;
  /** Where the publisher's WAL ends; null: not known. */
  walEnd: Lsn | null;
}

/** `mark` grows with whatever is gained; null: that is not known. */
interface Rise {
  since: number;
  last: number;
  count: number;
  mark: bigint | null;
}

interface Memory {
  first: number;
  at: number;
  errors: Subscription['errors'];
  /** What was gained at the last look: the origin's position, and tables copied. */
  position: bigint | null;
  copied: bigint;
  doubtful: boolean;
  absentSince: number | null;
  deafSince: number | null;
  apply: Rise | null;
  sync: Rise | null;
  copies: CopyMemories;
  still: { since: number; sign: string; walEnd: Lsn } | null;
}

/**
 * Counters that have not risen for this long tell of the past: a worker that fails is started anew within seconds. Not so
 * where it has something left to apply and has not: a large transaction takes long before it fails again.
 */
const RISE_COUNTS_MS = 60_000;
const FORGET_AFTER_MS = 3_600_000;
const MOST_REMEMBERED = 10_000;

/**
 * Remembers the last look at each subscription: counters say how often something failed, not whether it still does. In
 * memory only, so that the first look of an instance has no evidence of change, and says so.
 */
export class ApplyObservations {
  private readonly memories = new Map<string, Memory>();

  /** @param key of the subscription; one that is created anew has another */
  observe(key: string, look: ApplyLook, now = Date.now()): ApplyEvidence {
    const known = this.memories.get(key);
    const before = known !== undefined && now - known.at < FORGET_AFTER_MS ? known : null;
    const memory = remember(before, look, now);
    // The latest last, so that those not looked at for longest are forgotten first.
    this.memories.delete(key);
    this.memories.set(key, memory);
    if (this.memories.size > MOST_REMEMBERED) this.memories.delete(this.memories.keys().next().value!);
    return {
      watchedMs: now - memory.first,
      absentMs: memory.absentSince === null ? null : now - memory.absentSince,
      deafMs: memory.deafSince === null ? null : now - memory.deafSince,
      apply: failures(memory.apply, now),
      doubtful: memory.doubtful,
      sync: failures(memory.sync, now),
      copies: copyTroubles(memory.copies, look.subscription, now),
      still:
        memory.still === null
          ? null
          : { ms: now - memory.still.since, walBytes: Number(look.walEnd! - memory.still.walEnd) },
    };
  }
}

function remember(before: Memory | null, { subscription, position, walEnd }: ApplyLook, now: number): Memory {
  const { enabled, errors, tables, workers } = subscription;
  const worker = workers.find(({ kind }) => kind === 'apply');
  const absent = enabled && worker === undefined;
  const deaf = enabled && (worker?.receivedLsn ?? null) === null;
  const was = before?.errors ?? null;
  const copied = BigInt(tables.length - tables.filter(isUncopied).length);
  const sign = JSON.stringify([worker?.lastMessageAt ?? null, position?.toString() ?? null]);
  const stands = before?.still?.sign === sign;
  const times = { since: before?.at ?? now, now };
  const gained = isMore(before?.position, position);
  const unsynced = grown(was?.sync, errors?.sync);
  // Whether anything is left to apply; null: not known.
  const left = position === null || walEnd === null ? null : walEnd > position;
  const doubtful = (errors?.apply ?? 0) > 0 && left !== false && !gained && (before?.doubtful ?? true);
  return {
    first: before?.first ?? now,
    at: now,
    errors,
    absentSince: absent ? (before?.absentSince ?? now) : null,
    deafSince: deaf ? (before?.deafSince ?? now) : null,
    position,
    copied,
    doubtful,
    // What was gained since the last look may have come after the error.
    apply: gained
      ? null
      : rise(before?.apply ?? null, grown(was?.apply, errors?.apply), { mark: position, left: left === true }, times),
    sync: isMore(before?.copied, copied)
      ? null
      : rise(before?.sync ?? null, unsynced, { mark: copied, left: false }, times),
    copies: rememberCopies(before?.copies ?? new Map(), subscription, unsynced, times),
    still: worker === undefined || walEnd === null ? null : stands ? before.still : { since: now, sign, walEnd },
  };
}

function isMore(before: bigint | null | undefined, now: bigint | null): boolean {
  return before !== null && before !== undefined && now !== null && now > before;
}

/** Null: counted for the first time, or from 0 again. */
function grown(before: number | undefined, after: number | undefined): number | null {
  return before === undefined || after === undefined || after < before ? null : after - before;
}

/** @param left whether more is known to be left to gain than `mark` */
function rise(
  before: Rise | null,
  count: number | null,
  { mark, left }: { mark: bigint | null; left: boolean },
  { since, now }: { since: number; now: number },
): Rise | null {
  if (count === null) return null;
  const over = before === null || isMore(before.mark, mark) || (!left && now - before.last > RISE_COUNTS_MS);
  if (count > 0)
    return { since: over ? since : before.since, last: now, count: count + (over ? 0 : before.count), mark };
  return over ? null : before;
}

function failures(rise: Rise | null, now: number): Failures | null {
  return rise === null ? null : { count: rise.count, withinMs: now - rise.since };
}
