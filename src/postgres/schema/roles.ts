import { Problem } from '../../problems/problem.js';
import * as sql from '../catalog/roles.sql.js';
import type { Session } from '../session.js';
import { PG16 } from '../../shared/server-version.js';
import {
  alterRoleSettings,
  becomeRole,
  createRole,
  grantMembership,
  type Membership,
  type RoleAttributes,
  type RoleSetting,
} from './role-statements.js';
import { scramVerifier } from './scram-verifier.js';

export interface RolePlan {
  /** Missing on the target: will be created, in this order. */
  create: RoleAttributes[];
  memberships: Membership[];
  settings: RoleSetting[];
  /** Already on the target, never touched; each with what differs from the source. */
  existing: RoleDifferences[];
  /** What stands in the way of creating them; with any of these `createRoles` refuses. */
  blockers: { role: string; reason: string }[];
  /** What will not be carried. */
  warnings: { role: string; reason: string }[];
}

export interface RoleDifferences {
  name: string;
  differences: string[];
}

export interface RoleOptions {
  /** Roles needed besides those the schema names, e.g. the writers. */
  roles?: string[];
  /** Roles whose password the caller gives to `createRoles`. */
  passwordsGiven?: string[];
  /** Roles we created that are to be left as they are, as if they had existed. */
  leave?: string[];
  /** Roles that are barred on the target until it is opened: what the bar changes is no difference, and stays. */
  barred?: string[];
}

/**
 * Which roles the target needs for this schema and these writers. Holds no secret: of passwords only whether they can be
 * carried. Both sessions must be in the databases of the upgrade.
 */
export async function planRoles(source: Session, target: Session, options: RoleOptions = {}): Promise<RolePlan> {
  const needed = await source.rows<RoleAttributes & Record<string, unknown>>(sql.requiredRoles, [options.roles ?? []]);
  const names = needed.map(({ name }) => name);
  const present = await target.rows<RoleAttributes & Record<string, unknown>>(sql.rolesByName, [names]);
  const found = new Map(present.map((role) => [role.name, role]));
  // What an earlier attempt created may still lack memberships and settings.
  const ours = new Set((await createdRoles(target)).map(({ name }) => name));
  for (const name of options.leave ?? []) ours.delete(name);
  const create = needed.filter(({ name }) => !found.has(name) || ours.has(name));
  const created = new Set(create.map(({ name }) => name));
  const [wanted, heldMemberships] = [await membershipsOf(source, names), await membershipsOf(target, names)];
  const [settings, heldSettings] = [await settingsOf(source, names), await settingsOf(target, names)];
  const verifiers = await compareVerifiers(source, target, names);
  const known = await knownOnTarget(target, names);
  const plan: RolePlan = { create, memberships: [], settings: [], existing: [], blockers: [], warnings: [] };
  for (const missing of (options.roles ?? []).filter((name) => !names.includes(name) && !name.startsWith('pg_'))) {
    plan.blockers.push({ role: missing, reason: 'there is no such role on the source' });
  }
  const { superuser } = await target.row<{ superuser: boolean }>(sql.isSuperuser);
  for (const role of create) {
    if (role.superuser && !superuser) {
      plan.blockers.push({ role: role.name, reason: 'only a superuser can create this superuser on the target' });
    }
    const given = options.passwordsGiven?.includes(role.name) ?? false;
    // One that is there already has a password, though it cannot be followed.
    if (role.login && verifiers === null && !given && !found.has(role.name)) {
      plan.blockers.push({
        role: role.name,
        reason:
          "the source's login may not read password verifiers (pg_authid) and no password is given; create it on the target yourself, then try again",
      });
    }
  }
  const there = new Set([...heldMemberships, ...heldSettings].map((row) => exactly(row, target)));
  const lacks = (row: Membership | RoleSetting) => !there.has(exactly(row, target));
  const barred = new Set(options.barred);
  for (const membership of wanted.filter((row) => created.has(row.member) && lacks(row))) {
    if (known.roles.has(membership.role)) plan.memberships.push(membership);
    else plan.warnings.push({ role: membership.member, reason: `the target has no role ${membership.role}` });
  }
  for (const setting of settings.filter((row) => created.has(row.role) && lacks(row))) {
    if (isOfBar(setting) && barred.has(setting.role)) continue;
    if (setting.name.includes('.') || known.settings.has(setting.name.toLowerCase())) plan.settings.push(setting);
    else plan.warnings.push({ role: setting.role, reason: `the target does not know the setting ${setting.name}` });
  }
  for (const role of needed.filter(({ name }) => !created.has(name))) {
    const held = found.get(role.name)!;
    const differences = [
      ...differingAttributes(role, { ...held, login: held.login || barred.has(role.name) }),
      ...missingFrom(wanted, heldMemberships, role.name, 'member', ({ role: group }) => `is not a member of ${group}`),
      ...missingFrom(settings, heldSettings, role.name, 'role', ({ name }) => `has another setting of ${name}`),
      ...(verifiers?.different.has(role.name) ? ['has another password, or the same with another salt'] : []),
    ];
    plan.existing.push({ name: role.name, differences });
  }
  return plan;
}

export interface CreateRoleOptions {
  /** Create roles that may log in as NOLOGIN; `allowLogins` lets them in later. */
  barLogins: boolean;
  /** Passwords by role, used instead of the source's verifiers. */
  passwords?: ReadonlyMap<string, string>;
}

/**
 * Creates the missing roles of the plan with their passwords' verifiers, memberships and settings, each in one transaction
 * with its journal row. Roles that exist by now are left alone, so a second call continues. Returns the names created.
 */
export async function createRoles(
  source: Session,
  target: Session,
  plan: RolePlan,
  options: CreateRoleOptions,
): Promise<string[]> {
  const [blocker] = plan.blockers;
  if (blocker) {
    throw new Problem('PRECONDITION_FAILED', `roles cannot be created: ${blocker.role}: ${blocker.reason}`, {
      extra: { blockers: plan.blockers },
    });
  }
  const secrets = await readVerifiers(source, plan.create, options.passwords);
  await target.execute(sql.createRoleJournal);
  const created: string[] = [];
  const becomes = await becomesRoles(target);
  for (const role of plan.create) {
    await target.transaction(async () => {
      const present = await target.rows(sql.rolesByName, [[role.name]]);
      if (present.length > 0) return;
      await target.rows(sql.keepOutOfLogs);
      const login = role.login && !options.barLogins;
      for (const statement of roleCreation({ ...role, login }, secrets.get(role.name) ?? null, becomes)) {
        await target.execute(statement);
      }
      await target.rows(sql.recordRole, [role.name, role.login]);
      created.push(role.name);
    });
  }
  // Groups are created like any role, so memberships follow once all are there. Repeating them changes nothing.
  const ours = new Set((await createdRoles(target)).map(({ name }) => name));
  const completion = await roleCompletion(target, plan);
  await target.transaction(async () => {
    for (const { statement } of completion.filter(({ role }) => ours.has(role))) await target.execute(statement);
  });
  return created;
}

/** Whether the login has to make itself a member of the roles it creates; see `becomeRole`. */
export async function becomesRoles(target: Session): Promise<boolean> {
  const { superuser } = await target.row<{ superuser: boolean }>(sql.isSuperuser);
  return !superuser && target.versionNum >= PG16;
}

/** Statements that create one role; the first carries the verifier. */
export function roleCreation(role: RoleAttributes, verifier: string | null, becomes: boolean): string[] {
  return [createRole(role, verifier), ...(becomes ? [becomeRole(role.name)] : [])];
}

/** Statements that give the created roles their memberships and settings, once all of them are there. */
export async function roleCompletion(target: Session, plan: RolePlan): Promise<{ role: string; statement: string }[]> {
  const { database } = await target.row<{ database: string }>('select pg_catalog.current_database()::text as database');
  return [
    ...plan.memberships.map((membership) => ({
      role: membership.member,
      statement: grantMembership(membership, target.versionNum),
    })),
    ...plan.settings.map((setting) => ({ role: setting.role, statement: alterRoleSettings(setting, database) })),
  ];
}

export interface CreatedRole {
  name: string;
  /** Whether the role may log in on the source, and so will once opened. */
  wantedLogin: boolean;
  /** Whether it may log in on the target now. */
  login: boolean;
}

/** Roles we created for this database that are still there, newest first. */
export async function createdRoles(target: Session): Promise<CreatedRole[]> {
  const { present } = await target.row<{ present: boolean }>(sql.roleJournalExists);
  return present ? target.rows<CreatedRole & Record<string, unknown>>(sql.createdRoles) : [];
}

export async function membershipsOf(session: Session, names: string[]): Promise<Membership[]> {
  return session.rows<Membership & Record<string, unknown>>(sql.memberships(session.versionNum), [names]);
}

export async function settingsOf(session: Session, names: string[]): Promise<RoleSetting[]> {
  return session.rows<RoleSetting & Record<string, unknown>>(sql.roleSettings, [names]);
}

/** The bar sets it in the database of the upgrade, and opening puts back what was there. */
export function isOfBar({ thisDatabase, name }: RoleSetting): boolean {
  return thisDatabase && name === 'default_transaction_read_only';
}

async function knownOnTarget(
  target: Session,
  needed: string[],
): Promise<{ roles: Set<string>; settings: Set<string> }> {
  const predefined = await target.rows<{ name: string }>(sql.predefinedRoles);
  const settings = await target.rows<{ name: string }>(
    'select pg_catalog.lower(name) as name from pg_catalog.pg_settings',
  );
  return {
    roles: new Set([...needed, ...predefined.map(({ name }) => name)]),
    settings: new Set(settings.map(({ name }) => name)),
  };
}

/** Which roles have different verifiers; null when the source's cannot be read. The verifiers stay in here. */
async function compareVerifiers(
  source: Session,
  target: Session,
  names: string[],
): Promise<{ different: Set<string> } | null> {
  if (!(await mayReadVerifiers(source))) return null;
  if (!(await mayReadVerifiers(target))) return { different: new Set() };
  type Row = { name: string; verifier: string | null };
  const theirs = new Map((await source.rows<Row>(sql.verifiers, [names])).map((row) => [row.name, row.verifier]));
  const ours = await target.rows<Row>(sql.verifiers, [names]);
  return { different: new Set(ours.filter((row) => theirs.get(row.name) !== row.verifier).map(({ name }) => name)) };
}

export async function mayReadVerifiers(session: Session): Promise<boolean> {
  return (await session.row<{ readable: boolean }>(sql.mayReadVerifiers)).readable;
}

export async function readVerifiers(
  source: Session,
  roles: RoleAttributes[],
  passwords: ReadonlyMap<string, string> | undefined,
): Promise<Map<string, string>> {
  const secrets = new Map<string, string>();
  const carried = roles.map(({ name }) => name).filter((name) => !passwords?.has(name));
  if (carried.length > 0 && (await mayReadVerifiers(source))) {
    for (const row of await source.rows<{ name: string; verifier: string | null }>(sql.verifiers, [carried])) {
      if (row.verifier !== null) secrets.set(row.name, row.verifier);
    }
  }
  for (const { name } of roles) {
    const password = passwords?.get(name);
    if (password !== undefined) secrets.set(name, scramVerifier(password));
  }
  return secrets;
}

const COMPARED = ['superuser', 'inherit', 'createRole', 'createDatabase', 'login', 'replication', 'bypassRls'] as const;

function differingAttributes(wanted: RoleAttributes, held: RoleAttributes): string[] {
  const flags = COMPARED.filter((attribute) => wanted[attribute] !== held[attribute]).map(
    (attribute) => `${attribute} is ${held[attribute]}, not ${wanted[attribute]}`,
  );
  if (wanted.connectionLimit !== held.connectionLimit) flags.push(`connectionLimit is ${held.connectionLimit}`);
  if (wanted.validUntil !== held.validUntil) flags.push(`validUntil is ${held.validUntil ?? 'not set'}`);
  return flags;
}

/** What of `wanted` for one role is not equally in `held`. */
function missingFrom<Row extends Membership | RoleSetting, Key extends keyof Row>(
  wanted: Row[],
  held: Row[],
  name: string,
  key: Key,
  say: (row: Row) => string,
): string[] {
  const same = new Set(held.map((row) => JSON.stringify(comparable(row))));
  return wanted.filter((row) => row[key] === name && !same.has(JSON.stringify(comparable(row)))).map(say);
}

/** As `comparable`, with the options of a membership that the target has. */
function exactly(row: Membership | RoleSetting, { versionNum }: Session): string {
  const options = 'member' in row && versionNum >= PG16 ? [row.inherit, row.set] : [];
  return JSON.stringify([...comparable(row), ...options]);
}

function comparable(row: Membership | RoleSetting): unknown[] {
  return 'member' in row ? [row.member, row.role, row.admin] : [row.role, row.thisDatabase, row.name, row.value];
}
