import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import type { Subscription, SubscriptionSettings } from '../postgres/catalog/subscriptions.js';
import type { Conninfo } from '../postgres/ddl/conninfo.js';
import type { LsnHistory } from '../lsn-clock/lsn-history.js';
import { lagOf, type SubscriptionLag, unknownLag } from './subscription-lag.js';
import { type StateVerdict, stateOf } from './subscription-state.js';

/** What was found at the publisher's end of a subscription. */
export interface PublisherEnd {
  /** Null: the connection leads to no registered server, or may not be read. */
  publisher: { server: string; database: string } | null;
  slot: ReplicationSlot | null;
  /** Of the publisher's WAL; null when not known. */
  history: LsnHistory | null;
  /** Why there is no figure from the publisher; null when its slot was looked for. */
  unknown: string | null;
}

/** A subscription as the API shows it: both ends together. */
export interface SubscriptionView
  extends Omit<Subscription, 'settings' | 'oid' | 'originReadable'>, StateVerdict, Pick<PublisherEnd, 'publisher'> {
  slotName: string | null;
  options: Omit<SubscriptionSettings, 'slotName'> & { enabled: boolean; slotName: string | null };
  /** Parameters of the connection string without secrets; null when the login may not read it. */
  connection: Conninfo | null;
  /** The slot as the publisher sees it; null when not known. */
  slot: ReplicationSlot | null;
  lag: SubscriptionLag;
}

export function viewOf(subscription: Subscription, connection: Conninfo | null, end: PublisherEnd): SubscriptionView {
  const { settings, oid: _oid, originReadable: _readable, ...rest } = subscription;
  return {
    ...rest,
    ...stateOf(subscription),
    slotName: settings.slotName,
    options: { enabled: subscription.enabled, ...settings },
    connection,
    publisher: end.publisher,
    slot: end.slot,
    lag: end.unknown === null ? lagOf(subscription, end.slot, end.history) : unknownLag(end.unknown),
  };
}
