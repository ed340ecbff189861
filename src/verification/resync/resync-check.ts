import { RESYNC_OBSTACLES } from '../../postgres/catalog/resync.sql.js';
import { readSubscriptions } from '../../postgres/catalog/subscriptions.js';
import { variantFor } from '../../postgres/catalog/variant.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { catalogTables, type LinkSubscription, readLinkTables, readSubscription } from '../at-rest/read-shapes.js';
import { tableId, type TableName, type TableShape } from '../at-rest/table-shape.js';

export interface ResyncSubject {
  subscription: LinkSubscription & { slotName: string };
  shape: TableShape;
  /** Whether triggers must be kept from firing; the login may do so. */
  quiet: boolean;
}

interface Obstacles extends Record<string, unknown> {
  subscriptions: string[] | null;
  publications: string[] | null;
  triggers: boolean;
  mayQuiet: boolean;
}

/** A refresh alone copies only tables that the subscription does not have. */
const COPY_BY_REFRESH =
  'Take away what is in the way; or take the table out of its publications, refresh the subscription, empty the table on the subscriber, publish it again, and refresh once more.';

/**
 * What it takes to copy the table afresh. Rejects with PREREQUISITE_FAILED, and what to do instead, where that would
 * not be right; with NOT_FOUND for an unknown subscription.
 */
export async function checkResync(
  publisher: Session,
  subscriber: Session,
  name: string,
  table: TableName,
): Promise<ResyncSubject> {
  const subscription = await readSubscription(subscriber, name);
  const { slotName, enabled } = subscription;
  if (!enabled) refuse('the subscription is disabled', 'Enable it first: the copy is bound to what it has applied.');
  if (slotName === null) throw refusal('the subscription has no replication slot', 'Give it one and enable it.');
  const [detail] = await readSubscriptions(subscriber, name);
  if (detail?.twoPhaseState === 'enabled') {
    refuse(
      'two_phase is enabled',
      'A table in prepared transactions cannot be held, and a refresh copies none either. Where both sides are 18 or newer, disable the subscription, set twoPhase to false, enable it, and try again; else mend the rows that differ.',
    );
  }
  const { comparable, notComparable } = await readLinkTables(publisher, subscriber, subscription, [table]);
  const [shape] = comparable;
  if (!shape) {
    const reason = notComparable[0]?.reason ?? 'the subscription does not carry the table';
    throw refusal(reason, COPY_BY_REFRESH);
  }
  await refuseOwnColumns(subscriber, shape);
  const quiet = await refuseOthers(subscriber, subscription, shape);
  return { subscription: { ...subscription, slotName }, shape, quiet };
}

async function refuseOwnColumns(subscriber: Session, shape: TableShape): Promise<void> {
  const found = (await catalogTables(subscriber, [shape])).get(tableId(shape));
  const published = new Set(shape.columns.map(({ name }) => name));
  const own = (found?.columns ?? []).filter(({ name, generated }) => !generated && !published.has(name));
  if (own.length === 0) return;
  const names = own.map(({ name }) => JSON.stringify(name)).join(', ');
  refuse(
    `the subscriber's table has columns that are not published, and whose values would be lost: ${names}`,
    'Mend the rows that differ instead; a verification tells which.',
  );
}

/** Answers whether triggers must be kept quiet. */
async function refuseOthers(subscriber: Session, { oid }: LinkSubscription, shape: TableShape): Promise<boolean> {
  const { schema, name } = shape;
  const found = await subscriber.row<Obstacles>(variantFor(RESYNC_OBSTACLES, subscriber.versionNum), [
    schema,
    name,
    oid,
  ]);
  if (found.subscriptions) {
    const names = found.subscriptions.join(', ');
    refuse(
      `the table is written by other subscriptions too, whose rows would be lost: ${names}`,
      'Mend single rows instead.',
    );
  }
  if (found.publications) {
    const names = found.publications.join(', ');
    refuse(
      `the subscriber publishes the table itself, so all rows would be sent on as deleted and inserted: ${names}`,
      'Take it out of those publications for the time of the copy, or mend single rows instead.',
    );
  }
  if (!found.triggers || found.mayQuiet) return found.triggers;
  throw new Problem('SERVER_PRIVILEGE_MISSING', 'triggers or foreign keys of the table would fire while it is copied', {
    hint:
      'As superuser on the subscriber: grant set on parameter session_replication_role to the login ' +
      '(15 and newer; below, only a superuser may set it).',
  });
}

function refuse(detail: string, hint: string): void {
  throw refusal(detail, hint);
}

function refusal(detail: string, hint: string): Problem {
  return new Problem('PREREQUISITE_FAILED', `the table cannot be copied afresh: ${detail}`, { hint });
}
