import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import type { SubscriptionRoom } from '../postgres/catalog/subscription-room.js';
import type { SubscribedTable, Subscription, SubscriptionSettings } from '../postgres/catalog/subscriptions.js';
import type { Conninfo } from '../postgres/ddl/conninfo.js';
import type { LsnHistory } from '../lsn-clock/lsn-history.js';
import { aheadOfPublisher, lagOf, type SubscriptionLag, unknownLag } from './subscription-lag.js';
import type { ApplyEvidence } from './apply-observations.js';
import { keyOf } from './copy-observations.js';
import {
  type CopyProgress,
  copyProgressOf,
  type KnownSizes,
  overallProgress,
  type SubscriptionCopyProgress,
} from './copy-progress.js';
import { type ServingEnd, type StateVerdict, stateOf } from './subscription-state.js';
import { ignoredSettings, type SubscriptionWarning } from './subscription-warnings.js';
import type { VerificationNeed } from './tables-needing-verification.repository.js';

/** What was found at the publisher's end of a subscription. */
export interface PublisherEnd {
  /** Null: the connection leads to no registered server, or may not be read. */
  publisher: { server: string; database: string } | null;
  slot: ReplicationSlot | null;
  /** Of the publisher's WAL; null when not known. */
  history: LsnHistory | null;
  /** Why there is no figure from the publisher; null when its slot was looked for. */
  unknown: string | null;
  /** `state` of the walsender that serves the slot; null: none, or not to be seen. */
  senderState: string | null;
  /** The publisher's `server_version_num`, as last seen; null: not a registered server. */
  versionNum: number | null;
  /** Of the subscribed tables; looked for only while tables are copied. */
  sizes: KnownSizes;
}

/** How the subscriber was looked at. */
export interface SubscriberLook {
  versionNum: number;
  evidence: ApplyEvidence;
  /** For all its subscriptions; null: not looked at, or not known. */
  room: SubscriptionRoom | null;
}

/** A subscription as the API shows it: both ends together. */
export interface SubscriptionView
  extends Omit<Subscription, 'settings' | 'originReadable' | 'tables'>, StateVerdict, Pick<PublisherEnd, 'publisher'> {
  slotName: string | null;
  options: Omit<SubscriptionSettings, 'slotName'> & { enabled: boolean; slotName: string | null };
  /** Parameters of the connection string without secrets; null when the login may not read it. */
  connection: Conninfo | null;
  /** The slot as the publisher sees it; null when not known. */
  slot: ReplicationSlot | null;
  lag: SubscriptionLag;
  tables: SubscribedTableView[];
  /** Of all its tables; null: none is being copied. */
  copyProgress: SubscriptionCopyProgress | null;
  warnings: SubscriptionWarning[];
}

export interface SubscribedTableView extends Omit<SubscribedTable, 'copyProgress'> {
  /** Null: it is not being copied. */
  copyProgress: CopyProgress | null;
  /** What speaks for its first copy failing or standing still; null: nothing that was seen. */
  copyFailure: string | null;
  /** Why it may differ; null: nothing that we know of speaks for it. */
  needsVerification: VerificationNeed | null;
}

/** Without the needs for verification, which our own state knows. */
export function viewOf(
  subscription: Subscription,
  connection: Conninfo | null,
  end: PublisherEnd,
  { versionNum, evidence, room }: SubscriberLook,
): SubscriptionView {
  const { settings, originReadable: _readable, tables, ...rest } = subscription;
  return {
    ...rest,
    ...stateOf(subscription, evidence, servingEnd(subscription, end), room),
    slotName: settings.slotName,
    options: { enabled: subscription.enabled, ...settings },
    connection,
    publisher: end.publisher,
    slot: end.slot,
    tables: tables.map((table) => ({
      ...table,
      copyProgress: copyProgressOf(table, end.sizes, versionNum),
      copyFailure: evidence.copies.get(keyOf(table))?.reason ?? null,
      needsVerification: null,
    })),
    copyProgress: overallProgress(tables, end.sizes, versionNum),
    warnings: ignoredSettings(settings, versionNum, end.versionNum),
    lag: end.unknown === null ? lagOf(subscription, end.slot, end.history) : unknownLag(end.unknown),
  };
}

/** Of a publisher that is not registered nothing can be said. */
function servingEnd({ settings, originLsn }: Subscription, end: PublisherEnd): ServingEnd {
  const { publisher, slot, unknown, senderState } = end;
  const ahead = publisher === null ? null : aheadOfPublisher(originLsn, slot);
  const obstacle = () => {
    if (publisher === null || settings.slotName === null) return null;
    if (unknown !== null) return unknown;
    if (slot === null) return `the slot ${settings.slotName} does not exist on the publisher`;
    if (slot.walStatus === 'lost') return `the slot ${slot.name} is lost: what was missed cannot be sent any more`;
    return ahead;
  };
  const away = publisher !== null && unknown !== null;
  return { obstacle: obstacle(), behind: ahead !== null, away, senderState };
}
