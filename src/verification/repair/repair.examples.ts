import type { TableShape } from '../at-rest/table-shape.js';
import { DIFFERENCES, VERIFICATION } from '../verifications.examples.js';
import { presentPlan } from './present-repair.js';
import { repairSql } from './repair-statement.js';
import type { RepairDto, RepairedDifferenceDto, RepairPlanDto, RepairRequestDto } from './repair.dto.js';
import type { RepairRow } from './repair.repository.js';

const ID = '4f1c5b0e-93a7-4d55-8a0c-7be0d1a2c3f4';

export const ALL: RepairRequestDto = { differences: 'all' };
export const SOME: RepairRequestDto = { differences: [0, 1], triggers: 'quiet' };

const NONE = { repaired: 0, gone: 0, changed: 0, notRepaired: 0, notRepairable: 0, pending: 0 };

/** As it is just after it was created. */
export const QUEUED_REPAIR: RepairDto = {
  ...{ id: ID, verification: VERIFICATION.id, state: 'queued', triggers: 'quiet', counts: { ...NONE, pending: 2 } },
  ...{ remaining: 0, marked: null, warnings: [], check: null },
};

export const REPAIR: RepairDto = {
  ...{ ...QUEUED_REPAIR, state: 'succeeded', counts: { ...NONE, repaired: 1, gone: 1 }, marked: true },
  check: { verdict: 'equal', reason: null, verifiedLsn: '0/19B1F00' },
};

const [DIFFERENT, MISSING] = DIFFERENCES;

export const REPAIRED: RepairedDifferenceDto[] = [
  { ...shown(DIFFERENT!), outcome: 'repaired', reason: null },
  { ...shown(MISSING!), outcome: 'gone', reason: null },
];

function shown({ id, schema, table, kind, key }: (typeof DIFFERENCES)[number]) {
  return { id, schema, table, kind, key };
}

function column(name: string, type: string): TableShape['columns'][number] {
  const side = { type, equalitySchema: 'pg_catalog' };
  return {
    ...{ name, publisher: side, subscriber: side, conversion: 'none', identityAlways: false },
    ...{ baseType: type, builtinType: type },
  };
}

const KEY = column('id', 'bigint');
const SHAPE: TableShape = {
  ...{ schema: 'public', name: 'orders', columns: [KEY, column('total', 'numeric')], key: [KEY] },
  ...{
    oids: ['16402', '16391'],
    orderedKey: true,
    slice: null,
    publisherOnly: true,
    subscriberOnly: true,
    rowFilter: null,
    transcode: false,
  },
  ...{ estimatedRows: 1_200_000, bytes: 103_809_024 },
};

function row(difference: (typeof DIFFERENCES)[number], sql: string): RepairRow {
  const { id, schema, table, kind, key } = difference;
  return { position: id, schema, table, kind, key, outcome: 'planned', reason: null, sql: [sql] };
}

export const REPAIR_PLAN: RepairPlanDto = presentPlan({
  verification: {
    ...{ id: VERIFICATION.id, subscription: 'orders_sub' },
    ...{ publisherServer: 'orders-14', publisherDatabase: 'orders' },
    ...{ subscriberServer: 'orders-18', subscriberDatabase: 'orders' },
  },
  repair: { facts: { quiet: true, marks: true, warnings: [] } },
  rows: [
    row(
      DIFFERENT!,
      repairSql(SHAPE, {
        ...{ kind: 'different', key: ['42'], publisher: ['42', '1.50'], subscriber: ['42', '1.75'] },
        version: '16412 (0,17) 1204',
      }),
    ),
    row(MISSING!, repairSql(SHAPE, { kind: 'missing', key: ['1199876'], publisher: ['1199876', '19.90'] })),
  ],
  remaining: 0,
});
