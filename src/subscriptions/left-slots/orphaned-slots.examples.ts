import { onlyHere } from '../../changes/plan.dto.js';
import { cleanUpOf } from './left-slots.service.js';
import type { OrphanedSlotDto } from './orphaned-slots.dto.js';

export const ORPHANED_SLOT: OrphanedSlotDto = {
  ...{ id: '5f0c2d5e-8c1c-4f55-9d0e-2b9d3f2a7c11', slot: 'orders_sub' },
  publisher: { server: 'orders-14', host: '10.0.0.14', port: '5432', database: 'orders' },
  subscriber: { server: 'orders-18', database: 'orders', subscription: 'orders_sub' },
  leftAt: '2026-07-01T12:00:00.000Z',
  ...{ state: 'orphan', reason: null, retainedBytes: 16_777_272 },
  cleanUp: cleanUpOf('orders-14', 'orders_sub'),
};

export const FORGET_PLAN = onlyHere('Forgets the slot orders_sub; wherever it is, it stays.');
