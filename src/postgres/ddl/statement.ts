/** One statement for a managed server, ready to send. */
export interface Statement {
  sql: string;
  /** The same without secrets: what is logged, audited and shown. */
  redactedSql: string;
  /** False: the server refuses it inside a transaction block. */
  transactional: boolean;
  /** The strongest lock taken, in words. */
  lock: string;
}

export function statement(
  sql: string,
  lock: string,
  options: Partial<Omit<Statement, 'sql' | 'lock'>> = {},
): Statement {
  return { sql, redactedSql: sql, transactional: true, lock, ...options };
}
