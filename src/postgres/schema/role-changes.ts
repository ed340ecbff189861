import * as sql from '../catalog/roles.sql.js';
import type { Session } from '../session.js';
import {
  alterRole,
  type Membership,
  type RoleAttributes,
  type RoleChanges,
  type RoleSetting,
} from './role-statements.js';
import {
  createdRoles,
  isOfBar,
  mayReadVerifiers,
  membershipsOf,
  readVerifiers,
  type RoleDifferences,
  type RolePlan,
  settingsOf,
} from './roles.js';

type RoleRow = RoleAttributes & Record<string, unknown>;

/**
 * Sets attributes and passwords of the roles of the plan that we created to what they are on the source now; memberships
 * and settings are `createRoles`' part. They stay barred: one that may log in by now will once the target is opened.
 * Answers what was changed, without values. Repeating it changes nothing.
 *
 * @param passwords by role, given instead of the source's verifiers: these stay as they are
 */
export async function followRoles(
  source: Session,
  target: Session,
  plan: RolePlan,
  passwords: ReadonlyMap<string, string>,
): Promise<RoleDifferences[]> {
  const ours = new Map((await createdRoles(target)).map((role) => [role.name, role]));
  const roles = plan.create.filter(({ name }) => ours.has(name));
  const held = new Map(
    (await target.rows<RoleRow>(sql.rolesByName, [roles.map(({ name }) => name)])).map((role) => [role.name, role]),
  );
  const verifiers = await differingVerifiers(
    source,
    target,
    roles.filter(({ name }) => !passwords.has(name)),
  );
  const followed: RoleDifferences[] = [];
  for (const role of roles) {
    const { name } = role;
    const changes: RoleChanges = {
      ...changedAttributes(role, held.get(name)!),
      ...(verifiers.has(name) ? { verifier: verifiers.get(name)! } : {}),
    };
    const differences = Object.keys(changes).map((change) => (change === 'verifier' ? 'password' : change));
    const opens = role.login && !ours.get(name)!.wantedLogin;
    if (opens) differences.push('login');
    if (differences.length === 0) continue;
    await target.transaction(async () => {
      await target.rows(sql.keepOutOfLogs);
      if (Object.keys(changes).length > 0) await target.execute(alterRole(name, changes));
      if (opens) await target.rows(sql.allowLoginOnceOpen, [name]);
    });
    followed.push({ name, differences });
  }
  return followed;
}

/** What the roles we created have on the target and not, or not any more, on the source. Nothing is taken from a role. */
export async function moreThanOnSource(source: Session, target: Session): Promise<RoleDifferences[]> {
  const ours = await createdRoles(target);
  const names = ours.map(({ name }) => name);
  const there = new Map((await source.rows<RoleRow>(sql.rolesByName, [names])).map((role) => [role.name, role]));
  const group = ({ member, role }: Membership) => JSON.stringify([member, role]);
  const place = ({ role, thisDatabase, name }: RoleSetting) => JSON.stringify([role, thisDatabase, name]);
  const groups = new Set((await membershipsOf(source, names)).map(group));
  const places = new Set((await settingsOf(source, names)).map(place));
  const memberships = (await membershipsOf(target, names)).filter((row) => !groups.has(group(row)));
  const settings = (await settingsOf(target, names)).filter((row) => !places.has(place(row)) && !isOfBar(row));
  const more = ours.map(({ name, wantedLogin }): RoleDifferences => {
    const role = there.get(name);
    if (role === undefined) return { name, differences: ['is not on the source any more'] };
    const differences = [
      ...(wantedLogin && !role.login ? ['will log in, which it may not on the source'] : []),
      ...memberships.filter(({ member }) => member === name).map((row) => `is a member of ${row.role}`),
      ...settings.filter((row) => row.role === name).map((row) => `has a setting of ${row.name}`),
    ];
    return { name, differences };
  });
  return more.filter(({ differences }) => differences.length > 0);
}

const ATTRIBUTES = [
  ...(['superuser', 'replication', 'bypassRls', 'inherit', 'createRole', 'createDatabase'] as const),
  ...(['connectionLimit', 'validUntil'] as const),
];

function changedAttributes(wanted: RoleAttributes, held: RoleAttributes): RoleChanges {
  // Once set, a validity is taken back by "for ever" only.
  const value = (role: RoleAttributes, name: (typeof ATTRIBUTES)[number]) =>
    name === 'validUntil' ? (role.validUntil ?? 'infinity') : role[name];
  const changed = ATTRIBUTES.filter((name) => value(wanted, name) !== value(held, name));
  return Object.fromEntries(changed.map((name) => [name, wanted[name]]));
}

/**
 * Verifiers of the source that the target does not have, null where the password was taken away: secrets, which only
 * this module's statements carry. All where the target's cannot be read, none where the source's cannot.
 */
async function differingVerifiers(
  source: Session,
  target: Session,
  roles: RoleAttributes[],
): Promise<Map<string, string | null>> {
  if (roles.length === 0 || !(await mayReadVerifiers(source))) return new Map();
  const wanted = await readVerifiers(source, roles, undefined);
  const comparable = await mayReadVerifiers(target);
  const held = comparable ? await readVerifiers(target, roles, undefined) : new Map<string, string>();
  const differing = roles.filter(({ name }) => !comparable || wanted.get(name) !== held.get(name));
  return new Map(differing.map(({ name }) => [name, wanted.get(name) ?? null]));
}
