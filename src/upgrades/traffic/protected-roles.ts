import { SUBSCRIPTION_OWNERS } from '../../postgres/catalog/preflight-roles.sql.js';
import type { Session } from '../../postgres/session.js';

/**
 * Roles of this server that the fence must never bar: Lockstep's own login, which also owns the subscription it
 * creates here; the user with which the other server replicates from here; and owners of subscriptions that exist
 * (a NOLOGIN owner gets no apply worker).
 */
export async function protectedRoles(session: Session, connectionUsers: string[]): Promise<string[]> {
  const { login } = await session.row<{ login: string }>('select session_user::text as login');
  const owners = await session.rows<{ name: string }>(SUBSCRIPTION_OWNERS);
  return [...new Set([login, ...connectionUsers, ...owners.map(({ name }) => name)])].sort();
}
