import type { Subscription } from '../postgres/catalog/subscriptions.js';
import { dropSubscription, dropSubscriptionKeepingSlot } from '../postgres/ddl/subscription.ddl.js';
import type { Statement } from '../postgres/ddl/statement.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import type { SubscriptionView } from './subscription-view.js';

/** What a dropped subscription leaves on its publisher; a slot left there keeps WAL until it is dropped. */
export interface DroppedSubscription {
  name: string;
  slotLeft: {
    name: string;
    publisher: { server: string; database: string } | null;
    host: string | null;
    port: string | null;
  } | null;
}

export function dropStatements(current: Subscription, slot: 'drop' | 'keep'): Statement[] {
  const { slotName } = current.settings;
  if (slotName === null) return dropSubscription(current.name, false);
  return slot === 'drop' ? dropSubscription(current.name, true) : dropSubscriptionKeepingSlot(current.name);
}

export function leftBehind(view: SubscriptionView, slot: 'drop' | 'keep'): DroppedSubscription {
  const { name, slotName, publisher, connection } = view;
  if (slot === 'drop' || slotName === null) return { name, slotLeft: null };
  const [host, port] = [connection?.host ?? null, connection?.port ?? null];
  return { name, slotLeft: { name: slotName, publisher, host, port } };
}

/** The subscriber could not reach the publisher, or the slot there is in use. 13 says so without a SQLSTATE of its own. */
const PUBLISHER_STATES = new Set(['08006', '08001', 'XX000']);

/** DROP SUBSCRIPTION fails as a whole when its slot cannot be dropped: nothing was changed, and there is a way out. */
export function explainDropFailure(
  session: Session,
  view: SubscriptionView,
  slot: 'drop' | 'keep',
  error: unknown,
): unknown {
  const fromPublisher = error instanceof Problem && session.alive && PUBLISHER_STATES.has(error.options.sqlstate ?? '');
  if (!fromPublisher || slot === 'keep') return error;
  return new Problem(
    'CONFLICT',
    `the slot could not be dropped on the publisher, so nothing was dropped: ${error.detail}`,
    {
      hint: `Try again when the publisher is back, or drop with ?slot=keep: the slot ${view.slotName ?? ''} then stays on the publisher and must be dropped there.`,
      sqlstate: error.options.sqlstate ?? '',
      retryable: true,
      cause: error,
    },
  );
}
