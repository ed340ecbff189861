import { addColumn, renameColumn } from '../postgres/ddl/table-change.ddl.js';
import { agrees, disagrees } from './agreement/verdict.js';
import type { Drift } from './drift/drift.service.js';
import { onSubscriber, PHASES } from './drift/finding.js';
import { arrange } from './drift/mending.js';
import type { CheckedLink } from './link-agreement.service.js';

const PUBLISHER = { server: 'orders-14', database: 'orders' };
const SUBSCRIBER = { server: 'orders-18', database: 'orders' };
const LINK = { ...SUBSCRIBER, subscription: 'orders_sub' };
const TABLE = { schema: 'public', name: 'orders' };
const NOTE = { name: 'note', type: 'text', collation: null, notNull: false, default: null };

const SCHEMA_DRIFT = {
  ...{ state: 'drifted' as const, reason: 'column-missing public.orders.note, column-renamed public.orders.amount' },
  ...{ checkedAt: new Date('2026-07-01T12:05:00Z'), since: new Date('2026-07-01T12:00:00Z') },
};

const DRIFT: Drift = {
  ...SCHEMA_DRIFT,
  ...{ subscriber: LINK, publisher: PUBLISHER },
  fingerprints: { publisher: '5f1d7a84db00d2fce00b31a7fc73224f', subscriber: '9b74c9897bac770ffc029102a200c5de' },
  ...arrange(
    [
      {
        ...{ kind: 'column-missing', table: TABLE, column: 'note', side: 'subscriber', impact: 'stops-apply' },
        detail: 'the subscriber has no column "note" (text)',
        advice:
          'Where rows on the publisher have other values in it already that were never sent, resync the table then.',
        mends: onSubscriber(PHASES.extendSubscriber, addColumn(TABLE, NOTE)),
      },
      {
        ...{ kind: 'column-renamed', table: TABLE, column: 'amount', side: 'subscriber', impact: 'stops-apply' },
        detail:
          'the subscriber has no column "amount", but "total" of the same type in the same place, which the publisher has not',
        advice:
          'Rename it only if "amount" is "total" renamed. If it is a new column: alter table "public"."orders" add column "amount" integer',
        mends: onSubscriber(PHASES.optional, renameColumn(TABLE, 'total', 'amount')),
      },
    ],
    { publisher: PUBLISHER, subscriber: SUBSCRIBER },
  ),
};

const CHECKED_LINK: CheckedLink = {
  subscriber: LINK,
  publisher: {
    ...{ ...PUBLISHER, publications: ['orders_pub'] },
    slot: {
      ...{ name: 'orders_sub', kind: 'logical', plugin: 'pgoutput', database: 'orders', temporary: false },
      ...{ active: true, activePid: 4242, restartLsn: '0/5000028', confirmedFlushLsn: '0/5000060' },
      ...{ currentLsn: '0/5000060', retainedBytes: 56, walStatus: 'reserved', safeWalSize: null },
      ...{ xminAge: null, catalogXminAge: 12, twoPhase: false, failover: null, synced: null, conflicting: null },
      ...{ inactiveSince: null, invalidationReason: null },
    },
  },
  ...{ state: 'streaming', reason: null, slotName: 'orders_sub', lag: { bytes: 0, seconds: 0, reason: null } },
  schemaDrift: SCHEMA_DRIFT,
  agreement: [
    {
      check: 'connection-target',
      ...agrees('db-14.example.org:5432 is of the cluster 7397412349874390123, as orders-14 is'),
    },
    { check: 'slot-exists', ...agrees('the slot "orders_sub" exists on orders-14') },
    { check: 'slot-kind', ...agrees('the slot is logical, of pgoutput, in "orders"') },
    { check: 'slot-usable', ...agrees('the slot is reserved') },
    {
      check: 'slot-ours',
      ...agrees("the subscription's worker reads it: process 4242 (orders_sub, user replicator, from 10.0.0.18)"),
    },
    { check: 'origin', ...agrees('the subscriber has the replication origin pg_16400') },
    { check: 'publications-exist', ...agrees('orders-14 has "orders_pub"') },
    { check: 'tables-on-subscriber', ...agrees('every table that is sent is there and subscribed to') },
    { check: 'tables-published', ...agrees('every table that is subscribed to is sent') },
    {
      check: 'columns',
      ...disagrees(
        'public.orders: the subscriber has no column "note" (text); public.orders: the subscriber has no column "amount", but "total" of the same type in the same place, which the publisher has not',
        'The schema drift of the link lists the statements that mend it, in order.',
      ),
    },
    { check: 'replica-identity', ...agrees('updated and deleted rows are told and found') },
  ],
};

export const DRIFT_EXAMPLE = asAnswered(DRIFT);
export const CHECKED_LINK_EXAMPLE = asAnswered(CHECKED_LINK);

/** Times are text in an answer. */
function asAnswered(value: object): object {
  return JSON.parse(JSON.stringify(value)) as object;
}
