import { ROW_SECURITY } from '../../../postgres/catalog/preflight-relations.sql.js';
import {
  ROLE_ATTRIBUTES,
  type RoleAttributes,
  TABLES_NOT_OWNED,
  TABLES_NOT_READABLE,
} from '../../../postgres/catalog/preflight-roles.sql.js';
import { UNREADABLE_SEQUENCES } from '../../../postgres/catalog/preflight-schema.sql.js';
import type { Session } from '../../../postgres/session.js';
import { type Check, type PreflightContext, rowsCheck, type Side } from '../check.js';

const CURRENT_USER = 'select session_user::text as name';

/** The role Lockstep is logged in as, which will own what it creates. */
export async function login(session: Session): Promise<string> {
  return (await session.row<{ name: string }>(CURRENT_USER)).name;
}

/** What one role has to be allowed; each lack is a line of the answer. */
function attributes(
  name: string,
  side: Side,
  roleOf: (context: PreflightContext) => Promise<string> | string,
  lacks: (role: RoleAttributes, context: PreflightContext) => (string | false)[],
  expected: string,
): Check {
  return {
    name,
    severity: 'blocker',
    sql: () => ROLE_ATTRIBUTES,
    judge: async (context) => {
      const role = await roleOf(context);
      const [found] = await context[side].rows<RoleAttributes>(ROLE_ATTRIBUTES, [role]);
      const missing = found ? lacks(found, context).filter((lack) => lack !== false) : ['the role does not exist'];
      return {
        passed: missing.length === 0,
        observed: missing.length === 0 ? `${role} has all of it` : `${role} lacks: ${missing.join(', ')}`,
        expected,
        remedy: `Grant ${role} on the ${side} what it lacks.`,
      };
    },
  };
}

const publisherLacks = (role: RoleAttributes) => [
  !role.superuser && !role.replication && 'REPLICATION (for slots)',
  !role.mayCreate && 'CREATE on the database (for the publication)',
];

const subscriberLacks = (role: RoleAttributes, versionNum: number) => [
  !role.maySubscribe &&
    (versionNum >= 160000
      ? 'membership in pg_create_subscription'
      : 'superuser (up to 15 only a superuser creates subscriptions)'),
  !role.mayCreate && 'CREATE on the database (for the subscription)',
  !role.mayUseOrigins && 'EXECUTE on pg_replication_origin_progress(text, boolean) (for the drain)',
];

const connectionLacks = (role: RoleAttributes) => [
  !role.canLogin && 'LOGIN',
  !role.superuser && !role.replication && 'REPLICATION',
  !role.mayConnect && 'CONNECT on the database',
];

function ofConnectionUser(name: string, sql: string, what: string, expected: string, remedy: string): Check {
  return rowsCheck({
    name,
    severity: 'blocker',
    side: 'source',
    sql,
    parameters: ({ options }) => [options.sourceAddress!.user],
    expected,
    what,
    remedy,
  });
}

/** The same statement for the login of one side, whose name has to be asked first. */
function ofLogin(name: string, side: Side, sql: string, what: string, expected: string, remedy: string): Check {
  const asked = (user: string) =>
    rowsCheck({ name, severity: 'blocker', side, sql, parameters: () => [user], expected, what, remedy });
  return {
    name,
    severity: 'blocker',
    sql: () => sql,
    judge: async (context) => asked(await login(context[side])).judge(context),
  };
}

export const privilegeChecks: Check[] = [
  attributes(
    'source-login-privileges',
    'source',
    ({ source }) => login(source),
    (role, { source }) => [...publisherLacks(role), ...subscriberLacks(role, source.versionNum)],
    'may create slots and publications, and the subscription of the way back',
  ),
  attributes(
    'target-login-privileges',
    'target',
    ({ target }) => login(target),
    (role, { target }) => [
      ...publisherLacks(role),
      ...subscriberLacks(role, target.versionNum),
      !role.superuser && !role.createRole && 'CREATEROLE (for the roles the schema needs)',
    ],
    'may create roles, schema, the subscription, and the publication and slot of the way back',
  ),
  attributes(
    'source-connection-user',
    'source',
    ({ options }) => options.sourceAddress!.user,
    connectionLacks,
    'the user of the subscription may log in and replicate',
  ),
  attributes(
    'target-connection-user',
    'target',
    ({ options }) => options.targetAddress!.user,
    connectionLacks,
    'the user of the way back may log in and replicate',
  ),
  ofLogin(
    'table-ownership',
    'source',
    TABLES_NOT_OWNED,
    'tables of other owners',
    'the login owns every table, itself or by membership: only an owner may publish one',
    'Grant the login the roles that own them, or register a superuser.',
  ),
  ofConnectionUser(
    'tables-readable',
    TABLES_NOT_READABLE,
    'tables it may not read',
    'the user of the subscription may read every table for the initial copy',
    'grant usage on the schemas and select on all tables in them to the user of the subscription.',
  ),
  ofLogin(
    'tables-readable-by-login',
    'source',
    TABLES_NOT_READABLE,
    'tables it may not read',
    'the login may read every table, to verify it',
    'grant usage on the schemas and select on all tables in them to the login.',
  ),
  rowsCheck({
    name: 'sequences-readable',
    severity: 'blocker',
    side: 'source',
    sql: UNREADABLE_SEQUENCES,
    expected: 'the position of every sequence can be read',
    what: 'sequences whose position reads as NULL',
    remedy: 'grant usage on the schemas and select on all sequences in them to the login.',
  }),
  ofConnectionUser(
    'row-security',
    ROW_SECURITY,
    'tables whose rows are hidden from it',
    'row security hides nothing from the user of the subscription: the copy would lack those rows without an error',
    'alter role ... bypassrls for the user of the subscription.',
  ),
  ofLogin(
    'row-security-for-login',
    'source',
    ROW_SECURITY,
    'tables whose rows are hidden from it',
    'row security hides nothing from the login, which verifies the rows',
    'alter role ... bypassrls for the login.',
  ),
];
