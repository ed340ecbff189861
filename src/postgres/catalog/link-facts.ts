import type { Session } from '../session.js';
import { SUBSCRIPTION_ORIGIN, SYSTEM_IDENTIFIER } from './link-facts.sql.js';
import { variantFor } from './variant.js';

/** @param oid of the subscription; its origin is `pg_<oid>` */
export async function hasOrigin(session: Session, oid: number): Promise<boolean> {
  const sql = variantFor(SUBSCRIPTION_ORIGIN, session.versionNum);
  return (await session.row<{ present: boolean }>(sql, [oid])).present;
}

/** Who the server is, and who asked; `identifier` is null where the login may not know. */
export function readSystemIdentifier(session: Session): Promise<{ identifier: string | null; login: string }> {
  return session.row(variantFor(SYSTEM_IDENTIFIER, session.versionNum));
}
