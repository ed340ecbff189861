import { plan } from '../changes/change.js';
import type { PlanDto } from '../changes/plan.dto.js';
import { createReplicationSlot } from '../postgres/ddl/replication-slot.ddl.js';
import {
  changeSubscriptionPublications,
  createSubscription,
  disableSubscription,
  dropSubscription,
  enableSubscription,
  refreshSubscription,
} from '../postgres/ddl/subscription.ddl.js';
import { SLOT } from '../replication-slots/replication-slots.examples.js';
import { PG14, PG18 } from '../shared/server-version.js';
import { cleanUpOf } from './left-slots/left-slots.service.js';
import type { SubscriptionPlanDto } from './subscription-plan.dto.js';
import { ignoredOptions } from './subscription-warnings.js';
import type { DroppedSubscriptionDto, SubscriptionDto } from './subscription.dto.js';
import type { CreateSubscriptionDto, PatchSubscriptionDto, RefreshSubscriptionDto } from './subscriptions.dto.js';

const PUBLISHER = { server: 'orders-14', database: 'orders' };
const SUBSCRIBER = { server: 'orders-18', database: 'orders' };
const ORDERS = { schema: 'public', name: 'orders' };
const CUSTOMERS = { schema: 'public', name: 'customers' };
const ADDRESS = { host: '10.0.0.14', port: '5432', dbname: 'orders', user: 'replicator', sslmode: 'prefer' };
const CONNECTION = "host='10.0.0.14' port='5432' dbname='orders' user='replicator' password='…'";

export const CREATE_SUBSCRIPTION = {
  'from a registered server': { name: 'orders_sub', publisher: PUBLISHER, publications: ['orders_pub'] },
  'with options, and little patience': {
    ...{ name: 'orders_sub', publisher: PUBLISHER, publications: ['orders_pub'], slotDeadlineMs: 5_000 },
    options: { slotName: 'orders_18', streaming: 'parallel', disableOnError: true, origin: 'none' },
  },
  'the rows are there already': {
    ...{ name: 'orders_sub', publisher: PUBLISHER, publications: ['orders_pub'] },
    options: { copyData: false },
  },
  'of a slot that exists, and not yet enabled': {
    ...{ name: 'orders_sub', publisher: PUBLISHER, publications: ['orders_pub'] },
    options: { createSlot: false, slotName: 'orders_watch', copyData: false, enabled: false },
  },
  'by connection string': { name: 'orders_sub', connection: CONNECTION, publications: ['orders_pub'] },
} satisfies Record<string, CreateSubscriptionDto>;

export const PATCH_SUBSCRIPTION = {
  'one option': { options: { synchronousCommit: 'off' } },
  'add a publication': { addPublications: ['billing_pub'], copyData: true },
  'the whole list of publications': { publications: ['orders_pub', 'billing_pub'] },
  'the address its publisher is registered with': { publisher: PUBLISHER },
  'another login': { connection: CONNECTION },
  rename: { name: 'orders_sub_2' },
} satisfies Record<string, PatchSubscriptionDto>;

export const REFRESH_SUBSCRIPTION = {
  'copy the new tables': { copyData: true },
  'the rows are there already': { copyData: false },
} satisfies Record<string, RefreshSubscriptionDto>;

/** Streaming, with all that an 18 tells. */
export const SUBSCRIPTION: SubscriptionDto = {
  ...{ oid: 16400, name: 'orders_sub', owner: 'postgres', enabled: true, state: 'streaming', reason: null },
  ...{ slotName: 'orders_sub', publications: ['orders_pub'] },
  options: {
    ...{ enabled: true, slotName: 'orders_sub', synchronousCommit: 'off', binary: false, streaming: 'parallel' },
    ...{ twoPhase: false, disableOnError: false, origin: 'any', passwordRequired: true, runAsOwner: false },
    failover: false,
  },
  ...{ twoPhaseState: 'disabled', skipLsn: null, originLsn: '0/5000060' },
  ...{ connection: ADDRESS, publisher: PUBLISHER, slot: SLOT },
  workers: [
    {
      ...{ pid: 5151, kind: 'apply', leaderPid: null, table: null, receivedLsn: '0/5000060' },
      ...{
        latestEndLsn: '0/5000060',
        lastMessageAt: '2026-07-01T12:05:00.120Z',
        startedAt: '2026-07-01T12:00:00.480Z',
      },
    },
  ],
  tables: [
    { ...CUSTOMERS, state: 'ready', lsn: '0/4FFFF28', copyProgress: null, copyFailure: null, needsVerification: null },
    {
      ...{ ...ORDERS, state: 'ready', lsn: '0/4FFFF60', copyProgress: null },
      copyFailure: null,
      needsVerification: {
        ...{ reason: 'the transaction at 0/1A2B3C4 was skipped', lsn: '0/1A2B3C4' },
        since: new Date('2026-07-01T12:01:00Z'),
      },
    },
  ],
  lag: { bytes: 0, seconds: 0, reason: null },
  errors: { apply: 3, sync: 0 },
  conflicts: {
    ...{ insertExists: 3, updateOriginDiffers: 0, updateExists: 0, updateMissing: 0 },
    ...{ deleteOriginDiffers: 0, deleteMissing: 0, multipleUniqueConflicts: 0 },
  },
  ...{ copyProgress: null, warnings: [] },
};

const UNKNOWN_SIZES = 'the publisher cannot estimate the rows: the table was never analyzed';

/** As it is just after it was created, while it copies. */
export const NEW_SUBSCRIPTION: SubscriptionDto = {
  ...SUBSCRIPTION,
  ...{ state: 'copying', reason: '1 table is not ready yet', originLsn: null },
  workers: [
    { ...SUBSCRIPTION.workers[0]!, receivedLsn: '0/5000060' },
    {
      ...{ pid: 5152, kind: 'table synchronization', leaderPid: null, table: ORDERS, receivedLsn: null },
      ...{ latestEndLsn: null, lastMessageAt: '2026-07-01T12:00:00.510Z', startedAt: '2026-07-01T12:00:00.490Z' },
    },
  ],
  tables: [
    { ...CUSTOMERS, state: 'ready', lsn: '0/4FFFF28', copyProgress: null, copyFailure: null, needsVerification: null },
    {
      ...{ ...ORDERS, state: 'copying', lsn: null, copyFailure: null, needsVerification: null },
      copyProgress: {
        ...{ rows: 300_000, bytes: 27_000_000, totalRows: 1_200_000, totalBytes: 103_809_024 },
        ...{ percent: 25, etaSeconds: 12, reason: null },
      },
    },
  ],
  lag: {
    bytes: 56,
    seconds: null,
    reason: "seconds are not known: no earlier position of the publisher's WAL was recorded",
  },
  errors: { apply: 0, sync: 0 },
  conflicts: { ...SUBSCRIPTION.conflicts, insertExists: 0 },
  copyProgress: {
    ...{ tables: 2, tablesCopied: 1, totalBytes: 103_825_408, percent: 25, etaSeconds: 12, reason: UNKNOWN_SIZES },
  },
};

export const DISABLED_SUBSCRIPTION: SubscriptionDto = {
  ...SUBSCRIPTION,
  ...{ enabled: false, state: 'disabled', options: { ...SUBSCRIPTION.options, enabled: false } },
  ...{ slot: { ...SLOT, active: false, activePid: null }, workers: [] },
  lag: { bytes: 1_204, seconds: 4.2, reason: null },
};

const { options } = CREATE_SUBSCRIPTION['with options, and little patience'];
const CREATION = { name: 'orders_sub', connection: CONNECTION, publications: ['orders_pub'] };

const NEW_TABLES = {
  ...{ added: [CUSTOMERS, ORDERS], removed: [], absent: [], reason: null },
  copy: { tables: 2, bytes: 103_825_408, rows: 1_200_120 },
};

export const CREATE_PLAN: SubscriptionPlanDto = {
  statements: [
    ...plan(PUBLISHER, createReplicationSlot({ name: options.slotName, kind: 'logical' }, PG14)),
    ...plan(SUBSCRIBER, createSubscription({ ...CREATION, options: { ...options, createSlot: false } }, PG18, PG14)),
  ],
  ...{ warnings: ignoredOptions(options, PG14), tables: NEW_TABLES },
};

const TAKEN_UP = {
  ...{ added: [CUSTOMERS], removed: [], absent: [], reason: null },
  copy: { tables: 1, bytes: 16_384, rows: 120 },
};

export const PATCH_PLAN: SubscriptionPlanDto = {
  statements: plan(
    SUBSCRIBER,
    changeSubscriptionPublications(
      'orders_sub',
      { current: ['orders_pub'], added: ['billing_pub'], removed: [] },
      { refresh: true, copyData: true },
      PG18,
    ),
  ),
  ...{ tables: TAKEN_UP, warnings: [] },
};

export const ENABLE_PLAN: SubscriptionPlanDto = {
  ...{ statements: plan(SUBSCRIBER, enableSubscription('orders_sub')), warnings: [] },
};
export const DISABLE_PLAN: PlanDto = { statements: plan(SUBSCRIBER, disableSubscription('orders_sub')) };

export const REFRESH_PLAN: SubscriptionPlanDto = {
  statements: plan(SUBSCRIBER, refreshSubscription('orders_sub', { copyData: true })),
  ...{ tables: TAKEN_UP, warnings: [] },
};

/** With `?slot=keep`. */
export const DROPPED: DroppedSubscriptionDto = {
  name: 'orders_sub',
  slotLeft: {
    ...{ name: 'orders_sub', publisher: PUBLISHER, host: ADDRESS.host, port: ADDRESS.port, database: 'orders' },
    cleanUp: cleanUpOf('orders-14', 'orders_sub'),
  },
  tableSlotsLeft: [],
};

export const DROP_PLAN: SubscriptionPlanDto = {
  statements: plan(SUBSCRIBER, dropSubscription('orders_sub', true)),
  warnings: [],
};
