import type { Subscription } from '../postgres/catalog/subscriptions.js';
import { dropSubscription, dropSubscriptionUnheard } from '../postgres/ddl/subscription.ddl.js';
import type { Statement } from '../postgres/ddl/statement.js';
import type { Session } from '../postgres/session.js';
import { COMBINATION_RULES } from '../postgres/ddl/options/combination-rules.js';
import { Problem } from '../problems/problem.js';
import type { Place } from '../changes/change.js';
import type { LeavingSlot } from './left-slots/left-slot.repository.js';
import { type CleanUp, cleanUpOf } from './left-slots/left-slots.service.js';
import { hostOf } from './publisher-lookup.js';
import type { SubscriptionWarning } from './subscription-warnings.js';
import type { SubscriptionView } from './subscription-view.js';

/** What a dropped subscription leaves on its publisher; a slot left there keeps WAL until it is dropped. */
export interface DroppedSubscription {
  name: string;
  slotLeft: SlotLeft | null;
  /** Of tables whose copy was under way. */
  tableSlotsLeft: SlotLeft[];
}

export interface SlotLeft {
  name: string;
  publisher: { server: string; database: string } | null;
  /** By the connection string; null where it could not be read. */
  host: string | null;
  port: string | null;
  database: string | null;
  cleanUp: CleanUp;
}

/** One that has no slot is dropped without the publisher either way. */
export function isDroppedUnheard({ settings }: Subscription, slot: 'drop' | 'keep'): boolean {
  return slot === 'keep' || settings.slotName === null;
}

export function dropStatements(current: Subscription, slot: 'drop' | 'keep', versionNum: number): Statement[] {
  return isDroppedUnheard(current, slot)
    ? dropSubscriptionUnheard(current.name, versionNum)
    : dropSubscription(current.name, true);
}

/** What stays on the publisher when the subscription is dropped without its slot; null: it has none. */
export function slotLeftBy(view: SubscriptionView, slotName = view.slotName): SlotLeft | null {
  const { publisher, connection } = view;
  if (slotName === null) return null;
  const [host, port] = [hostOf(connection ?? {}) ?? null, connection?.port ?? null];
  const database = publisher?.database ?? connection?.dbname ?? connection?.user ?? null;
  return { name: slotName, publisher, host, port, database, cleanUp: cleanUpOf(publisher?.server ?? null, slotName) };
}

/** As it is recorded. */
export function leavingSlot(
  { server, database }: Place,
  { name, oid }: Pick<SubscriptionView, 'name' | 'oid'>,
  { name: slot, publisher, host, port, database: publisherDatabase }: SlotLeft,
): Omit<LeavingSlot, 'systemIdentifier'> {
  return {
    ...{ slot, publisherServer: publisher?.server ?? null, publisherDatabase: publisherDatabase ?? '' },
    ...{ host: host ?? '', port: port ?? '' },
    ...{ subscriberServer: server, subscriberDatabase: database, subscription: name, subscriptionOid: oid },
  };
}

/** What makes the drop other than it looks; before it is tried. */
export function dropWarnings(view: SubscriptionView, slot: 'drop' | 'keep'): SubscriptionWarning[] {
  if (slot === 'keep' || view.slotName === null || view.publisher === null || view.slot !== null) return [];
  const { instead } = COMBINATION_RULES['drop-needs-publisher'];
  const detail = `${view.lag.reason ?? 'the publisher does not show the slot'}: the drop may be refused. ${instead}`;
  return [{ rule: 'drop-needs-publisher', option: null, detail }];
}

/**
 * The subscriber could not reach the publisher, in time or at all, or the slot there is in use. 13 says so without a
 * SQLSTATE of its own.
 */
const PUBLISHER_STATES = new Set(['08006', '08001', '57014', 'XX000']);

/** Whether the drop failed for the publisher's sake, and the session can go on. */
export function isFromPublisher(session: Session, error: unknown): error is Problem {
  return error instanceof Problem && session.alive && PUBLISHER_STATES.has(error.options.sqlstate ?? '');
}

/** DROP SUBSCRIPTION fails as a whole when its slot cannot be dropped: nothing was changed, and there is a way out. */
export function explainDropFailure(session: Session, view: SubscriptionView, error: unknown): unknown {
  if (!isFromPublisher(session, error)) return error;
  return new Problem(
    'CONFLICT',
    `the slot could not be dropped on the publisher, so nothing was dropped: ${error.detail}`,
    {
      hint: `Try again when the publisher is back, or drop with ?slot=keep, which disables it, parts it from its slot and drops it: the slot ${view.slotName ?? ''} then stays on the publisher, where it keeps WAL, and is listed at /v1/orphaned-slots until it is dropped there.`,
      extra: { rule: 'drop-needs-publisher', retryWith: '?slot=keep', wouldStay: slotLeftBy(view) },
      sqlstate: error.options.sqlstate ?? '',
      retryable: true,
      cause: error,
    },
  );
}
