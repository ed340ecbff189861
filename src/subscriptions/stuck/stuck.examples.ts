import { plan } from '../../changes/change.js';
import type { PlanDto } from '../../changes/plan.dto.js';
import { skipTransaction } from '../../postgres/ddl/subscription.ddl.js';
import { parseLsn } from '../../shared/lsn.js';
import { PG18 } from '../../shared/server-version.js';
import { SUBSCRIPTION } from '../subscriptions.examples.js';
import { copyStatement } from './diagnosis.service.js';
import type {
  DiagnoseDto,
  DiagnosisDto,
  SkippedSubscriptionDto,
  SkipPlanDto,
  SkipTransactionDto,
  UnappliedTransactionDto,
} from './stuck.dto.js';

const FINISH_LSN = '0/1A2B3C4';
const ORDERS = { schema: 'public', name: 'orders' };

export const DIAGNOSE = {
  'a hundred changes': {},
  'more of a large transaction': { mostChanges: 2_000 },
} satisfies Record<string, DiagnoseDto>;

export const SKIP = {
  'what the diagnosis found': { lsn: FINISH_LSN },
  'one from the log that the diagnosis does not find': { lsn: FINISH_LSN, force: true },
  'take an earlier skip back': { lsn: null },
} satisfies Record<string, SkipTransactionDto>;

const STUCK_ON: UnappliedTransactionDto = {
  ...{ kind: 'commit', gid: null },
  ...{ finishLsn: FINISH_LSN, endLsn: '0/1A2B3F8', xid: 741, committedAt: '2026-07-01T12:00:30.204Z' },
  ...{ bytes: 212, changeCount: 2 },
  tables: [{ ...ORDERS, inserts: 1, updates: 1, deletes: 0, truncates: 0 }],
  changes: [
    { operation: 'insert', schema: 'public', table: 'orders', key: { id: '4711' }, columns: null, onSubscriber: true },
    {
      ...{ operation: 'update', schema: 'public', table: 'orders', key: { id: '12' }, columns: ['id', 'total'] },
      onSubscriber: true,
    },
  ],
  changesLeftOut: 0,
};

const skipSql = skipTransaction('orders_sub', parseLsn(FINISH_LSN), PG18);

export const DIAGNOSIS: DiagnosisDto = {
  subscription: 'orders_sub',
  ...{ verdict: 'failing', reason: '1 apply error was counted within 5.3 s' },
  ...{ position: '0/1A2B340', originLsn: '0/1A2B340', confirmedFlushLsn: '0/1A2B340' },
  ...{ errors: { apply: 3, sync: 0 }, conflicts: SUBSCRIPTION.conflicts },
  lastFailure: { seenAt: '2026-07-01T12:00:45.310Z', conflicts: ['insertExists'] },
  lastFailureReason: `the message of the error is only in the subscriber's log: look for "finished at ${FINISH_LSN}"`,
  ...{ transaction: STUCK_ON, transactionReason: null, passedOver: [] },
  remedies: [
    {
      does: 'Mend what is in the way on the subscriber (the row, the missing table or column); the transaction is then applied, nothing is lost.',
      sql: [],
    },
    {
      does: 'Skip the transaction: all its changes are lost, those of other tables too.',
      sql: skipSql.map(({ sql }) => sql),
    },
  ],
};

export const DIAGNOSIS_PLAN: PlanDto = {
  does: 'Watches the subscription and reads the stream of its publisher.',
  statements: plan({ server: 'orders-14', database: 'orders' }, [copyStatement('orders_sub')]),
};

export const SKIPPED: SkippedSubscriptionDto = {
  ...{ ...SUBSCRIPTION, skipLsn: FINISH_LSN, state: 'failing' },
  reason: '1 apply error was counted within 5.3 s and nothing was applied since; no apply worker is running',
  ...{ lost: STUCK_ON, lostReason: null },
};

export const SKIP_PLAN: SkipPlanDto = {
  statements: plan({ server: 'orders-18', database: 'orders' }, skipSql),
  ...{ lost: STUCK_ON, lostReason: null },
};
