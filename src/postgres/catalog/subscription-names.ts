import type { Session } from '../session.js';
import { SUBSCRIPTION_NAMES } from './subscription-names.sql.js';
import { variantFor } from './variant.js';

export interface SubscriptionName {
  database: string;
  name: string;
}

/** Which subscriptions of a database: the one of that name, those of these names, or all (null). */
export type WhichSubscriptions = string | readonly string[] | null;

/** As statements take it. */
export function namesOf(which: WhichSubscriptions): readonly string[] | null {
  return typeof which === 'string' ? [which] : which;
}

/** Names of the subscriptions of the session's server, by database and name; only those of one database where given. */
export async function readSubscriptionNames(
  session: Session,
  {
    database,
    after,
    limit,
  }: { database?: string; after?: SubscriptionName | undefined; limit?: number | undefined } = {},
): Promise<SubscriptionName[]> {
  const sql = variantFor(SUBSCRIPTION_NAMES, session.versionNum);
  const parameters = [database ?? null, after?.database ?? null, after?.name ?? null, limit ?? null];
  return session.rows<SubscriptionName & Record<string, unknown>>(sql, parameters);
}
