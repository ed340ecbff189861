import { mayReadVerifiers } from '../../../postgres/catalog/roles.sql.js';
import {
  ROLE_ATTRIBUTES,
  type RoleAttributes,
  rolesNotAlterable,
  SESSIONS_OF_EXCLUDED,
  VERIFIER_KINDS,
} from '../../../postgres/catalog/preflight-roles.sql.js';
import { OTHER_SUPERUSERS } from '../../../postgres/catalog/preflight-configuration.sql.js';
import { READ_ONLY_ENTRIES } from '../../../postgres/catalog/read-only.sql.js';
import { ROLES_BY_NAME, WRITER_ROLES } from '../../../postgres/catalog/fence.sql.js';
import { identifier } from '../../../postgres/quoting.js';
import { planRoles, type RolePlan } from '../../../postgres/schema/roles.js';
import type { Session } from '../../../postgres/session.js';
import { PG16 } from '../../../shared/server-version.js';
import { planFence } from '../../traffic/plan-fence.js';
import { protectedRoles } from '../../traffic/protected-roles.js';
import { readOnlyOnTarget } from '../../traffic/read-only.js';
import { findWriterRoles, type Writers } from '../../traffic/writers.js';
import { type Check, listed, oncePerRun, type PreflightContext, rowsCheck, seesActivity, type Side } from '../check.js';
import { administerRole, login } from './privileges.js';

const writersOf = oncePerRun(
  async ({ source, options }: PreflightContext): Promise<Writers & { excluded: string[] }> => {
    const excluded = await protectedRoles(source, [options.sourceAddress!.user]);
    const requested = options.writerRoles === undefined ? {} : { requested: options.writerRoles };
    return { ...(await findWriterRoles(source, { ...requested, excluded })), excluded };
  },
);

function rowsOf(roles: { name: string; why: string }[]) {
  return roles.map(({ name, why }) => ({ object: name, why }));
}

const asked = { sql: () => WRITER_ROLES };

export const roleChecks: Check[] = [
  {
    ...asked,
    name: 'writer-roles',
    severity: 'blocker',
    judge: async (context) => {
      const { roles, ...refused } = await writersOf(context);
      const blockers = [...refused.blockers, ...refused.absent];
      const found = `${roles.length} roles to bar${roles.length === 0 ? '' : `: ${listed(rowsOf(roles), 20)}`}`;
      const expected = 'every role to bar exists, is no superuser and does not carry replication';
      if (blockers.length === 0) return { passed: true, observed: found, expected, rows: rowsOf(roles) };
      return {
        passed: false,
        observed: blockers.map(({ role, reason }) => `${role} ${reason}`).join('; '),
        expected,
        remedy: 'Correct writerRoles, or leave it out: then every role that can write is barred.',
        rows: blockers.map(({ role, reason }) => ({ object: role, reason })),
      };
    },
  },
  {
    ...asked,
    name: 'writers-not-fenced',
    severity: 'warning',
    judge: async (context) => {
      const { roles, notRequested } = await writersOf(context);
      const nobody = roles.length === 0;
      const open =
        notRequested.length === 0 ? null : `able to write and not barred: ${listed(rowsOf(notRequested), 20)}`;
      const covered = open ?? 'every role that can write is barred';
      return {
        passed: !nobody && open === null,
        observed: nobody ? `no role would be barred${open === null ? '' : `; ${open}`}` : covered,
        expected: 'the fence covers every role that can write',
        remedy: nobody
          ? 'Let applications log in with roles of their own: neither superusers nor the login of Lockstep can be barred.'
          : 'Name them in writerRoles, or make sure that they do not write during the switchover.',
        rows: rowsOf(notRequested),
      };
    },
  },
  seesActivity('source', {
    name: 'sessions-beyond-the-fence',
    severity: 'warning',
    sql: () => SESSIONS_OF_EXCLUDED,
    judge: async (context) => {
      const { superusers, excluded } = await writersOf(context);
      const beyond = [...new Set([...superusers.map(({ name }) => name), ...excluded])];
      const rows = await context.source.rows(SESSIONS_OF_EXCLUDED, [beyond]);
      return {
        passed: rows.length === 0,
        observed: rows.length === 0 ? 'none' : `${rows.length} sessions: ${listed(rows)}`,
        expected: 'no session of a superuser or of the logins of replication, which no fence stops',
        remedy: 'End them before the switchover; a write of theirs inside the fence is detected and takes it down.',
        rows,
      };
    },
  }),
  rowsCheck({
    name: 'superusers-beyond-the-fence',
    severity: 'info',
    side: 'source',
    sql: OTHER_SUPERUSERS,
    expected: 'no superuser can log in but the one Lockstep uses: no fence stops them',
    what: 'superusers',
    remedy:
      'Make sure that nobody and nothing logs in as one of them during the switchover; a write of theirs takes the fence down.',
  }),
  fencePrivileges('source'),
  fencePrivileges('target'),
  {
    name: 'target-read-only',
    severity: 'blocker',
    sql: () => READ_ONLY_ENTRIES,
    judge: async (context) => {
      const { source, target, connections } = context;
      const writers = (await writersOf(context)).roles.map(({ name }) => name);
      const found = await readOnlyOnTarget({ source, target, connections, writers, barred: [] });
      return {
        passed: found.length === 0,
        observed: found.length === 0 ? 'none' : `default_transaction_read_only is on for ${listed(found)}`,
        expected: 'no setting on the target makes sessions read-only that write on the source',
        remedy: found.map(({ mend }) => mend).join('\n'),
        rows: found,
      };
    },
  },
  {
    name: 'password-verifiers',
    severity: 'blocker',
    sql: () => VERIFIER_KINDS,
    judge: async (context) => {
      const needed = await verifiersNeeded(context);
      const expected = 'the verifier of every role to create that logs in can be copied, or its password is given';
      const { readable } = await context.source.row<{ readable: boolean }>(mayReadVerifiers);
      if (readable || needed.length === 0) {
        return { passed: true, observed: readable ? 'can be read' : 'none is needed', expected };
      }
      const { name } = await loginOf(context.source);
      return {
        passed: false,
        observed: `pg_authid cannot be read; needed for ${needed.join(', ')}`,
        expected,
        remedy:
          `grant select (rolname, rolpassword) on pg_catalog.pg_authid to ${identifier(name)};\n` +
          `Or give the passwords in writerPasswords.`,
      };
    },
  },
  {
    name: 'md5-verifiers',
    severity: 'warning',
    sql: () => VERIFIER_KINDS,
    judge: async (context) => {
      const names = await verifiersNeeded(context);
      const expected = 'no role to create has an md5 verifier: 18 warns, later releases refuse';
      if (names.length === 0) return { passed: true, observed: 'none is copied', expected };
      const verifiers = await context.source.rows<{ object: string; verifier: string | null }>(VERIFIER_KINDS, [names]);
      const rows = verifiers.filter(({ verifier }) => verifier === 'md5').map((row) => ({ ...row }));
      return {
        passed: rows.length === 0,
        observed: rows.length === 0 ? 'none' : `${rows.length} roles with md5 verifiers: ${listed(rows)}`,
        expected,
        remedy: `set password_encryption = 'scram-sha-256'; then set their passwords again.`,
        rows,
      };
    },
  },
];

/** Whom the fence of that side will bar, as far as it is known now: the target's of a rollback, too. */
async function rolesToBar(context: PreflightContext, side: Side) {
  const source = await writersOf(context);
  if (side === 'source') return { roles: source.roles, excluded: source.excluded };
  const { target, options } = context;
  const excluded = await protectedRoles(target, [options.targetAddress!.user]);
  const { roles } = await findWriterRoles(target, { excluded });
  // Writers that exist there already are barred until the target is opened.
  const present = await target.rows<{ oid: number; name: string }>(ROLES_BY_NAME, [
    source.roles.map(({ name }) => name),
  ]);
  const all = new Map([...roles, ...present].map((role) => [role.oid, role]));
  return { roles: [...all.values()].filter(({ name }) => !excluded.includes(name)), excluded };
}

function fencePrivileges(side: Side): Check {
  return {
    name: side === 'source' ? 'fence-privileges' : 'target-fence-privileges',
    severity: 'blocker',
    sql: (context) => rolesNotAlterable(context[side].versionNum),
    judge: async (context) => {
      const session = context[side];
      const { roles, excluded } = await rolesToBar(context, side);
      const record = await planFence(session, { roles, excluded });
      const names = roles.map(({ name }) => name);
      const closed = await session.rows<{ object: string }>(rolesNotAlterable(session.versionNum), [names]);
      const me = await loginOf(session);
      const user = identifier(me.name);
      const revoking = record.roles.filter(({ method }) => method === 'revoke-connect').map(({ name }) => name);
      const admin = (role: string) =>
        session.versionNum >= PG16
          ? administerRole(role, me.name, session.versionNum)
          : `alter role ${user} createrole;`;
      const lacks = [
        // Below 16 it is all that altering a role takes, and said there.
        session.versionNum >= PG16 &&
          names.length > 0 &&
          !me.superuser &&
          !me.createRole && { what: 'CREATEROLE', grant: `alter role ${user} createrole;` },
        closed.length > 0 && {
          what: `may not alter ${listed(closed, 20)}`,
          grant: closed.map(({ object }) => admin(object)).join('\n'),
        },
        (names.length > 0 || side === 'target') &&
          !me.maySignal && { what: 'pg_signal_backend', grant: `grant pg_signal_backend to ${user};` },
        !me.maySeeActivity && { what: 'pg_read_all_stats', grant: `grant pg_read_all_stats to ${user};` },
        revoking.length > 0 &&
          !me.ownsDatabase && {
            what: `ownership of the database (${revoking.join(', ')} only lose CONNECT)`,
            grant: `alter database ${identifier(me.database)} owner to ${user};`,
          },
      ].filter((lack) => lack !== false);
      return {
        passed: lacks.length === 0,
        observed:
          lacks.length === 0
            ? `${me.name} may bar all of them`
            : `${me.name} lacks: ${lacks.map(({ what }) => what).join('; ')}`,
        expected:
          'the login may alter every role to bar, end its sessions, and revoke CONNECT where a role is used elsewhere',
        remedy: lacks.map(({ grant }) => grant).join('\n'),
        rows: record.roles.map(({ name, method, note }) => ({ object: name, method, note })),
      };
    },
  };
}

/** Which roles the target needs and lacks. */
export async function rolePlan(context: PreflightContext): Promise<RolePlan> {
  const { roles } = await writersOf(context);
  return await planRoles(context.source, context.target, {
    roles: roles.map(({ name }) => name),
    passwordsGiven: context.options.passwordsGiven ?? [],
  });
}

/** Roles that will be created and log in, and whose password is not given. */
async function verifiersNeeded(context: PreflightContext): Promise<string[]> {
  const given = context.options.passwordsGiven ?? [];
  const { create } = await rolePlan(context);
  return create.filter(({ name, login }) => login && !given.includes(name)).map(({ name }) => name);
}

async function loginOf(session: Session): Promise<RoleAttributes> {
  return await session.row<RoleAttributes>(ROLE_ATTRIBUTES, [await login(session)]);
}
