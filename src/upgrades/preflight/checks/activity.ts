import {
  ALL_PREPARED_TRANSACTIONS,
  WRITING_TRANSACTIONS,
} from '../../../postgres/catalog/preflight-replication.sql.js';
import { type Check, rowsCheck, seesActivity } from '../check.js';

/** A writing transaction older than this holds up the slot long enough to be named. */
const LONG_TRANSACTION_SECONDS = 5;

export const activityChecks: Check[] = [
  seesActivity(
    'source',
    rowsCheck({
      name: 'long-transactions',
      severity: 'warning',
      side: 'source',
      sql: WRITING_TRANSACTIONS,
      parameters: () => [LONG_TRANSACTION_SECONDS],
      expected: `no writing transaction older than ${LONG_TRANSACTION_SECONDS} s: the slot waits for each, in every database`,
      what: 'old writing transactions',
      remedy: 'Let them end, or end them: select pg_terminate_backend(pid).',
    }),
  ),
  rowsCheck({
    name: 'prepared-transactions',
    severity: 'blocker',
    side: 'source',
    sql: ALL_PREPARED_TRANSACTIONS,
    expected: 'no prepared transaction: the slot waits for it, and no fence ends it',
    what: 'prepared transactions',
    remedy: 'commit prepared or rollback prepared each of them.',
  }),
];
