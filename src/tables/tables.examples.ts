import { plan } from '../changes/change.js';
import { setReplicaIdentity } from '../postgres/ddl/replica-identity.ddl.js';
import type { IdentifiedTableDto, IdentityPlanDto, SetReplicaIdentityDto, TableDto } from './tables.dto.js';

export const SET_IDENTITY = {
  'by a unique index': { kind: 'index', index: 'orders_number_key' },
  'the whole row': { kind: 'full' },
  'the primary key': { kind: 'default' },
} satisfies Record<string, SetReplicaIdentityDto>;

/** Without primary key, and with one of two unique indexes that serves. */
export const TABLE: TableDto = {
  ...{ schema: 'public', name: 'orders', kind: 'table', persistence: 'permanent', partitionOf: null },
  replicaIdentity: {
    ...{ kind: 'index', index: 'orders_number_key', usable: true },
    indexes: [
      { name: 'orders_number_key', primaryKey: false, columns: ['number'], fit: true, reason: null },
      { name: 'orders_reference_key', primaryKey: false, columns: ['ref'], fit: false, reason: 'nullable: "ref"' },
    ],
  },
  ...{ primaryKey: null, rowsEstimate: 1_200_000 },
  ...{ totalBytes: 162_529_280, tableBytes: 103_809_024, indexBytes: 58_720_256 },
  writes: {
    ...{ inserted: 1_204_711, updated: 38_204, deleted: 4_711, since: new Date('2026-07-01T06:00:00Z') },
    perSecond: { inserted: 12.5, updated: 3, deleted: 0, overSeconds: 5.003 },
    reason: null,
  },
  ...{ ofExtension: false, replicable: true, reason: null },
};

/** Whose UPDATEs and DELETEs cannot be published as things stand. */
export const KEYLESS_TABLE: TableDto = {
  ...TABLE,
  name: 'events',
  replicaIdentity: { kind: 'default', index: null, usable: false, indexes: [] },
  ...{ rowsEstimate: null, totalBytes: 16_384, tableBytes: 16_384, indexBytes: 0 },
  writes: {
    ...{ inserted: 12, updated: 0, deleted: 0, since: null, perSecond: null },
    reason: 'a rate takes two readings: ask with rateSeconds',
  },
  reason: 'no primary key, so no replica identity: UPDATE and DELETE fail once they are published',
};

export const IDENTIFIED_TABLE: IdentifiedTableDto = { ...TABLE, warnings: [] };

export const SET_IDENTITY_PLAN: IdentityPlanDto = {
  statements: plan(
    { server: 'orders-14', database: 'orders' },
    setReplicaIdentity('public', 'orders', SET_IDENTITY['by a unique index']),
  ),
  warnings: [],
};
