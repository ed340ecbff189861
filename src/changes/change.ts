import { runOneByOne, runStatements } from '../postgres/ddl/run-statements.js';
import type { Statement } from '../postgres/ddl/statement.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { noteSql } from '../security/audit-trail.js';
import { explainPrivilege } from './missing-privilege.js';

/** A database of a registered server. */
export interface Place {
  server: string;
  database: string;
}

/** A statement as callers see it: where it runs, what it locks, no secrets. */
export interface PlannedStatement extends Place {
  sql: string;
  transactional: boolean;
  lock: string;
  effect?: string;
}

/** What a mutation did, or in a dry run would do; `result` is null in a dry run. */
export interface Change<T> {
  statements: PlannedStatement[];
  result: T | null;
}

export interface ChangeOptions {
  /** Say what would be run, run nothing. */
  dryRun?: boolean;
}

/** The statements as callers see them; also left in the audit event of the request. */
export function plan(place: Place, statements: readonly Statement[]): PlannedStatement[] {
  noteSql(...statements.map(({ redactedSql }) => `-- ${place.server}/${place.database}\n${redactedSql}`));
  return statements.map(({ redactedSql, transactional, lock, effect }) => ({
    ...place,
    sql: redactedSql,
    transactional,
    lock,
    ...(effect === undefined ? {} : { effect }),
  }));
}

/** Runs statements composed from a caller's input: what the server says is wrong with them is the caller's mistake. */
export async function carryOut<Row>(
  session: Session,
  statements: readonly Statement[],
  { inTransaction = false }: { inTransaction?: boolean } = {},
): Promise<Row[]> {
  try {
    return await (inTransaction ? runOneByOne<Row>(session, statements) : runStatements<Row>(session, statements));
  } catch (error) {
    // In a transaction that was refused nothing more can be asked: whoever opened it does so afterwards.
    throw inTransaction
      ? asCallersMistake(error)
      : await explainPrivilege(session, asCallersMistake(error), statements);
  }
}

/** SQLSTATE classes for text or values the server does not accept: syntax and names, data, unsupported features. */
const INPUT_CLASSES = new Set(['42', '22', '0A']);

function asCallersMistake(error: unknown): unknown {
  if (!(error instanceof Problem) || error.code !== 'SERVER_FAILED') return error;
  const { sqlstate, hint } = error.options;
  if (sqlstate === undefined || !INPUT_CLASSES.has(sqlstate.slice(0, 2))) return error;
  return new Problem('INVALID_INPUT', error.detail, { sqlstate, ...(hint ? { hint } : {}), cause: error });
}
