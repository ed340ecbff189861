import { PG13, PG14, PG15, PG16, PG17, PG18 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** pg_subscription is shared by all databases: every query here is bound to the session's own. */
const OWN = `s.subdbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
         and ($1::text[] is null or s.subname = any ($1::text[]))`;

/** Subscriptions of the database; `$1` (text[]) are names, or null for all. Null: the version has no such option. */
export const SUBSCRIPTIONS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.oid::int8::text as oid, s.subname::text as name, pg_catalog.pg_get_userbyid(s.subowner)::text as owner,
             s.subenabled as enabled, s.subslotname::text as slot_name, pg_catalog.to_jsonb(s.subpublications) as publications,
             s.subsynccommit as synchronous_commit, null::boolean as binary, null::text as streaming,
             null::text as two_phase_state, null::boolean as disable_on_error, null::text as skip_lsn,
             null::text as origin, null::boolean as password_required, null::boolean as run_as_owner,
             null::boolean as failover
        from pg_catalog.pg_subscription s
       where ${OWN}
       order by s.subname`,
  },
  {
    since: PG14,
    sql: `
      select s.oid::int8::text as oid, s.subname::text as name, pg_catalog.pg_get_userbyid(s.subowner)::text as owner,
             s.subenabled as enabled, s.subslotname::text as slot_name, pg_catalog.to_jsonb(s.subpublications) as publications,
             s.subsynccommit as synchronous_commit, s.subbinary as binary,
             case when s.substream then 'on' else 'off' end as streaming,
             null::text as two_phase_state, null::boolean as disable_on_error, null::text as skip_lsn,
             null::text as origin, null::boolean as password_required, null::boolean as run_as_owner,
             null::boolean as failover
        from pg_catalog.pg_subscription s
       where ${OWN}
       order by s.subname`,
  },
  {
    since: PG15,
    sql: `
      select s.oid::int8::text as oid, s.subname::text as name, pg_catalog.pg_get_userbyid(s.subowner)::text as owner,
             s.subenabled as enabled, s.subslotname::text as slot_name, pg_catalog.to_jsonb(s.subpublications) as publications,
             s.subsynccommit as synchronous_commit, s.subbinary as binary,
             case when s.substream then 'on' else 'off' end as streaming,
             s.subtwophasestate::text as two_phase_state, s.subdisableonerr as disable_on_error,
             nullif(s.subskiplsn, '0/0')::text as skip_lsn,
             null::text as origin, null::boolean as password_required, null::boolean as run_as_owner,
             null::boolean as failover
        from pg_catalog.pg_subscription s
       where ${OWN}
       order by s.subname`,
  },
  {
    since: PG16,
    sql: `
      select s.oid::int8::text as oid, s.subname::text as name, pg_catalog.pg_get_userbyid(s.subowner)::text as owner,
             s.subenabled as enabled, s.subslotname::text as slot_name, pg_catalog.to_jsonb(s.subpublications) as publications,
             s.subsynccommit as synchronous_commit, s.subbinary as binary,
             case s.substream when 't' then 'on' when 'p' then 'parallel' else 'off' end as streaming,
             s.subtwophasestate::text as two_phase_state, s.subdisableonerr as disable_on_error,
             nullif(s.subskiplsn, '0/0')::text as skip_lsn,
             s.suborigin as origin, s.subpasswordrequired as password_required, s.subrunasowner as run_as_owner,
             null::boolean as failover
        from pg_catalog.pg_subscription s
       where ${OWN}
       order by s.subname`,
  },
  {
    since: PG17,
    sql: `
      select s.oid::int8::text as oid, s.subname::text as name, pg_catalog.pg_get_userbyid(s.subowner)::text as owner,
             s.subenabled as enabled, s.subslotname::text as slot_name, pg_catalog.to_jsonb(s.subpublications) as publications,
             s.subsynccommit as synchronous_commit, s.subbinary as binary,
             case s.substream when 't' then 'on' when 'p' then 'parallel' else 'off' end as streaming,
             s.subtwophasestate::text as two_phase_state, s.subdisableonerr as disable_on_error,
             nullif(s.subskiplsn, '0/0')::text as skip_lsn,
             s.suborigin as origin, s.subpasswordrequired as password_required, s.subrunasowner as run_as_owner,
             s.subfailover as failover
        from pg_catalog.pg_subscription s
       where ${OWN}
       order by s.subname`,
  },
];

/**
 * What is closed to ordinary logins and may be read: connection strings, and positions of origins by their view or, from
 * 14 on, one by one. On 13 the server lets none but superusers, whatever was granted.
 */
export const READABLE: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'subconninfo', 'SELECT') as connections,
             pg_catalog.has_table_privilege('pg_catalog.pg_replication_origin_status', 'SELECT')
               and pg_catalog.has_function_privilege('pg_catalog.pg_show_replication_origin_status()', 'EXECUTE') as origins,
             false as progress`,
  },
  {
    since: PG14,
    sql: `
      select pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'subconninfo', 'SELECT') as connections,
             pg_catalog.has_table_privilege('pg_catalog.pg_replication_origin_status', 'SELECT')
               and pg_catalog.has_function_privilege('pg_catalog.pg_show_replication_origin_status()', 'EXECUTE') as origins,
             pg_catalog.has_function_privilege('pg_catalog.pg_replication_origin_progress(text, boolean)', 'EXECUTE') as progress`,
  },
];

/** Connection strings, with secrets; only where READABLE says so. */
export const SUBSCRIPTION_CONNECTIONS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.subname::text as name, s.subconninfo as conninfo
        from pg_catalog.pg_subscription s
       where ${OWN}
       order by s.subname`,
  },
];

/** Position of each subscription's replication origin, as the publisher's LSN; only where READABLE says so. */
export const ORIGIN_PROGRESS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.subname::text as name, nullif(o.remote_lsn, '0/0')::text as remote_lsn
        from pg_catalog.pg_subscription s
        join pg_catalog.pg_replication_origin_status o on o.external_id = 'pg_' || s.oid::int8::text
       where ${OWN}
       order by s.subname`,
  },
];

/** The same by the function alone. It fails for an origin that has just gone, which the view does not. */
export const ORIGIN_PROGRESS_ONE_BY_ONE: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.subname::text as name, nullif(p.lsn, '0/0')::text as remote_lsn
        from pg_catalog.pg_subscription s
        join pg_catalog.pg_replication_origin o on o.roname = 'pg_' || s.oid::int8::text
       cross join lateral pg_catalog.pg_replication_origin_progress(o.roname, false) as p (lsn)
       where ${OWN}
       order by s.subname`,
  },
];

/** Tables of the subscriptions with their state, and the progress of those being copied (14 and newer). */
export const SUBSCRIPTION_TABLES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.subname::text as subscription, n.nspname::text as schema, c.relname::text as name,
             r.srsubstate::text as state, r.srsublsn::text as lsn,
             null::text as copied_rows, null::text as copied_bytes, null::float8 as copying_seconds
        from pg_catalog.pg_subscription s
        join pg_catalog.pg_subscription_rel r on r.srsubid = s.oid
        join pg_catalog.pg_class c on c.oid = r.srrelid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where ${OWN}
       order by s.subname, n.nspname, c.relname`,
  },
  {
    since: PG14,
    sql: `
      select s.subname::text as subscription, n.nspname::text as schema, c.relname::text as name,
             r.srsubstate::text as state, r.srsublsn::text as lsn,
             progress.tuples_processed::text as copied_rows, progress.bytes_processed::text as copied_bytes,
             (extract(epoch from (pg_catalog.clock_timestamp() - activity.backend_start)))::float8 as copying_seconds
        from pg_catalog.pg_subscription s
        join pg_catalog.pg_subscription_rel r on r.srsubid = s.oid
        join pg_catalog.pg_class c on c.oid = r.srrelid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        left join pg_catalog.pg_stat_subscription worker on worker.subid = s.oid and worker.relid = r.srrelid
        left join pg_catalog.pg_stat_progress_copy progress on progress.pid = worker.pid and progress.relid = r.srrelid
        left join pg_catalog.pg_stat_activity activity on activity.pid = progress.pid
       where ${OWN}
       order by s.subname, n.nspname, c.relname`,
  },
];

/**
 * Running workers. Before 17 the kind follows from relid and leader_pid. One that is only just starting
 * shows `-infinity` as the time of its last message; until a first one comes, it is then that of its start.
 */
export const SUBSCRIPTION_WORKERS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.subname::text as subscription, w.pid as pid,
             case when w.relid is null then 'apply' else 'table synchronization' end as kind,
             null::int4 as leader_pid, n.nspname::text as schema, c.relname::text as name,
             w.received_lsn::text as received_lsn, w.latest_end_lsn::text as latest_end_lsn,
             nullif(w.last_msg_receipt_time, '-infinity') as last_message_at, a.backend_start as started_at
        from pg_catalog.pg_subscription s
        join pg_catalog.pg_stat_subscription w on w.subid = s.oid and w.pid is not null
        left join pg_catalog.pg_stat_activity a on a.pid = w.pid
        left join pg_catalog.pg_class c on c.oid = w.relid
        left join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where ${OWN}
       order by s.subname, w.pid`,
  },
  {
    since: PG16,
    sql: `
      select s.subname::text as subscription, w.pid as pid,
             case when w.leader_pid is not null then 'parallel apply'
                  when w.relid is null then 'apply' else 'table synchronization' end as kind,
             w.leader_pid as leader_pid, n.nspname::text as schema, c.relname::text as name,
             w.received_lsn::text as received_lsn, w.latest_end_lsn::text as latest_end_lsn,
             nullif(w.last_msg_receipt_time, '-infinity') as last_message_at, a.backend_start as started_at
        from pg_catalog.pg_subscription s
        join pg_catalog.pg_stat_subscription w on w.subid = s.oid and w.pid is not null
        left join pg_catalog.pg_stat_activity a on a.pid = w.pid
        left join pg_catalog.pg_class c on c.oid = w.relid
        left join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where ${OWN}
       order by s.subname, w.pid`,
  },
  {
    since: PG17,
    sql: `
      select s.subname::text as subscription, w.pid as pid, w.worker_type::text as kind,
             w.leader_pid as leader_pid, n.nspname::text as schema, c.relname::text as name,
             w.received_lsn::text as received_lsn, w.latest_end_lsn::text as latest_end_lsn,
             nullif(w.last_msg_receipt_time, '-infinity') as last_message_at, a.backend_start as started_at
        from pg_catalog.pg_subscription s
        join pg_catalog.pg_stat_subscription w on w.subid = s.oid and w.pid is not null
        left join pg_catalog.pg_stat_activity a on a.pid = w.pid
        left join pg_catalog.pg_class c on c.oid = w.relid
        left join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where ${OWN}
       order by s.subname, w.pid`,
  },
];

/** Error and conflict counters; `conflicts` is null before 18, both error counters before 15. */
export const SUBSCRIPTION_ERRORS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select s.subname::text as subscription, null::text as apply_errors, null::text as sync_errors,
             null::pg_catalog.jsonb as conflicts, null::timestamptz as stats_reset
        from pg_catalog.pg_subscription s
       where ${OWN}
       order by s.subname`,
  },
  {
    since: PG15,
    sql: `
      select s.subname::text as subscription, e.apply_error_count::text as apply_errors,
             e.sync_error_count::text as sync_errors,
             null::pg_catalog.jsonb as conflicts, e.stats_reset as stats_reset
        from pg_catalog.pg_subscription s
        left join pg_catalog.pg_stat_subscription_stats e on e.subid = s.oid
       where ${OWN}
       order by s.subname`,
  },
  {
    since: PG18,
    sql: `
      select s.subname::text as subscription, e.apply_error_count::text as apply_errors,
             e.sync_error_count::text as sync_errors,
             pg_catalog.jsonb_build_object(
               'insertExists', e.confl_insert_exists,
               'updateOriginDiffers', e.confl_update_origin_differs,
               'updateExists', e.confl_update_exists,
               'updateMissing', e.confl_update_missing,
               'deleteOriginDiffers', e.confl_delete_origin_differs,
               'deleteMissing', e.confl_delete_missing,
               'multipleUniqueConflicts', e.confl_multiple_unique_conflicts) as conflicts,
             e.stats_reset as stats_reset
        from pg_catalog.pg_subscription s
        left join pg_catalog.pg_stat_subscription_stats e on e.subid = s.oid
       where ${OWN}
       order by s.subname`,
  },
];
