import { Problem } from '../../problems/problem.js';
import { PG14 } from '../../shared/server-version.js';
import { identifier } from '../quoting.js';
import type { Session } from '../session.js';

/** Before 14 two columns are closed to ordinary logins without which nothing can be told of a subscription. */
const ACCESS = `
  select exists (select s.subname from pg_catalog.pg_subscription s) as found,
         pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'oid', 'SELECT')
           and pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'subsynccommit', 'SELECT') as readable,
         current_user::text as login, pg_catalog.current_database()::text as database`;

/**
 * Whether there may be subscriptions to read; false: the server has none. Rejects with the GRANT where it has some and
 * the login may not read them.
 */
export async function mayHaveSubscriptions(session: Session): Promise<boolean> {
  if (session.versionNum >= PG14) return true;
  const access = await session.row<{ found: boolean; readable: boolean; login: string; database: string }>(ACCESS);
  if (!access.found || access.readable) return access.found;
  throw new Problem('SERVER_PRIVILEGE_MISSING', `the login at ${session.where} may not read subscriptions`, {
    hint: `In the database ${JSON.stringify(access.database)}: grant select (oid, subsynccommit) on pg_catalog.pg_subscription to ${identifier(access.login)};`,
  });
}
