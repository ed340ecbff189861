import {
  ROLE_ATTRIBUTES,
  type RoleAttributes,
  ROLES_NOT_GRANTABLE,
  rolesNotJoined,
} from '../../../postgres/catalog/preflight-roles.sql.js';
import { identifier } from '../../../postgres/quoting.js';
import { isSuperuser } from '../../../postgres/catalog/roles.sql.js';
import { USER_OBJECTS } from '../../../postgres/catalog/preflight-relations.sql.js';
import { type DumpEntry, type DumpItem, parseDump } from '../../../postgres/schema/dump-statements.js';
import { dumpSchema } from '../../../postgres/schema/pg-dump.js';
import { rehearseRestore, type RehearsalFailure } from '../../../postgres/schema/rehearse.js';
import { needsSuperuser } from '../../../postgres/schema/restore-as.js';
import { splitPostData } from '../../../postgres/schema/restore-plan.js';
import type { RolePlan } from '../../../postgres/schema/roles.js';
import type { Session } from '../../../postgres/session.js';
import { type Check, listed, type PreflightContext } from '../check.js';
import { administerRole, joinRole, login } from './privileges.js';
import { rolePlan } from './roles.js';

const OUT_OF_SHARED_MEMORY = '53200';
const SHOWN = 'begin; …every role and definition the target will get…; rollback';

async function superuser(session: Session): Promise<boolean> {
  return (await session.row<{ superuser: boolean }>(isSuperuser)).superuser;
}

const dumped = new WeakMap<PreflightContext, Promise<DumpItem[]>>();

/** The source's schema, dumped once for all checks of a preflight. */
async function schemaItems(context: PreflightContext): Promise<DumpItem[]> {
  const items = dumped.get(context) ?? readSchema(context);
  dumped.set(context, items);
  return await items;
}

/** In the order of the restore. */
async function readSchema({ connections, signal }: PreflightContext): Promise<DumpItem[]> {
  const dump = async (section: 'pre-data' | 'post-data') =>
    parseDump(await dumpSchema(connections.source, { section, ...(signal === undefined ? {} : { signal }) }));
  const post = splitPostData(await dump('post-data'));
  return [...(await dump('pre-data')), ...post.earlyPostData, ...post.latePostData];
}

export const restorableChecks: Check[] = [
  {
    name: 'schema-restorable',
    severity: 'blocker',
    sql: () => SHOWN,
    judge: async (context) => {
      const { target } = context;
      const expected = "the target's login may create every role and object";
      if (await superuser(target)) return { passed: true, observed: 'the login is a superuser', expected };
      if ((await target.rows(USER_OBJECTS)).length > 0) {
        return { passed: false, observed: 'not tried: the target is not empty', expected, remedy: 'See target-empty.' };
      }
      const items = await schemaItems(context);
      const plan = await rolePlan(context);
      const failures = await rehearseRestore(target, plan, items, context.signal);
      const rows = failures.map((failure) => ({ ...failure }));
      return {
        passed: failures.length === 0,
        observed: failures.length === 0 ? `${items.length} tried and rolled back` : refused(failures),
        expected,
        remedy: await remedyFor(context, plan, failures),
        rows,
      };
    },
  },
  {
    name: 'system-privileges',
    severity: 'warning',
    sql: () => SHOWN,
    judge: async (context) => {
      const expected = 'no privileges on the system’s own objects that only a superuser can carry over';
      if (await superuser(context.target)) return { passed: true, observed: 'the login is a superuser', expected };
      const ours = await login(context.source);
      const rows = (await schemaItems(context))
        .filter((item): item is DumpEntry => item.kind === 'entry' && needsSuperuser(item))
        .flatMap(({ name, statements }) => statements.map((statement) => ({ object: name, statement })))
        .filter(
          ({ statement }) => !statement.endsWith(` TO ${identifier(ours)};`) && !statement.endsWith(` TO ${ours};`),
        );
      return {
        passed: rows.length === 0,
        observed: rows.length === 0 ? 'none' : `${rows.length} statements: ${listed(rows)}`,
        expected,
        remedy: rows.map(({ statement }) => statement).join('\n'),
        rows,
      };
    },
  },
];

function refused(failures: RehearsalFailure[]): string {
  const said = failures.slice(0, 5).map(({ object, reason }) => `${object} (${reason})`);
  return `${failures.length} refused: ${said.join('; ')}${failures.length > 5 ? ' …' : ''}`;
}

/** Roles on the target that the login would have to be given are named; the rest is what a superuser must do. */
async function remedyFor({ target }: PreflightContext, plan: RolePlan, failures: RehearsalFailure[]): Promise<string> {
  const owners = [...new Set(failures.flatMap(({ owner }) => (owner === null ? [] : [owner])))];
  const closed = await target.rows<{ name: string; superuser: boolean }>(rolesNotJoined(target.versionNum), [owners]);
  const groups = failures.some(({ object }) => object.startsWith('role '))
    ? await target.rows<{ name: string }>(ROLES_NOT_GRANTABLE, [plan.memberships.map(({ role }) => role)])
    : [];
  const user = await login(target);
  const me = await target.row<RoleAttributes>(ROLE_ATTRIBUTES, [user]);
  const grants = [
    ...closed.filter(({ superuser }) => !superuser).map(({ name }) => joinRole(name, user, target.versionNum)),
    ...groups.map(({ name }) => administerRole(name, user, target.versionNum)),
  ];
  const superusers = closed.filter(({ superuser }) => superuser).map(({ name }) => name);
  const inPublic = failures.some(({ schema, object }) => schema === 'public' || object.endsWith('SCHEMA public'));
  return [
    // The owner of the database owns the schema public.
    ...(inPublic && !me.ownsDatabase
      ? [`alter database ${identifier(me.database)} owner to ${identifier(user)};`]
      : []),
    ...grants,
    ...(superusers.length > 0
      ? [`On the source, give what ${superusers.join(', ')} owns an owner that is no superuser (alter … owner to …).`]
      : []),
    ...(failures.some(({ sqlstate }) => sqlstate === OUT_OF_SHARED_MEMORY)
      ? ['Raise max_locks_per_transaction on the target; then restart it.']
      : []),
    'Anything else needs a superuser: make it on the target beforehand where that is possible (extensions), drop it on the source, or register a superuser for the target.',
  ].join('\n');
}
