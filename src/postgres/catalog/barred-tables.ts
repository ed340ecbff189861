import type { Session } from '../session.js';
import { BARRED_TABLES } from './barred-tables.sql.js';
import { namesOf, type WhichSubscriptions } from './subscription-names.js';
import { variantFor } from './variant.js';

/** A subscribed table whose changes cannot be applied: the owner of the subscription may not write it. */
export interface BarredTable {
  subscription: string;
  schema: string;
  name: string;
  owner: string;
  /** Whether the table's owner is a superuser. */
  superuser: boolean;
  subscriptionOwner: string;
  runAsOwner: boolean;
}

export async function readBarredTables(session: Session, which: WhichSubscriptions = null): Promise<BarredTable[]> {
  const rows = await session.rows<{
    subscription: string;
    schema: string;
    name: string;
    table_owner: string;
    superuser: boolean;
    subscription_owner: string;
    run_as_owner: boolean;
  }>(variantFor(BARRED_TABLES, session.versionNum), [namesOf(which)]);
  return rows.map(({ table_owner, subscription_owner, run_as_owner, ...row }) => ({
    ...row,
    owner: table_owner,
    subscriptionOwner: subscription_owner,
    runAsOwner: run_as_owner,
  }));
}
