import { PG16, PG18 } from '../../shared/server-version.js';

export interface CapacityRow {
  slotsMax: number;
  slotsUsed: number;
  sendersMax: number;
  sendersUsed: number;
  originsMax: number;
  originsUsed: number;
  logicalWorkersMax: number;
  logicalWorkersUsed: number;
  workerProcessesMax: number;
  workerProcessesUsed: number;
  syncWorkersPerSubscription: number;
}

/** What limits the origins that a subscriber tracks; below 18 they share a setting with slots. */
export function originLimit(versionNum: number): 'max_active_replication_origins' | 'max_replication_slots' {
  return versionNum >= PG18 ? 'max_active_replication_origins' : 'max_replication_slots';
}

/** Of pg_stat_activity: processes that max_worker_processes counts; where their kind is not to be seen, none. */
const WORKER_PROCESS = `backend_type not in ('client backend', 'walsender', 'autovacuum launcher', 'autovacuum worker', 'checkpointer',
     'background writer', 'walwriter', 'archiver', 'walreceiver', 'startup', 'walsummarizer', 'slotsync worker',
     'standalone backend', 'io worker')`;

/** What replication may use on a server, and how much of it is taken. */
export function replicationCapacity(versionNum: number): string {
  return `
select pg_catalog.current_setting('max_replication_slots')::int as "slotsMax",
  (select count(*)::int from pg_catalog.pg_replication_slots) as "slotsUsed",
  pg_catalog.current_setting('max_wal_senders')::int as "sendersMax",
  (select count(*)::int from pg_catalog.pg_stat_activity where backend_type = 'walsender') as "sendersUsed",
  pg_catalog.current_setting('${originLimit(versionNum)}')::int as "originsMax",
  (select count(*)::int from pg_catalog.pg_replication_origin) as "originsUsed",
  pg_catalog.current_setting('max_logical_replication_workers')::int as "logicalWorkersMax",
  (select count(*)::int from pg_catalog.pg_stat_activity where backend_type like 'logical replication%worker') as "logicalWorkersUsed",
  pg_catalog.current_setting('max_worker_processes')::int as "workerProcessesMax",
  (select count(*)::int from pg_catalog.pg_stat_activity where ${WORKER_PROCESS}) as "workerProcessesUsed",
  pg_catalog.current_setting('max_sync_workers_per_subscription')::int as "syncWorkersPerSubscription"`;
}

/** Room for subscriptions; what belongs to the subscription with oid `$1` (null: to none) is left out of what is taken. */
export interface RoomRow {
  logicalWorkersMax: number;
  workerProcessesMax: number;
  originsMax: number;
  /** Enabled ones of the whole cluster: each wants an apply worker and an origin for good. */
  enabled: number;
  /** What runs for them besides apply workers, and ends by itself: table synchronization, parallel apply. */
  passing: number;
  /** Worker processes that are neither of subscriptions nor of parallel queries, as far as the login sees them. */
  otherProcesses: number;
}

const OTHERS = 's.oid is distinct from $1::oid';

/** What every login may read, but for `otherProcesses`. */
export function subscriptionRoom(versionNum: number): string {
  const leader = versionNum >= PG16 ? ' or w.leader_pid is not null' : '';
  return `
select pg_catalog.current_setting('max_logical_replication_workers')::int as "logicalWorkersMax",
  pg_catalog.current_setting('max_worker_processes')::int as "workerProcessesMax",
  pg_catalog.current_setting('${originLimit(versionNum)}')::int as "originsMax",
  (select count(*)::int from pg_catalog.pg_subscription s where s.subenabled and ${OTHERS}) as enabled,
  (select count(*)::int from pg_catalog.pg_stat_subscription w
   where w.pid is not null and (w.relid is not null${leader}) and w.subid is distinct from $1::oid) as passing,
  (select count(*)::int from pg_catalog.pg_stat_activity
   where ${WORKER_PROCESS} and backend_type not like 'logical replication%' and backend_type <> 'parallel worker') as "otherProcesses"`;
}

/** Origins that enabled subscriptions want, and those of a source of `(name)`; $1 as above. */
function originsWith(source: string): string {
  return `
select count(*)::int as origins from (
  select 'pg_' || s.oid::int8::text as origin from pg_catalog.pg_subscription s where s.subenabled and ${OTHERS}
  union
  select t.origin from (${source}) t
   where coalesce(t.origin <> 'pg_' || $1::oid::int8::text and t.origin not like 'pg\\_' || $1::oid::int8::text || '\\_%', true)) o`;
}

/** Those that are tracked, or will be; one that was dropped while it was tracked has a number only. */
export const TRACKED_ORIGINS = originsWith(
  'select coalesce(external_id, local_id::text) as origin from pg_catalog.pg_replication_origin_status',
);

/** Those that may be tracked: for whoever may not see which are. */
export const EXISTING_ORIGINS = originsWith('select roname as origin from pg_catalog.pg_replication_origin');
