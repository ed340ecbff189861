import { type Place, plan } from '../changes/change.js';
import type { PlanDto } from '../changes/plan.dto.js';
import { readerIdOf } from './link/link-objects.js';
import { createOnPublisher, createOnSubscriber, dropOnPublisher, dropOnSubscriber } from './link/link-plan.js';
import type { VerificationPlanDto } from './verification-plan.dto.js';
import type { DifferenceDto, VerificationDto } from './verification.dto.js';
import type { CreateVerificationDto } from './verifications.dto.js';

const ID = 'b0a7f6de-2f0c-4a4e-8f0a-6d1f2c3b4a59';
const PUBLISHER: Place = { server: 'orders-14', database: 'orders' };
const SUBSCRIBER: Place = { server: 'orders-18', database: 'orders' };
const LINK = { ...SUBSCRIBER, subscription: 'orders_sub' };
const CUSTOMERS = { schema: 'public', name: 'customers' };
const ORDERS = { schema: 'public', name: 'orders' };
const AT = '0/19A3D58';

export const CREATE_VERIFICATION = { kind: 'at-rest', subscriber: LINK } satisfies CreateVerificationDto;

/** As it is just after it was created. */
export const QUEUED_VERIFICATION: VerificationDto = {
  ...{ id: ID, ...CREATE_VERIFICATION, publisher: PUBLISHER, state: 'queued', verdict: null, reason: null },
  ...{ verifiedLsn: null, singleLsn: null, method: null, methodReason: null },
  ...{ resumed: 0, rowsKept: 0, waitsFor: null },
  progress: { rowsDone: 0, rowsTotal: 0, bytesDone: 0, bytesTotal: 0, percent: null, etaSeconds: null },
  ...{ tables: [], schema: null, sequences: null },
  counters: { transactionsMatched: 0, changesMatched: 0, findings: 0 },
  ...{ createdAt: '2026-07-01T11:40:00.071Z', startedAt: null, finishedAt: null },
};

/** Asked to end, and still removing what it made. */
export const CANCELLED_VERIFICATION: VerificationDto = {
  ...{ ...QUEUED_VERIFICATION, state: 'running', startedAt: '2026-07-01T11:40:00.482Z' },
  progress: {
    ...{ rowsDone: 424_000, rowsTotal: 1_204_000, bytesDone: 36_700_160, bytesTotal: 104_251_392 },
    ...{ percent: 35.2, etaSeconds: 14 },
  },
};

/** One row of a table differs, the other table is equal. */
export const VERIFICATION: VerificationDto = {
  ...{ ...QUEUED_VERIFICATION, state: 'succeeded', verdict: 'different', verifiedLsn: AT, singleLsn: true },
  method: 'own-slot',
  progress: {
    ...{ rowsDone: 1_204_000, rowsTotal: 1_204_000, bytesDone: 104_251_392, bytesTotal: 104_251_392 },
    ...{ percent: 100, etaSeconds: 0 },
  },
  tables: [
    {
      ...{ ...CUSTOMERS, verdict: 'equal', reason: null, rows: 4_000, verifiedLsn: AT },
      differences: { missing: 0, extra: 0, different: 0 },
    },
    {
      ...{ ...ORDERS, verdict: 'different', reason: null, rows: 1_200_000, verifiedLsn: AT },
      differences: { missing: 1, extra: 0, different: 1 },
    },
  ],
  schema: { state: 'none', reason: null, found: 0, findings: [] },
  sequences: {
    ...{ state: 'different', reason: null, compared: 2, verdicts: { equal: 1, behind: 1 } },
    listed: [
      {
        ...{ schema: 'public', name: 'orders_id_seq', verdict: 'behind', reason: null },
        publisher: { lastValue: '1200000', isCalled: true },
        subscriber: { lastValue: '1', isCalled: false },
      },
    ],
  },
  counters: { ...QUEUED_VERIFICATION.counters, findings: 2 },
  ...{ startedAt: '2026-07-01T11:40:00.482Z', finishedAt: '2026-07-01T11:40:21.724Z' },
};

/** Lists are without the tables, and so without what is counted of them. */
export const LISTED_VERIFICATION: VerificationDto = {
  ...{ ...VERIFICATION, tables: [], schema: null, sequences: null, counters: QUEUED_VERIFICATION.counters },
};

const SEEN = {
  ...{ schema: ORDERS.schema, table: ORDERS.name, count: 1, publisherLsn: AT, subscriberLsn: null },
  observedAt: '2026-07-01T11:40:21.724Z',
};

export const DIFFERENCES: DifferenceDto[] = [
  {
    ...{ ...SEEN, id: 0, kind: 'different', key: { id: '42' } },
    columns: [{ name: 'total', publisher: '1.50', subscriber: '1.75' }],
  },
  {
    ...{ ...SEEN, id: 1, kind: 'missing', key: { id: '1199876' } },
    columns: [
      { name: 'id', publisher: '1199876', subscriber: null },
      { name: 'total', publisher: '19.90', subscriber: null },
    ],
  },
];

export const DIFFERENCES_CSV =
  'schema,table,kind,key,count,column,publisher,subscriber,publisherLsn\r\n' +
  `public,orders,different,"{""id"":""42""}",1,total,1.50,1.75,${AT}\r\n` +
  `public,orders,missing,"{""id"":""1199876""}",1,id,1199876,,${AT}\r\n`;

const READERS = readerIdOf(ID);
const CARRIED = [CUSTOMERS, ORDERS].map((table) => ({ ...table, partitioned: false, usable: true }));

export const VERIFICATION_PLAN: VerificationPlanDto = {
  does: 'Opens the change streams on slots of its own, compares every table in one bound pair of snapshots, and removes the slots again. Their names carry the id of the verification; these are an example.',
  ...{ publisher: PUBLISHER, subscriber: LINK, method: 'own-slot', methodReason: null },
  tables: [
    {
      ...{
        ...CUSTOMERS,
        mode: 'by-key',
        division: 'key-ranges',
        key: ['id'],
        rowFilter: null,
        estimatedRows: 4_000,
        bytes: 442_368,
      },
      reason: null,
    },
    {
      ...{
        ...ORDERS,
        mode: 'by-key',
        division: 'key-ranges',
        key: ['id'],
        rowFilter: null,
        estimatedRows: 1_200_000,
        bytes: 103_809_024,
      },
      reason: null,
    },
  ],
  statements: [
    ...plan(PUBLISHER, createOnPublisher(READERS)),
    ...plan(SUBSCRIBER, createOnSubscriber(READERS, CARRIED)),
    ...plan(PUBLISHER, dropOnPublisher(READERS)),
    ...plan(SUBSCRIBER, dropOnSubscriber(READERS, CARRIED)),
  ],
};

export const CANCEL_PLAN: PlanDto = {
  does: 'Stops comparing, then removes what it made on both servers, where it is there.',
  statements: [...plan(PUBLISHER, dropOnPublisher(READERS)), ...plan(SUBSCRIBER, dropOnSubscriber(READERS))],
};
