import {
  MAY_READ_VERIFIERS,
  ROLE_ATTRIBUTES,
  type RoleAttributes,
  rolesNotAlterable,
  SESSIONS_OF_EXCLUDED,
  VERIFIER_KINDS,
} from '../../../postgres/catalog/preflight-roles.sql.js';
import { OTHER_SUPERUSERS } from '../../../postgres/catalog/preflight-configuration.sql.js';
import { WRITER_ROLES } from '../../../postgres/catalog/fence.sql.js';
import { planFence } from '../../traffic/plan-fence.js';
import { protectedRoles } from '../../traffic/protected-roles.js';
import { findWriterRoles, type Writers } from '../../traffic/writers.js';
import { type Check, listed, oncePerRun, type PreflightContext, rowsCheck, seesActivity } from '../check.js';

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
      const { roles, blockers } = await writersOf(context);
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
  {
    name: 'fence-privileges',
    severity: 'blocker',
    sql: ({ source }) => rolesNotAlterable(source.versionNum),
    judge: async (context) => {
      const { source } = context;
      const { roles, excluded } = await writersOf(context);
      const record = await planFence(source, { roles, excluded });
      const names = roles.map(({ name }) => name);
      const rows = await source.rows(rolesNotAlterable(source.versionNum), [names]);
      const { name: login } = await source.row<{ name: string }>('select session_user::text as name');
      const me = await source.row<RoleAttributes>(ROLE_ATTRIBUTES, [login]);
      const revoking = record.roles.filter(({ method }) => method === 'revoke-connect').map(({ name }) => name);
      const lacks = [
        rows.length > 0 && `may not alter ${listed(rows, 20)}`,
        names.length > 0 && !me.maySignal && 'pg_signal_backend',
        !me.maySeeActivity && 'pg_read_all_stats',
        revoking.length > 0 &&
          !me.ownsDatabase &&
          `ownership of the database (${revoking.join(', ')} only lose CONNECT)`,
      ].filter((lack) => lack !== false);
      return {
        passed: lacks.length === 0,
        observed: lacks.length === 0 ? `${login} may bar all of them` : `${login} lacks: ${lacks.join('; ')}`,
        expected:
          'the login may alter every role to bar, end its sessions, and revoke CONNECT where a role is used elsewhere',
        remedy:
          'Register a superuser, or grant CREATEROLE (from 16: with ADMIN on each role), pg_signal_backend and pg_read_all_stats.',
        rows: record.roles.map(({ name, method, note }) => ({ object: name, method, note })),
      };
    },
  },
  {
    name: 'password-verifiers',
    severity: 'blocker',
    sql: () => VERIFIER_KINDS,
    judge: async (context) => {
      const { roles } = await writersOf(context);
      const given = context.options.passwordsGiven ?? [];
      const needed = roles.map(({ name }) => name).filter((name) => !given.includes(name));
      const expected = 'the verifier of every writing role can be copied to the target, or its password is given';
      const { readable } = await context.source.row<{ readable: boolean }>(MAY_READ_VERIFIERS);
      if (readable || needed.length === 0) return { passed: true, observed: 'can be read', expected };
      return {
        passed: false,
        observed: `pg_authid cannot be read; needed for ${needed.join(', ')}`,
        expected,
        remedy: 'grant select on pg_catalog.pg_authid to the login, register a superuser, or give the passwords.',
      };
    },
  },
  {
    name: 'md5-verifiers',
    severity: 'warning',
    sql: () => VERIFIER_KINDS,
    judge: async (context) => {
      const { roles } = await writersOf(context);
      const verifiers = await context.source.rows<{ object: string; verifier: string | null }>(VERIFIER_KINDS, [
        roles.map(({ name }) => name),
      ]);
      const rows = verifiers.filter(({ verifier }) => verifier === 'md5').map((row) => ({ ...row }));
      return {
        passed: rows.length === 0,
        observed: rows.length === 0 ? 'none' : `${rows.length} roles with md5 verifiers: ${listed(rows)}`,
        expected: 'no writing role has an md5 verifier: 18 warns, later releases refuse',
        remedy: `set password_encryption = 'scram-sha-256'; then set their passwords again.`,
        rows,
      };
    },
  },
];
