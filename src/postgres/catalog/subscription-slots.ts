import type { Session } from '../session.js';
import { SUBSCRIPTION_SLOT_CONNECTIONS, SUBSCRIPTION_SLOTS, SYNCHRONIZATION_STATE } from './subscription-slots.sql.js';
import { READABLE } from './subscriptions.sql.js';
import { variantFor } from './variant.js';

/** A subscription of any database of the server, with where its slot is. */
export interface SubscriptionSlot {
  oid: string;
  name: string;
  database: string;
  slotName: string | null;
  /** With secrets; null where the login may not read it. */
  conninfo: string | null;
}

export async function readSubscriptionSlots(session: Session): Promise<SubscriptionSlot[]> {
  const version = session.versionNum;
  const rows = await session.rows<{ oid: string; name: string; database: string; slot_name: string | null }>(
    variantFor(SUBSCRIPTION_SLOTS, version),
  );
  if (rows.length === 0) return [];
  const { connections } = await session.row<{ connections: boolean }>(variantFor(READABLE, version));
  const conninfos = connections
    ? await session.rows<{ oid: string; conninfo: string }>(variantFor(SUBSCRIPTION_SLOT_CONNECTIONS, version))
    : [];
  const conninfoOf = new Map(conninfos.map(({ oid, conninfo }) => [oid, conninfo]));
  return rows.map(({ slot_name, ...row }) => ({
    ...row,
    slotName: slot_name,
    conninfo: conninfoOf.get(row.oid) ?? null,
  }));
}

/** Whether the table is still being synchronized, so that its own slot is in use or will be taken up again. */
export async function isSynchronizing(session: Session, subscription: string, table: string): Promise<boolean> {
  const sql = variantFor(SYNCHRONIZATION_STATE, session.versionNum);
  const [row] = await session.rows<{ state: string }>(sql, [subscription, table]);
  return row !== undefined && row.state !== 'r' && row.state !== 's';
}
