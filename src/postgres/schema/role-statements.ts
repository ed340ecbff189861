import { PG16 } from '../../shared/server-version.js';
import { identifier, literal } from '../quoting.js';
import { tokens } from './sql-text.js';

export interface RoleAttributes {
  name: string;
  superuser: boolean;
  inherit: boolean;
  createRole: boolean;
  createDatabase: boolean;
  login: boolean;
  replication: boolean;
  bypassRls: boolean;
  /** -1: no limit. */
  connectionLimit: number;
  /** As the server prints it in UTC, `infinity` included; null: never set. */
  validUntil: string | null;
}

export interface Membership {
  member: string;
  role: string;
  admin: boolean;
  inherit: boolean;
  set: boolean;
}

export interface RoleSetting {
  role: string;
  /** Set for this database only, else for every one. */
  thisDatabase: boolean;
  name: string;
  /** As stored: for settings that are lists of names, a list with each name quoted where needed. */
  value: string;
}

/** The statement carries the verifier: it is run and forgotten. */
export function createRole(role: RoleAttributes, verifier: string | null): string {
  const flag = (on: boolean, word: string) => (on ? word : `no${word}`);
  return [
    `create role ${identifier(role.name)}`,
    // Only superusers may name SUPERUSER, REPLICATION and BYPASSRLS at all on older servers, so "no" goes unsaid.
    ...(role.superuser ? ['superuser'] : []),
    ...(role.replication ? ['replication'] : []),
    ...(role.bypassRls ? ['bypassrls'] : []),
    flag(role.inherit, 'inherit'),
    flag(role.createRole, 'createrole'),
    flag(role.createDatabase, 'createdb'),
    flag(role.login, 'login'),
    `connection limit ${role.connectionLimit}`,
    ...(role.validUntil === null ? [] : [`valid until ${literal(role.validUntil)}`]),
    ...(verifier === null ? [] : [`password ${literal(verifier)}`]),
  ].join(' ');
}

/** What of a role is to be changed; a verifier of null takes the password away. */
export type RoleChanges = Partial<Omit<RoleAttributes, 'name' | 'login'>> & { verifier?: string | null };

/** Says only what changes: a login may lack the right to name the rest. The statement may carry a verifier. */
export function alterRole(name: string, changes: RoleChanges): string {
  const flag = (on: boolean | undefined, word: string) => (on === undefined ? [] : [on ? word : `no${word}`]);
  const { connectionLimit, validUntil, verifier } = changes;
  return [
    `alter role ${identifier(name)}`,
    ...flag(changes.superuser, 'superuser'),
    ...flag(changes.replication, 'replication'),
    ...flag(changes.bypassRls, 'bypassrls'),
    ...flag(changes.inherit, 'inherit'),
    ...flag(changes.createRole, 'createrole'),
    ...flag(changes.createDatabase, 'createdb'),
    ...(connectionLimit === undefined ? [] : [`connection limit ${connectionLimit}`]),
    ...(validUntil === undefined ? [] : [`valid until ${literal(validUntil ?? 'infinity')}`]),
    ...(verifier === undefined ? [] : [`password ${verifier === null ? 'null' : literal(verifier)}`]),
  ].join(' ');
}

export function grantMembership({ member, role, admin, inherit, set }: Membership, versionNum: number): string {
  const grant = `grant ${identifier(role)} to ${identifier(member)}`;
  if (versionNum < PG16) return admin ? `${grant} with admin option` : grant;
  return `${grant} with admin ${admin}, inherit ${inherit}, set ${set}`;
}

/**
 * Lets the login own and hand over objects as the role it created. From 16 on creating a role makes its creator, unless
 * a superuser, its administrator only.
 */
export function becomeRole(role: string): string {
  return `grant ${identifier(role)} to current_user with inherit true, set true`;
}

/** Settings whose value is a list of names; given as one literal, such a list would become a single name. */
const NAME_LISTS = new Set([
  ...['search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries'],
  ...['shared_preload_libraries', 'unix_socket_directories', 'restrict_nonsystem_relation_kind'],
]);

export function alterRoleSettings(setting: RoleSetting, database: string): string {
  const place = setting.thisDatabase ? ` in database ${identifier(database)}` : '';
  const name = setting.name
    .split('.')
    .map((part) => identifier(part))
    .join('.');
  const value = NAME_LISTS.has(setting.name.toLowerCase())
    ? listedNames(setting.value)
        .map((part) => literal(part))
        .join(', ')
    : literal(setting.value);
  return `alter role ${identifier(setting.role)}${place} set ${name} to ${value || `''`}`;
}

/** `"$user", public` -> `$user`, `public`. */
function listedNames(value: string): string[] {
  const names: string[] = [];
  let current = '';
  for (const { kind, text } of tokens(value)) {
    if (kind === 'space') continue;
    if (text === ',') {
      names.push(current);
      current = '';
    } else current += kind === 'quoted-name' ? text.slice(1, -1).replaceAll('""', '"') : text;
  }
  if (current !== '' || names.length > 0) names.push(current);
  return names;
}
