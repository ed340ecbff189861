import { addColumn, renameColumn } from '../postgres/ddl/table-change.ddl.js';
import { Problem } from '../problems/problem.js';
import { SLOT } from '../replication-slots/replication-slots.examples.js';
import { agrees, disagrees } from './agreement/verdict.js';
import type { DriftDto } from './drift/drift.dto.js';
import { onSubscriber, PHASES } from './drift/finding.js';
import { arrange } from './drift/mending.js';
import type { CheckedLinkDto, LinkDto, LinkPageDto } from './links.dto.js';

const PUBLISHER = { server: 'orders-14', database: 'orders' };
const SUBSCRIBER = { server: 'orders-18', database: 'orders' };
const LINK = { ...SUBSCRIBER, subscription: 'orders_sub' };
const AT = '0/1A2B3C8';
const TABLE = { schema: 'public', name: 'orders' };
const NOTE = { name: 'note', type: 'text', collation: null, notNull: false, default: null };

const SCHEMA_DRIFT = {
  ...{ state: 'drifted' as const, reason: 'column-missing public.orders.note, column-renamed public.orders.amount' },
  ...{ checkedAt: new Date('2026-07-01T12:05:00Z'), since: new Date('2026-07-01T12:00:00Z') },
};

export const DRIFT_EXAMPLE: DriftDto = {
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

const LINK_EXAMPLE: LinkDto = {
  subscriber: LINK,
  publisher: {
    ...{ ...PUBLISHER, publications: ['orders_pub'], slot: SLOT },
  },
  ...{ state: 'streaming', reason: null, slotName: 'orders_sub', lag: { bytes: 0, seconds: 0, reason: null } },
  schemaDrift: SCHEMA_DRIFT,
};

export const CHECKED_LINK_EXAMPLE: CheckedLinkDto = {
  ...LINK_EXAMPLE,
  walsender: {
    ...{ pid: 4242, user: 'replicator', application: 'orders_sub', clientAddress: '10.0.0.18', state: 'streaming' },
    ...{ sentLsn: AT, writeLsn: AT, flushLsn: AT, replayLsn: AT, reason: null },
  },
  origin: { name: 'pg_16400', exists: true, remoteLsn: AT, reason: null },
  applyWorker: {
    ...{ pid: 717, startedAt: '2026-07-01T08:00:00.000Z', receivedLsn: AT, latestEndLsn: AT },
    ...{ lastMessageAt: '2026-07-01T12:05:00.000Z', reason: null },
  },
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

export const LINKS_EXAMPLE: LinkPageDto = {
  items: [LINK_EXAMPLE],
  nextCursor: null,
  unknown: [
    {
      server: 'billing-17',
      problem: new Problem('SERVER_UNREACHABLE', 'billing-17 refused the connection', {
        hint: 'Start the server, or correct its host and port.',
      }).toDocument(),
    },
  ],
};
