import type { Session } from '../session.js';
import type { Statement } from './statement.js';

/**
 * Runs the statements in order; several that are all fit for it in one transaction, so that all or none take
 * effect. Answers the rows of the last one.
 */
export async function runStatements<Row>(session: Session, statements: readonly Statement[]): Promise<Row[]> {
  const together = statements.length > 1 && statements.every(({ transactional }) => transactional);
  return together
    ? session.transaction(() => runOneByOne<Row>(session, statements))
    : runOneByOne<Row>(session, statements);
}

/** Runs the statements one by one, in the transaction the caller has open, if any. */
export async function runOneByOne<Row>(session: Session, statements: readonly Statement[]): Promise<Row[]> {
  let rows: Row[] = [];
  for (const { sql } of statements) rows = await session.one<Row>(sql);
  return rows;
}
