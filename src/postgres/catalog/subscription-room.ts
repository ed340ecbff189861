import { PG14 } from '../../shared/server-version.js';
import type { Session } from '../session.js';
import { EXISTING_ORIGINS, type RoomRow, subscriptionRoom, TRACKED_ORIGINS } from './replication-capacity.sql.js';
import { mayHaveSubscriptions } from './subscription-access.js';
import { READABLE } from './subscriptions.sql.js';
import { variantFor } from './variant.js';

/** What a server has room for where subscriptions run, and what others than the one asked for take of it. */
export interface SubscriptionRoom extends RoomRow {
  versionNum: number;
  /** Origins that are tracked or will be; where `originsExact` is false, at most so many. */
  origins: number;
  originsExact: boolean;
}

/**
 * @param subscription the oid of the one that is asked for; null: one that is not there yet
 * @returns null where the login may not read it: up to 13, of a server that has no subscription
 */
export async function readSubscriptionRoom(
  session: Session,
  subscription: number | null,
): Promise<SubscriptionRoom | null> {
  const { versionNum } = session;
  if (versionNum < PG14 && !(await mayHaveSubscriptions(session))) return null;
  const { origins: exact } = await session.row<{ origins: boolean }>(variantFor(READABLE, versionNum));
  const row = await session.row<RoomRow & Record<string, unknown>>(subscriptionRoom(versionNum), [subscription]);
  const sql = exact ? TRACKED_ORIGINS : EXISTING_ORIGINS;
  const { origins } = await session.row<{ origins: number }>(sql, [subscription]);
  return { ...row, versionNum, origins, originsExact: exact };
}
