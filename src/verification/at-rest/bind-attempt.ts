import type { BoundPair } from '../../postgres/replication/bound-pair.js';
import { Problem } from '../../problems/problem.js';
import type { TableName } from './table-shape.js';

export interface Binder {
  bind(tables: readonly TableName[], options: { deadlineMs: number; signal?: AbortSignal }): Promise<BoundPair>;
}

/** A bound pair, or why there is none: `stalled`: the subscription does not apply; `pending`: not in time. */
export type BindAttempt = { pair: BoundPair } | { pair: null; verdict: 'stalled' | 'pending'; reason: string };

/** Binds; a link that does not move or is too busy is an answer, everything else rejects. */
export async function attemptBind(
  binder: Binder,
  tables: readonly TableName[],
  options: { deadlineMs: number; signal?: AbortSignal },
): Promise<BindAttempt> {
  try {
    return { pair: await binder.bind(tables, options) };
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof Problem)) throw error;
    if (error.code === 'PREREQUISITE_FAILED' && error.options.extra?.stalledAt !== undefined) {
      return { pair: null, verdict: 'stalled', reason: error.detail };
    }
    if (error.code === 'SERVER_TIMEOUT' || error.code === 'LIMIT_REACHED') {
      return { pair: null, verdict: 'pending', reason: error.detail };
    }
    throw error;
  }
}
