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

/**
 * Runs statements composed from a caller's input: what the server says is wrong with them is the caller's mistake. Of
 * several that cannot run in one transaction the problem says, as `done`, which had taken effect before.
 */
export async function carryOut<Row>(
  session: Session,
  statements: readonly Statement[],
  { inTransaction = false }: { inTransaction?: boolean } = {},
): Promise<Row[]> {
  const done: Statement[] = [];
  try {
    return await (inTransaction
      ? runOneByOne<Row>(session, statements)
      : runStatements<Row>(session, statements, done));
  } catch (error) {
    // In a transaction that was refused nothing more can be asked: whoever opened it does so afterwards.
    throw inTransaction
      ? asCallersMistake(error)
      : saying(done, await explainPrivilege(session, asCallersMistake(error), statements));
  }
}

/** What was not done can be asked for again with the same request, which leaves out what holds already. */
function saying(done: readonly Statement[], error: unknown): unknown {
  if (done.length === 0 || !(error instanceof Problem)) return error;
  const { hint, extra } = error.options;
  const stays = 'What is listed as done stays; the same request does the rest once the cause is mended.';
  return new Problem(error.code, `${error.detail}; ${done.length} statement(s) before it took effect`, {
    ...error.options,
    hint: hint === undefined ? stays : `${hint} ${stays}`,
    extra: { ...extra, done: done.map(({ redactedSql }) => redactedSql) },
    cause: error,
  });
}

/** Whether something had taken effect before it failed. */
export function isDoneInPart(error: unknown): boolean {
  return error instanceof Problem && Array.isArray(error.options.extra?.done);
}

/** SQLSTATE classes for text or values the server does not accept: syntax and names, data, unsupported features. */
const INPUT_CLASSES = new Set(['42', '22', '0A']);

function asCallersMistake(error: unknown): unknown {
  if (!(error instanceof Problem) || error.code !== 'SERVER_FAILED') return error;
  const { sqlstate, hint } = error.options;
  if (sqlstate === undefined || !INPUT_CLASSES.has(sqlstate.slice(0, 2))) return error;
  return new Problem('INVALID_INPUT', error.detail, { sqlstate, ...(hint ? { hint } : {}), cause: error });
}
