import * as sql from '../catalog/roles.sql.js';
import { schemaClosedTo } from './restore-journal.sql.js';
import { identifier } from '../quoting.js';
import type { Session } from '../session.js';
import type { DumpEntry } from './dump-statements.js';
import { leadingTokens } from './sql-text.js';
import { runnableStatements } from './restore-plan.js';

/** pg_dump's entries on the system's own functions and views, whose privileges only a superuser may change. */
export function needsSuperuser(entry: DumpEntry): boolean {
  return entry.type === 'ACL' && entry.schema === 'pg_catalog';
}

/**
 * Puts a dump's statements so that the session's login can run them. A superuser runs them as they are; another login
 * needs some of them otherwise and can do without others.
 */
export class RestoringLogin {
  private readonly closed = new Map<string, boolean>();

  private constructor(
    private readonly session: Session,
    private readonly superuser: boolean,
  ) {}

  static async of(session: Session): Promise<RestoringLogin> {
    const { superuser } = await session.row<{ superuser: boolean }>(sql.isSuperuser);
    return new RestoringLogin(session, superuser);
  }

  async statements(entry: DumpEntry): Promise<string[]> {
    const statements = runnableStatements(entry);
    if (this.superuser) return statements;
    if (needsSuperuser(entry)) return [];
    const possible = statements.filter((statement) => !isDispensable(statement)).map(actAsRole);
    return possible.some(changesOwner) ? await this.withOwnerLetIn(entry, possible) : possible;
  }

  /**
   * Ownership passes only to a role that may create in the schema, which the owner of a table need not be. It is let in
   * for this one entry, by whoever owns the schema.
   */
  private async withOwnerLetIn(entry: DumpEntry, statements: string[]): Promise<string[]> {
    if (!(await this.isClosed(entry))) return statements;
    const [schema, owner] = [identifier(entry.schema!), identifier(entry.owner!)];
    return [
      `grant create on schema ${schema} to ${owner}`,
      ...statements,
      `revoke create on schema ${schema} from ${owner}`,
    ];
  }

  /** Remembered: within a section privileges come last, after all that they could matter to. */
  private async isClosed({ schema, owner }: DumpEntry): Promise<boolean> {
    const who = JSON.stringify([schema, owner]);
    if (!this.closed.has(who)) {
      const [row] = await this.session.rows<{ closed: boolean }>(schemaClosedTo, [schema, owner]);
      if (!row) return false;
      this.closed.set(who, row.closed);
    }
    return this.closed.get(who)!;
  }
}

/** What the target has by itself: an extension's comment comes with it, and the schema public has an owner already. */
function isDispensable(statement: string): boolean {
  const words = leadingTokens(statement, 6).join(' ');
  return words.startsWith('COMMENT ON EXTENSION ') || /^ALTER SCHEMA (PUBLIC|"public") OWNER TO /.test(words);
}

function changesOwner(statement: string): boolean {
  return leadingTokens(statement, 1)[0] === 'ALTER' && / OWNER TO [^;]+;\s*$/.test(statement);
}

/** A grant that somebody else than the owner made is made in that role's name. */
function actAsRole(statement: string): string {
  const words = leadingTokens(statement, 3).join(' ');
  if (words === 'RESET SESSION AUTHORIZATION') return 'reset role';
  if (words !== 'SET SESSION AUTHORIZATION') return statement;
  return statement.replace(/^\s*SET SESSION AUTHORIZATION/i, 'set role');
}
