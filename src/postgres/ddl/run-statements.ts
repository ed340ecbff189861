import type { Session } from '../session.js';
import type { Statement } from './statement.js';

/**
 * Runs the statements in order; those beside each other that are fit for it in one transaction, so that all or none
 * of them take effect. Answers the rows of the last one; `done` gathers what has taken effect.
 */
export async function runStatements<Row>(
  session: Session,
  statements: readonly Statement[],
  done: Statement[] = [],
): Promise<Row[]> {
  let rows: Row[] = [];
  for (const group of groupsOf(statements)) {
    const run = () => runOneByOne<Row>(session, group);
    rows = group.length > 1 ? await session.transaction(run) : await run();
    done.push(...group);
  }
  return rows;
}

function groupsOf(statements: readonly Statement[]): Statement[][] {
  const groups: Statement[][] = [];
  for (const statement of statements) {
    const last = groups.at(-1);
    if (statement.transactional && last?.at(-1)?.transactional) last.push(statement);
    else groups.push([statement]);
  }
  return groups;
}

/** Runs the statements one by one, in the transaction the caller has open, if any. */
export async function runOneByOne<Row>(session: Session, statements: readonly Statement[]): Promise<Row[]> {
  let rows: Row[] = [];
  for (const { sql } of statements) rows = await session.one<Row>(sql);
  return rows;
}
