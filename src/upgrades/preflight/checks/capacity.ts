import { TABLE_COUNT } from '../../../postgres/catalog/preflight-relations.sql.js';
import { LOCK_CAPACITY, type LockCapacity } from '../../../postgres/catalog/preflight-server.sql.js';
import {
  type CapacityRow,
  originLimit,
  replicationCapacity,
} from '../../../postgres/catalog/replication-capacity.sql.js';
import { type Check, oncePerRun, type PreflightContext, seesActivity, type Side } from '../check.js';

interface Need {
  name: string;
  side: Side;
  /** The setting that limits it, by server version. */
  setting: (versionNum: number) => string;
  max: keyof CapacityRow;
  used: keyof CapacityRow;
  /** How many, and for what. `sync` is the number of tablesync workers that will run at once. */
  needed: (sync: number) => { count: number; for: string };
}

const NEEDS: Need[] = [
  {
    name: 'source-replication-slots',
    side: 'source',
    setting: () => 'max_replication_slots',
    max: 'slotsMax',
    used: 'slotsUsed',
    needed: (sync) => ({ count: 2 + sync, for: `the subscription, verification and ${sync} table synchronisations` }),
  },
  {
    name: 'source-walsenders',
    side: 'source',
    setting: () => 'max_wal_senders',
    max: 'sendersMax',
    used: 'sendersUsed',
    needed: (sync) => ({ count: 2 + sync, for: `the subscription, verification and ${sync} table synchronisations` }),
  },
  {
    name: 'target-replication-slots',
    side: 'target',
    setting: () => 'max_replication_slots',
    max: 'slotsMax',
    used: 'slotsUsed',
    needed: () => ({ count: 2, for: 'the way back and verification' }),
  },
  {
    name: 'target-walsenders',
    side: 'target',
    setting: () => 'max_wal_senders',
    max: 'sendersMax',
    used: 'sendersUsed',
    needed: () => ({ count: 2, for: 'the way back and verification' }),
  },
  {
    name: 'target-replication-origins',
    side: 'target',
    setting: originLimit,
    max: 'originsMax',
    used: 'originsUsed',
    needed: (sync) => ({ count: 1 + sync, for: `the subscription and ${sync} table synchronisations` }),
  },
  {
    name: 'target-logical-workers',
    side: 'target',
    setting: () => 'max_logical_replication_workers',
    max: 'logicalWorkersMax',
    used: 'logicalWorkersUsed',
    needed: (sync) => ({ count: 1 + sync, for: `the apply worker and ${sync} table synchronisations` }),
  },
  {
    name: 'target-worker-processes',
    side: 'target',
    setting: () => 'max_worker_processes',
    max: 'workerProcessesMax',
    used: 'workerProcessesUsed',
    needed: (sync) => ({ count: 1 + sync, for: `the apply worker and ${sync} table synchronisations` }),
  },
  {
    name: 'source-replication-origins',
    side: 'source',
    setting: originLimit,
    max: 'originsMax',
    used: 'originsUsed',
    needed: () => ({ count: 1, for: 'the subscription of the way back' }),
  },
  {
    name: 'source-logical-workers',
    side: 'source',
    setting: () => 'max_logical_replication_workers',
    max: 'logicalWorkersMax',
    used: 'logicalWorkersUsed',
    needed: () => ({ count: 1, for: 'the apply worker of the way back' }),
  },
  {
    name: 'source-worker-processes',
    side: 'source',
    setting: () => 'max_worker_processes',
    max: 'workerProcessesMax',
    used: 'workerProcessesUsed',
    needed: () => ({ count: 1, for: 'the apply worker of the way back' }),
  },
];

/** Tables synchronised at once: the target's limit per subscription, and no more than there are tables. */
const syncWorkers = oncePerRun(async ({ source, target, options }: PreflightContext): Promise<number> => {
  if (options.copyMethod === 'snapshot') return 0;
  const { syncWorkersPerSubscription } = await target.row<CapacityRow>(replicationCapacity(target.versionNum));
  const { count } = await source.row<{ count: number }>(TABLE_COUNT);
  return Math.min(syncWorkersPerSubscription, count);
});

function headRoom({ name, side, setting, max, used, needed }: Need): Check {
  return {
    name,
    severity: 'blocker',
    sql: (context) => replicationCapacity(context[side].versionNum),
    judge: async (context) => {
      const session = context[side];
      const row = await session.row<CapacityRow>(replicationCapacity(session.versionNum));
      const need = needed(await syncWorkers(context));
      const free = row[max] - row[used];
      const guc = setting(session.versionNum);
      return {
        passed: free >= need.count,
        observed: `${free} free (${guc} = ${row[max]}, ${row[used]} in use)`,
        expected: `at least ${need.count} free: ${need.for}`,
        remedy: `alter system set ${guc} = ${row[used] + need.count}; then restart the server.`,
      };
    },
  };
}

/** A dump and the marker lock take a lock on every table in one transaction. */
function locks(side: Side): Check {
  return {
    name: `${side}-lock-table-room`,
    severity: 'blocker',
    sql: () => LOCK_CAPACITY,
    judge: async (context) => {
      const { tables } = await context.source.row<LockCapacity>(LOCK_CAPACITY);
      const { capacity } = await context[side].row<LockCapacity>(LOCK_CAPACITY);
      return {
        passed: tables * 1.25 < capacity,
        observed: `room for ${capacity} locks, ${tables} relations to lock at once`,
        expected: 'room for a quarter more locks than there are relations',
        remedy: 'Raise max_locks_per_transaction; then restart the server.',
      };
    },
  };
}

export const capacityChecks: Check[] = [
  ...NEEDS.map((need) => seesActivity(need.side, headRoom(need))),
  locks('source'),
  locks('target'),
];
