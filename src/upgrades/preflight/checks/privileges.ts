import { ROW_SECURITY } from '../../../postgres/catalog/preflight-relations.sql.js';
import {
  FORCED_ROW_SECURITY,
  ROLE_ATTRIBUTES,
  type RoleAttributes,
  SEQUENCES_NOT_SETTABLE,
  TABLES_FORCING_ROW_SECURITY,
  TABLES_NOT_READABLE,
  tablesNotOwned,
} from '../../../postgres/catalog/preflight-roles.sql.js';
import { UNREADABLE_SEQUENCES } from '../../../postgres/catalog/preflight-schema.sql.js';
import { identifier } from '../../../postgres/quoting.js';
import type { Session } from '../../../postgres/session.js';
import { PG16 } from '../../../shared/server-version.js';
import { type Check, type PreflightContext, type PreflightRow, rowsCheck, type Side } from '../check.js';

const CURRENT_USER = 'select session_user::text as name';

/** The role Lockstep is logged in as, which will own what it creates. */
export async function login(session: Session): Promise<string> {
  return (await session.row<{ name: string }>(CURRENT_USER)).name;
}

/** Something a role is not allowed, and the statement that allows it. */
interface Lack {
  what: string;
  grant: string;
}

/** What one role has to be allowed; each lack is a part of the answer and of the remedy. */
function attributes(
  name: string,
  side: Side,
  roleOf: (context: PreflightContext) => Promise<string> | string,
  lacks: (role: RoleAttributes, context: PreflightContext) => (Lack | false)[],
  expected: string,
): Check {
  return {
    name,
    severity: 'blocker',
    sql: () => ROLE_ATTRIBUTES,
    judge: async (context) => {
      const role = await roleOf(context);
      const [found] = await context[side].rows<RoleAttributes>(ROLE_ATTRIBUTES, [role]);
      const missing = found
        ? lacks(found, context).filter((lack) => lack !== false)
        : [{ what: 'the role does not exist', grant: `create role ${identifier(role)} login;` }];
      const said = missing.map(({ what }) => what).join(', ');
      return {
        passed: missing.length === 0,
        observed: missing.length === 0 ? `${role} has all of it` : `${role} lacks: ${said}`,
        expected,
        remedy: [...new Set(missing.map(({ grant }) => grant))].join('\n'),
      };
    },
  };
}

function lack(held: boolean, what: string, grant: string): Lack | false {
  return !held && { what, grant };
}

const loginLacks = (role: RoleAttributes, versionNum: number): (Lack | false)[] => {
  const [me, database] = [identifier(role.name), identifier(role.database)];
  return [
    lack(role.superuser || role.replication, 'REPLICATION (for slots)', `alter role ${me} replication;`),
    lack(
      role.mayCreate,
      'CREATE on the database (for schema lockstep, publication and subscription)',
      `grant create on database ${database} to ${me};`,
    ),
    versionNum >= PG16
      ? lack(
          role.maySubscribe,
          'membership in pg_create_subscription',
          `grant pg_create_subscription to ${me} with inherit true;`,
        )
      : lack(
          role.superuser,
          'superuser (up to 15 only a superuser creates subscriptions)',
          `alter role ${me} superuser;`,
        ),
    lack(
      role.mayUseOrigins,
      'EXECUTE on pg_replication_origin_progress(text, boolean) (for the drain)',
      `grant execute on function pg_catalog.pg_replication_origin_progress(text, boolean) to ${me};`,
    ),
  ];
};

const connectionLacks = (role: RoleAttributes): (Lack | false)[] => {
  const user = identifier(role.name);
  return [
    lack(role.canLogin, 'LOGIN', `alter role ${user} login;`),
    lack(role.superuser || role.replication, 'REPLICATION', `alter role ${user} replication;`),
    lack(
      role.mayConnect,
      'CONNECT on the database',
      `grant connect on database ${identifier(role.database)} to ${user};`,
    ),
  ];
};

type Remedy = (rows: PreflightRow[], context: PreflightContext, user: string) => string;

function ofConnectionUser(name: string, sql: string, what: string, expected: string, remedy: Remedy): Check {
  return rowsCheck({
    name,
    severity: 'blocker',
    side: 'source',
    sql,
    parameters: ({ options }) => [options.sourceAddress!.user],
    expected,
    what,
    remedy: (rows, context) => remedy(rows, context, context.options.sourceAddress!.user),
  });
}

/** The same statement for the login of one side, whose name has to be asked first. */
function ofLogin(
  name: string,
  side: Side,
  sql: string | ((context: PreflightContext) => string),
  what: string,
  expected: string,
  remedy: Remedy,
): Check {
  const asked = (user: string) =>
    rowsCheck({
      ...{ name, side, sql, expected, what },
      severity: 'blocker',
      parameters: () => [user],
      remedy: (rows, context) => remedy(rows, context, user),
    });
  return {
    name,
    severity: 'blocker',
    sql: (context) => (typeof sql === 'string' ? sql : sql(context)),
    judge: async (context) => asked(await login(context[side])).judge(context),
  };
}

/** What makes a login able to own, hand over and act for the objects of a role. */
export function joinRole(role: string, user: string, versionNum: number): string {
  const options = versionNum >= PG16 ? ' with inherit true, set true' : '';
  return `grant ${identifier(role)} to ${identifier(user)}${options};`;
}

/** What lets a login alter a role and grant it to others, without acting as that role. */
export function administerRole(role: string, user: string, versionNum: number): string {
  const options = versionNum >= PG16 ? ' with admin true, inherit false, set false' : ' with admin option';
  return `grant ${identifier(role)} to ${identifier(user)}${options};`;
}

/** Becoming a superuser's member would make a superuser of the login: such objects are better given another owner. */
function joinOwners(rows: PreflightRow[], versionNum: number, user: string): string {
  const owners = new Map(rows.map(({ owner, ownedBySuperuser }) => [String(owner), ownedBySuperuser === true]));
  return [...owners]
    .map(([owner, superuser]) =>
      superuser
        ? `Give what superuser ${owner} owns another owner: alter table … owner to …; or register a superuser.`
        : joinRole(owner, user, versionNum),
    )
    .join('\n');
}

/** Not pg_read_all_data, which would let the login read password verifiers as well. */
function readable(what: 'tables' | 'sequences'): Remedy {
  return (rows, _context, user) =>
    [...new Set(rows.map(({ schema }) => String(schema)))]
      .flatMap((schema) => [
        `grant usage on schema ${schema} to ${identifier(user)};`,
        `grant select on all ${what} in schema ${schema} to ${identifier(user)};`,
      ])
      .join('\n');
}

const bypass: Remedy = (_rows, _context, user) => `alter role ${identifier(user)} bypassrls;`;

/** Only a subscriber of 16 or newer acts as the owner of the table. */
function forcedRowSecurity(side: Side): Check {
  return rowsCheck({
    name: `${side}-applies-forced-row-security`,
    severity: 'blocker',
    side: 'source',
    sql: FORCED_ROW_SECURITY,
    applies: (context) => context[side].versionNum >= PG16,
    expected: `no row security binds the owner of a table, as whom the ${side} applies changes`,
    what: 'tables whose owner is bound by row security',
    remedy: (rows) =>
      rows.map(({ object }) => `alter table ${String(object)} no force row level security;`).join('\n') +
      '\nOr alter role … bypassrls for the owner.',
  });
}

export const privilegeChecks: Check[] = [
  attributes(
    'source-login-privileges',
    'source',
    ({ source }) => login(source),
    (role, { source }) => loginLacks(role, source.versionNum),
    'may create slots and publications, and the subscription of the way back',
  ),
  attributes(
    'target-login-privileges',
    'target',
    ({ target }) => login(target),
    (role, { target }) => [
      ...loginLacks(role, target.versionNum),
      lack(
        role.superuser || role.createRole,
        'CREATEROLE (for the roles the schema needs)',
        `alter role ${identifier(role.name)} createrole;`,
      ),
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
    ({ source }) => tablesNotOwned(source.versionNum),
    'tables of other owners',
    'the login owns every table, itself or by membership: only an owner may publish one',
    (rows, { source }, user) => joinOwners(rows, source.versionNum, user),
  ),
  ofConnectionUser(
    'tables-readable',
    TABLES_NOT_READABLE,
    'tables it may not read',
    'the user of the subscription may read every table for the initial copy',
    readable('tables'),
  ),
  ofLogin(
    'tables-readable-by-login',
    'source',
    TABLES_NOT_READABLE,
    'tables it may not read',
    'the login may read every table, to verify it',
    readable('tables'),
  ),
  ofLogin(
    'sequences-settable',
    'source',
    SEQUENCES_NOT_SETTABLE,
    'sequences it may not set',
    'the login may set every sequence, which a rollback does',
    (rows, { source }, user) => joinOwners(rows, source.versionNum, user),
  ),
  ofLogin(
    'sequences-readable',
    'source',
    UNREADABLE_SEQUENCES,
    'sequences whose position reads as NULL',
    'the position of every sequence can be read',
    readable('sequences'),
  ),
  ofConnectionUser(
    'row-security',
    ROW_SECURITY,
    'tables whose rows are hidden from it',
    'row security hides nothing from the user of the subscription: the copy would fail, or lack those rows',
    bypass,
  ),
  ofLogin(
    'row-security-for-login',
    'source',
    ROW_SECURITY,
    'tables whose rows are hidden from it',
    'row security hides nothing from the login, which verifies the rows',
    bypass,
  ),
  {
    name: 'row-security-on-target',
    severity: 'blocker',
    sql: () => TABLES_FORCING_ROW_SECURITY,
    judge: async ({ source, target }) => {
      const expected = "row security will hide nothing from the target's login, which verifies the rows";
      const user = await login(target);
      const me = await target.row<RoleAttributes>(ROLE_ATTRIBUTES, [user]);
      const rows = me.bypassRls ? [] : await source.rows<PreflightRow>(TABLES_FORCING_ROW_SECURITY);
      if (rows.length === 0) return { passed: true, observed: 'none', expected };
      return {
        passed: false,
        observed: `${rows.length} tables force it, and ${user} is bound by it`,
        expected,
        remedy: `alter role ${identifier(user)} bypassrls;`,
        rows,
      };
    },
  },
  forcedRowSecurity('target'),
  forcedRowSecurity('source'),
];
