import type { BoundPair } from '../../postgres/replication/bound-pair.js';
import { Problem } from '../../problems/problem.js';
import type { TableName } from './table-shape.js';

export interface Binder {
  bind(tables: readonly TableName[], options: { deadlineMs: number; signal?: AbortSignal }): Promise<BoundPair>;
}

/**
 * A bound pair, or why there is none: `stalled`: the subscription does not apply; `pending`: not in time, or, with
 * `gone`, a table was dropped or renamed meanwhile, or, with `locked`, one of them is locked exclusively by others.
 */
export type BindAttempt =
  { pair: BoundPair } | { pair: null; verdict: 'stalled' | 'pending'; reason: string; gone?: true; locked?: true };

const UNDEFINED_TABLE = '42P01';
const INVALID_SCHEMA_NAME = '3F000';
const LOCK_NOT_AVAILABLE = '55P03';

/** Binds; that a link does not move, is too busy or has changed is an answer, everything else rejects. */
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
    if ([UNDEFINED_TABLE, INVALID_SCHEMA_NAME].includes(error.options.sqlstate ?? '')) {
      return { pair: null, verdict: 'pending', reason: error.detail, gone: true };
    }
    if (error.code === 'PREREQUISITE_FAILED' && error.options.extra?.stalledAt !== undefined) {
      return { pair: null, verdict: 'stalled', reason: error.detail };
    }
    if (error.code === 'SERVER_TIMEOUT' || error.code === 'LIMIT_REACHED') {
      const locked = error.options.sqlstate === LOCK_NOT_AVAILABLE ? { locked: true as const } : {};
      return { pair: null, verdict: 'pending', reason: error.detail, ...locked };
    }
    throw error;
  }
}
