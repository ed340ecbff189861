import type { Session } from '../session.js';
import { mayHaveSubscriptions } from './subscription-access.js';
import {
  SUBSCRIPTION_SLOT_CONNECTIONS,
  SUBSCRIPTION_SLOTS,
  SUBSCRIPTIONS_BEING_CHANGED,
  SYNCHRONIZATION_SLOTS,
  SYNCHRONIZATION_STATE,
} from './subscription-slots.sql.js';
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

interface SlotRow {
  oid: string;
  name: string;
  database: string;
  slot_name: string | null;
  [column: string]: unknown;
}

export async function readSubscriptionSlots(session: Session): Promise<SubscriptionSlot[]> {
  if (!(await mayHaveSubscriptions(session))) return [];
  const version = session.versionNum;
  const rows = await session.rows<SlotRow>(variantFor(SUBSCRIPTION_SLOTS, version));
  if (rows.length === 0) return [];
  const { connections } = await session.row<{ connections: boolean }>(variantFor(READABLE, version));
  const conninfos = connections
    ? await session.rows<{ oid: string; conninfo: string }>(variantFor(SUBSCRIPTION_SLOT_CONNECTIONS, version))
    : [];
  const conninfoOf = new Map(conninfos.map(({ oid, conninfo }) => [oid, conninfo]));
  return rows.map(({ oid, name, database, slot_name }) => ({
    ...{ oid, name, database, slotName: slot_name },
    conninfo: conninfoOf.get(oid) ?? null,
  }));
}

/** A table in a subscription, by their oids. */
export interface Synchronized {
  subscription: string;
  relation: string;
}

/** Those of the tables that are still being synchronized, so that their own slots are in use or will be taken up again. */
export async function readSynchronizing(session: Session, asked: readonly Synchronized[]): Promise<Synchronized[]> {
  const sql = variantFor(SYNCHRONIZATION_STATE, session.versionNum);
  const oids = [asked.map(({ subscription }) => subscription), asked.map(({ relation }) => relation)];
  const rows = await session.rows<Synchronized & { state: string }>(sql, oids);
  return rows.filter(({ state }) => state !== 'r' && state !== 's');
}

/** Slots on the publisher of tables that a subscription of the session's database is copying or has just copied. */
export async function readSynchronizationSlots(
  session: Session,
  subscription: string,
  systemIdentifier: string,
): Promise<string[]> {
  const sql = variantFor(SYNCHRONIZATION_SLOTS, session.versionNum);
  const rows = await session.rows<{ slot: string }>(sql, [subscription, systemIdentifier]);
  return rows.map(({ slot }) => slot);
}

export interface SubscriptionsNow {
  /** Of all databases of the server. */
  subscriptions: SubscriptionSlot[];
  /** Oids of those that are being changed or dropped: of them it is not known yet. */
  inChange: Set<string>;
}

/** A subscription that is not in change is as whoever changed it last has left it: the locks are read first. */
export async function readSubscriptionsNow(session: Session): Promise<SubscriptionsNow> {
  const version = session.versionNum;
  const locks = await session.rows<{ oid: string }>(variantFor(SUBSCRIPTIONS_BEING_CHANGED, version));
  const subscriptions = await readSubscriptionSlots(session);
  return { subscriptions, inChange: new Set(locks.map(({ oid }) => oid)) };
}
