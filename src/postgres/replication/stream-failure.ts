import { DatabaseError } from 'pg';
import { Problem } from '../../problems/problem.js';
import { translateError } from '../translate-error.js';

/**
 * Conditions that pass without anybody changing anything: the connection (08), resources (53), an operator's
 * intervention such as a restart (57), the slot still held by a walsender that has not noticed our end (55006).
 */
const PASSING_CLASSES = new Set(['08', '40', '53', '57']);
const PASSING_STATES = new Set(['55006', '55P03', '58030']);

export interface StreamFailure {
  problem: Problem;
  /** Trying again cannot help: the slot is gone or invalidated, its WAL was removed, the login is refused ... */
  permanent: boolean;
}

/** Judges what ended a replication connection. Null stands for an end the server did not explain. */
export function judge(cause: unknown, where: string): StreamFailure {
  if (cause === null || cause === undefined) {
    return { problem: new Problem('SERVER_UNREACHABLE', `${where} ended the stream`), permanent: false };
  }
  const state =
    cause instanceof DatabaseError ? cause.code : cause instanceof Problem ? cause.options.sqlstate : undefined;
  const problem = translateError(cause, where);
  if (state !== undefined) {
    return { problem, permanent: !PASSING_STATES.has(state) && !PASSING_CLASSES.has(state.slice(0, 2)) };
  }
  // Without an SQLSTATE: a socket's error passes, what we found out ourselves does not.
  return { problem, permanent: cause instanceof Problem && !problem.retryable };
}
