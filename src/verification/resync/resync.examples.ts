import type { OperationDto } from '../../operations/operation.dto.js';
import type { TableShape } from '../at-rest/table-shape.js';
import { planResync } from './resync-plan.js';

export const OPERATION: OperationDto = {
  ...{ id: '0191e7a4-5d0a-4d8e-9a55-0e5f4a2d7c11', kind: 'resync', state: 'queued' },
  subject: { type: 'table', id: 'orders-18/orders/orders_sub/public/orders' },
  ...{ progress: null, startedAt: null, finishedAt: null, result: null, problem: null },
};

function column(name: string, type: string): TableShape['columns'][number] {
  const side = { type, equalitySchema: 'pg_catalog' };
  return {
    name,
    publisher: side,
    subscriber: side,
    conversion: 'none',
    identityAlways: false,
    baseType: type,
    builtinType: type,
  };
}

const id = column('id', 'bigint');

const SHAPE: TableShape = {
  ...{ schema: 'public', name: 'orders', columns: [id, column('total', 'numeric')], key: [id] },
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

export const RESYNC_PLAN = planResync(
  { server: 'orders-14', database: 'orders' },
  { server: 'orders-18', database: 'orders' },
  { shape: SHAPE, quiet: true },
);
