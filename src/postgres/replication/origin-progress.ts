import { Problem } from '../../problems/problem.js';
import { originByFunction, originInView } from '../catalog/origin-progress.sql.js';
import { identifier, literal } from '../quoting.js';
import type { Session } from '../session.js';
import { sqlstateOf } from '../translate-error.js';

const INSUFFICIENT_PRIVILEGE = '42501';
const UNDEFINED_OBJECT = '42704';

/** The replication origin an apply worker commits under: `pg_<subscription oid>`. */
export function subscriptionOrigin(subscriptionOid: number): string {
  return `pg_${subscriptionOid}`;
}

/**
 * An SQL expression for how far the origin got: the publisher's commit end LSN of the last transaction applied, as
 * text, null when unknown. It is shared memory, not MVCC: it moves before the transaction becomes visible.
 *
 * Tries which of the two ways the login may use; names the missing privilege when neither.
 */
export async function originProgressExpression(session: Session, origin: string): Promise<string> {
  const candidates = [originInView(literal(origin)), originByFunction(literal(origin))];
  let refusal: unknown;
  for (const expression of candidates) {
    try {
      await session.rows(`select ${expression} as lsn`);
      return expression;
    } catch (error) {
      refusal = error;
      if (sqlstateOf(error) === UNDEFINED_OBJECT) {
        throw new Problem('NOT_FOUND', `${session.where} has no replication origin "${origin}"`, { cause: error });
      }
      if (sqlstateOf(error) !== INSUFFICIENT_PRIVILEGE) throw error;
    }
  }
  const { login } = await session.row<{ login: string }>('select current_user::text as login');
  throw new Problem(
    'SERVER_PRIVILEGE_MISSING',
    `the login at ${session.where} may not read the progress of replication origins`,
    {
      sqlstate: INSUFFICIENT_PRIVILEGE,
      hint:
        'As superuser, in that database: grant execute on function ' +
        `pg_catalog.pg_replication_origin_progress(text, boolean) to ${identifier(login)}; (on 13 only a superuser may use it)`,
      cause: refusal,
    },
  );
}
