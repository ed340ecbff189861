import { DDL_IN_FLIGHT, SESSION_STATE } from '../../../postgres/catalog/preflight-activity.sql.js';
import {
  ALL_PREPARED_TRANSACTIONS,
  WRITING_TRANSACTIONS,
} from '../../../postgres/catalog/preflight-replication.sql.js';
import { type Check, rowsCheck, seesActivity, type Side } from '../check.js';

/** A writing transaction older than this holds up the slot long enough to be named. */
const LONG_TRANSACTION_SECONDS = 5;

function longTransactions(side: Side, name: string): Check {
  return seesActivity(
    side,
    rowsCheck({
      name,
      severity: 'warning',
      side,
      sql: WRITING_TRANSACTIONS,
      parameters: () => [LONG_TRANSACTION_SECONDS],
      expected: `no writing transaction older than ${LONG_TRANSACTION_SECONDS} s: the slot waits for each, in every database`,
      what: 'old writing transactions',
      remedy: 'Let them end, or end them: select pg_terminate_backend(pid).',
    }),
  );
}

function preparedTransactions(side: Side, name: string, expected: string): Check {
  return rowsCheck({
    name,
    severity: 'blocker',
    side,
    sql: ALL_PREPARED_TRANSACTIONS,
    expected,
    what: 'prepared transactions',
    remedy: 'commit prepared or rollback prepared each of them.',
  });
}

export const activityChecks: Check[] = [
  longTransactions('source', 'long-transactions'),
  longTransactions('target', 'target-long-transactions'),
  preparedTransactions(
    'source',
    'prepared-transactions',
    'no prepared transaction: the slot waits for it, and no fence ends it',
  ),
  preparedTransactions(
    'target',
    'target-prepared-transactions',
    'no prepared transaction in any database: the slots for verification and for the way back wait for it',
  ),
  seesActivity(
    'source',
    rowsCheck({
      name: 'ddl-in-flight',
      severity: 'warning',
      side: 'source',
      sql: DDL_IN_FLIGHT,
      expected:
        'nobody changes the schema: the dump waits for the lock, and what is changed after it stops the switchover',
      what: 'locks of schema changes',
      remedy: 'Let them end, and stop migrations for the time of the upgrade.',
    }),
  ),
  seesActivity(
    'source',
    rowsCheck({
      name: 'session-state',
      severity: 'info',
      side: 'source',
      sql: SESSION_STATE,
      expected: 'no session holds advisory locks or listens',
      what: 'sessions with advisory locks or LISTEN',
      remedy: 'The fence ends them: applications must take their locks and listen again on the target.',
    }),
  ),
];
