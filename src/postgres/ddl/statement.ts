/** What the server asks of the login for a statement, so that a refusal can name what grants it. */
export type Need =
  | { kind: 'replication' }
  | { kind: 'create-subscription' }
  /** `withoutPassword`: passwordRequired false is asked for, which takes a superuser besides. */
  | ({ kind: 'owner'; withoutPassword?: boolean } & OwnedObject);

export type OwnedObject =
  { type: 'publication' | 'subscription'; name: string } | { type: 'table'; schema: string; name: string };

/** One statement for a managed server, ready to send. */
export interface Statement {
  sql: string;
  /** The same without secrets: what is logged, audited and shown. */
  redactedSql: string;
  /** False: the server refuses it inside a transaction block; 13 takes a refresh there, which is run alone all the same. */
  transactional: boolean;
  /** The strongest lock taken, in words. */
  lock: string;
  /** What comes of it beyond what the text says, for whoever decides whether to run it. */
  effect?: string;
  needs?: Need;
}

export function statement(
  sql: string,
  lock: string,
  options: Partial<Omit<Statement, 'sql' | 'lock'>> = {},
): Statement {
  return { sql, redactedSql: sql, transactional: true, lock, ...options };
}
