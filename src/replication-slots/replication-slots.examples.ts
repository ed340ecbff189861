import { plan } from '../changes/change.js';
import type { PlanDto } from '../changes/plan.dto.js';
import {
  advanceReplicationSlot,
  copyReplicationSlot,
  createReplicationSlot,
  dropReplicationSlot,
} from '../postgres/ddl/replication-slot.ddl.js';
import { parseLsn } from '../shared/lsn.js';
import { PG14 } from '../shared/server-version.js';
import type { AdvancePlanDto } from './advance-plan.dto.js';
import type { FailoverReadinessDto } from './failover-readiness.dto.js';
import type {
  AdvanceReplicationSlotDto,
  CopyReplicationSlotDto,
  CreateReplicationSlotDto,
  ReplicationSlotDto,
  ReplicationSlotViewDto,
} from './replication-slots.dto.js';
import { outlookOf } from './slot-outlook.js';
import { slotSpecOf } from './slot-spec.js';
import { ownership } from './slot-view.js';

const PUBLISHER = { server: 'orders-14', database: 'orders' };

export const CREATE_SLOT = {
  logical: { name: 'orders_watch', kind: 'logical', database: 'orders' },
  'logical, for standbys too (17+)': {
    ...{ name: 'orders_watch', kind: 'logical', database: 'orders' },
    ...{ failover: true, deadlineMs: 10_000 },
  },
  'logical, two-phase, of another plugin': {
    ...{ name: 'orders_decoding', kind: 'logical', database: 'orders' },
    ...{ plugin: 'test_decoding', twoPhase: true },
  },
  'physical, for a standby': { name: 'orders_standby_2', kind: 'physical', reserveImmediately: true },
} satisfies Record<string, CreateReplicationSlotDto>;

export const COPY_SLOT = {
  'for a second reader': { name: 'orders_sub_copy' },
  'to look into with another plugin': { name: 'orders_look', plugin: 'test_decoding' },
} satisfies Record<string, CopyReplicationSlotDto>;

export const ADVANCE_SLOT = {
  advance: { lsn: '0/1A2B3C4' },
  'although its owner misses what is skipped': { lsn: '0/1A2B3C4', force: true },
} satisfies Record<string, AdvanceReplicationSlotDto>;

/** Of a subscription that streams. */
export const SLOT: ReplicationSlotDto = {
  ...{ name: 'orders_sub', kind: 'logical', plugin: 'pgoutput', database: 'orders', temporary: false },
  ...{ active: true, activePid: 4242, restartLsn: '0/5000028', confirmedFlushLsn: '0/5000060' },
  ...{ currentLsn: '0/5000060', retainedBytes: 56, walStatus: 'reserved', safeWalSize: null },
  ...{ xminAge: null, catalogXminAge: 12, twoPhase: false, failover: null, synced: null, conflicting: null },
  ...{ inactiveSince: null, invalidationReason: null },
};

const WAL_RATE = { bytesPerSecond: 120_000, overSeconds: 600 };

export const SLOT_VIEW: ReplicationSlotViewDto = {
  ...SLOT,
  owner: {
    ...{ kind: 'subscription', name: 'orders_sub', server: 'orders-18', database: 'orders', live: true },
    detail: 'subscription "orders_sub" of database "orders" on orders-18',
  },
  ...{ ownerReason: null, unanswered: [], orphan: false },
  reader: {
    ...{ pid: 4242, user: 'replicator', application: 'orders_sub', clientAddress: '10.0.0.18' },
    state: 'streaming',
  },
  outlook: outlookOf(SLOT, WAL_RATE, 50_000_000_000),
};

const NEW_SLOT = { ...SLOT, name: 'orders_watch', active: false, activePid: null };

/** Of nobody, as it is just after it was made. */
export const NEW_SLOT_VIEW: ReplicationSlotViewDto = {
  ...NEW_SLOT,
  ...ownership(NEW_SLOT, null, []),
  ...{ reader: null, outlook: outlookOf(NEW_SLOT, WAL_RATE, null) },
};

export const CREATE_PLAN: PlanDto = {
  statements: plan(PUBLISHER, createReplicationSlot(slotSpecOf(CREATE_SLOT.logical), PG14)),
};

export const COPY_PLAN: PlanDto = {
  statements: plan(PUBLISHER, copyReplicationSlot(SLOT, COPY_SLOT['for a second reader'])),
};

const { lsn } = ADVANCE_SLOT.advance;

export const ADVANCE_PLAN: AdvancePlanDto = {
  statements: plan(PUBLISHER, advanceReplicationSlot('orders_watch', parseLsn(lsn))),
  skips: {
    ...{ fromLsn: '0/1A00028', toLsn: lsn, walBytes: 177_052, publications: ['orders_pub'] },
    ...{ transactions: 3, changes: 42 },
    tables: [{ schema: 'public', name: 'orders', inserts: 40, updates: 2, deletes: 0, truncates: 0 }],
    ...{ truncated: false, reason: null },
  },
};

export const DROP_PLAN: PlanDto = { statements: plan(PUBLISHER, dropReplicationSlot('orders_watch')) };

/** One standby may be promoted, the other not yet. */
export const FAILOVER: FailoverReadinessDto = {
  ...{ ready: false, reasons: [] },
  standbys: [
    { server: 'orders-standby-1', ready: true, reasons: [] },
    {
      ...{ server: 'orders-standby-2', ready: false },
      reasons: ['its copy is not complete: the standby has not got as far as the slot'],
    },
  ],
};
