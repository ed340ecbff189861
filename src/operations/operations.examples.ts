import { onlyHere } from '../changes/plan.dto.js';
import type { OperationDto } from './operation.dto.js';

/** Of an upgrade, at work. */
export const RUNNING_OPERATION: OperationDto = {
  ...{ id: '0191e7a4-5d0a-4d8e-9a55-0e5f4a2d7c11', kind: 'upgrade', state: 'running' },
  subject: { type: 'upgrade', id: 'orders-14-to-18' },
  progress: { percent: 42.5, message: 'copying: 1 of 3 tables ready', etaSeconds: 30 },
  ...{ startedAt: '2026-07-01T12:00:00.812Z', finishedAt: null, result: null, problem: null },
};

const VERIFICATION = {
  ...{ id: 'b0a7f6de-2f0c-4a4e-8f0a-6d1f2c3b4a59', kind: 'verification' },
  subject: { type: 'link', id: 'orders-18/orders/orders_sub' },
  startedAt: '2026-07-01T11:40:00.105Z',
};

const SUCCEEDED_OPERATION: OperationDto = {
  ...{ ...VERIFICATION, state: 'succeeded', problem: null, finishedAt: '2026-07-01T11:40:21.730Z' },
  progress: { percent: 100, message: 'compared 1204000 of about 1204000 rows', etaSeconds: 0 },
  result: { verdict: 'different', verifiedLsn: '0/19A3D58' },
};

/** Newest first. */
export const OPERATIONS: OperationDto[] = [RUNNING_OPERATION, SUCCEEDED_OPERATION];

/** Asked to end, and still cleaning up. */
export const CANCELLED_OPERATION: OperationDto = {
  ...{ ...VERIFICATION, state: 'running', finishedAt: null, result: null, problem: null },
  progress: { percent: 35.2, message: 'compared 424000 of about 1204000 rows', etaSeconds: 14 },
};

export const CANCEL_PLAN = onlyHere('Asks the verification to end and to clean up what it made on its servers.');
