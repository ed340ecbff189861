import {
  type AclItem,
  DATABASE_ACL,
  DATABASE_ACL_ITEMS,
  ROLE_STATE,
  type RoleStateRow,
  ROLES_KEEPING_CONNECT,
} from '../../postgres/catalog/fence.sql.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import type { FencedRole, FenceRecord } from './fence-record.js';

export interface FencePlan {
  roles: { oid: number; name: string; canLoginWhenOpen?: boolean }[];
  excluded: string[];
}

interface KeepingRow {
  oid: number;
  name: string;
  excluded: boolean;
  /** Roles to be barred that inherit this one's privileges, and so its CONNECT. */
  inheritedBy: number[];
}

/**
 * Records, for the session's database, what the fence will change; changes nothing. A role is barred by NOLOGIN
 * unless it has a session, an object, a grant or a database elsewhere in the server: then only CONNECT is taken.
 * Logins that cannot write keep CONNECT by a grant of their own. One that inherits CONNECT from an excluded role
 * can only be barred by NOLOGIN, and the record says so.
 */
export async function planFence(session: Session, { roles, excluded }: FencePlan): Promise<FenceRecord> {
  const database = await session.row<{ oid: number; name: string; owner: number; datacl: string | null }>(DATABASE_ACL);
  const acl = await session.rows<AclItem>(DATABASE_ACL_ITEMS);
  const states = await session.rows<RoleStateRow>(ROLE_STATE, [roles.map(({ oid }) => oid)]);
  const gone = roles.filter(({ oid }) => !states.some((state) => state.oid === oid));
  if (gone.length > 0) {
    throw new Problem('CONFLICT', `roles vanished while the fence was planned: ${gone.map((r) => r.name).join(', ')}`);
  }
  const elsewhere = states.filter((state) => state.usedElsewhere).map(({ oid }) => oid);
  const keeping =
    elsewhere.length === 0
      ? []
      : await session.rows<KeepingRow>(ROLES_KEEPING_CONNECT, [roles.map(({ oid }) => oid), excluded]);
  const inheriting = new Map<number, string>();
  for (const keeper of keeping.filter((row) => row.excluded)) {
    for (const oid of keeper.inheritedBy) inheriting.set(oid, keeper.name);
  }
  const fenced = states.map((state): FencedRole => {
    const via = inheriting.get(state.oid);
    const method = state.usedElsewhere && via === undefined ? 'revoke-connect' : 'nologin';
    const wanted = roles.find(({ oid }) => oid === state.oid)!;
    return {
      oid: state.oid,
      name: state.name,
      method,
      note: note(state.usedElsewhere, via),
      canLogin: state.canLogin,
      canLoginWhenOpen: wanted.canLoginWhenOpen ?? state.canLogin,
      // Only what the fence changes: other settings may hold secrets of the application.
      settings: state.settings?.filter((setting) => setting.startsWith('default_transaction_read_only=')) ?? null,
    };
  });
  const revoked = fenced.filter(({ method }) => method === 'revoke-connect').map(({ oid }) => oid);
  const keepConnect = keeping
    .filter((row) => revoked.length > 0 && !row.inheritedBy.some((oid) => revoked.includes(oid)))
    .map(({ oid, name }) => ({ oid, name }));
  const { datacl, ...identity } = database;
  return { database: identity, datacl, acl, roles: fenced, keepConnect };
}

function note(usedElsewhere: boolean, inheritsFrom: string | undefined): string | null {
  if (!usedElsewhere) return null;
  if (inheritsFrom === undefined) return 'used in other databases of this server, so only CONNECT to this one is taken';
  return `used in other databases too, but inherits CONNECT from ${inheritsFrom}, so its login is taken in the whole server`;
}
