import type { AclItem } from '../../postgres/catalog/fence.sql.js';

/**
 * How a role is kept out: `nologin` takes the login away in the whole server; `revoke-connect` takes only this
 * database away, for a role that is used in others.
 */
type FenceMethod = 'nologin' | 'revoke-connect';

/** One barred role as it was found. Roles are held by oid, so that a rename in between does no harm. */
export interface FencedRole {
  oid: number;
  name: string;
  method: FenceMethod;
  /** Why this method, where it needs saying. */
  note: string | null;
  canLogin: boolean;
  /** What opening sets; differs from `canLogin` only on an upgrade's target, where roles are created barred. */
  canLoginWhenOpen: boolean;
  /** ALTER ROLE ... IN DATABASE entries, `name=value`; null when there were none. */
  settings: string[] | null;
}

/**
 * Everything raising the fence changes, as it was before: plain JSON, stored before the first change. Lowering
 * restores these values and no defaults.
 */
export interface FenceRecord {
  database: { oid: number; name: string; owner: number };
  /** `pg_database.datacl` as text; null is PostgreSQL's default ACL. */
  datacl: string | null;
  /** The same, item by item, a null ACL spelt out. */
  acl: AclItem[];
  roles: FencedRole[];
  /** Roles granted CONNECT in their own name while others lose it; empty unless a role is barred that way. */
  keepConnect: { oid: number; name: string }[];
}

/** One record for a bar that took further roles in later; what was before it stays. */
export function extendRecord(first: FenceRecord, more: FenceRecord): FenceRecord {
  const byConnect = ({ roles }: FenceRecord) => roles.some(({ method }) => method === 'revoke-connect');
  const { acl, datacl } = byConnect(first) ? first : more;
  const { keepConnect } = byConnect(more) ? more : first;
  return { ...first, acl, datacl, keepConnect, roles: [...first.roles, ...more.roles] };
}

/**
 * One record for roles that were barred twice: opening restores what the later fence found (`later` was planned while
 * they were let in), putting back what it was before both.
 */
export function mergeRecords(first: FenceRecord, later: FenceRecord): FenceRecord {
  const before = new Map(first.roles.map((role) => [role.oid, role]));
  const roles = later.roles.map((role) => ({
    ...role,
    canLoginWhenOpen: role.canLogin,
    canLogin: before.get(role.oid)?.canLogin ?? role.canLogin,
  }));
  const fenced = new Set(roles.map(({ oid }) => oid));
  return { ...later, roles: [...roles, ...first.roles.filter(({ oid }) => !fenced.has(oid))] };
}
