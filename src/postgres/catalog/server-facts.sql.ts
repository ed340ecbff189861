import { PG14, PG15, PG16, PG17, PG18 } from '../../shared/server-version.js';

export interface ServerIdentityRow {
  version: string;
  version_num: number;
  system_identifier: string;
  in_recovery: boolean;
  /** Null on a standby that streams from nowhere and has never replayed an end of recovery. */
  timeline: number | null;
  postmaster_started_at: string;
}

/**
 * Who the server is. A primary's timeline is read from its current WAL file name: the control file still shows the
 * old one between a promotion and the next checkpoint. A standby's is the one it receives.
 */
export const SERVER_IDENTITY = `
select pg_catalog.current_setting('server_version') as version,
       pg_catalog.current_setting('server_version_num')::int as version_num,
       (select system_identifier::text from pg_catalog.pg_control_system()) as system_identifier,
       pg_catalog.pg_is_in_recovery() as in_recovery,
       case
         when pg_catalog.pg_is_in_recovery() then coalesce(
           (select received_tli from pg_catalog.pg_stat_wal_receiver),
           (select nullif(min_recovery_end_timeline, 0) from pg_catalog.pg_control_recovery()))
         else ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int
       end as timeline,
       pg_catalog.pg_postmaster_start_time()::text as postmaster_started_at`;

export interface SettingRow {
  name: string;
  setting: string;
  unit: string | null;
  source: string;
  pending_restart: boolean;
}

const SETTINGS = [
  'wal_level',
  'max_replication_slots',
  'max_wal_senders',
  'max_logical_replication_workers',
  'max_sync_workers_per_subscription',
  'max_worker_processes',
  'max_connections',
  'max_prepared_transactions',
  'max_slot_wal_keep_size',
  'wal_keep_size',
  'wal_sender_timeout',
  'wal_receiver_timeout',
  'logical_decoding_work_mem',
  'track_commit_timestamp',
  'wal_log_hints',
  'data_checksums',
  'full_page_writes',
  'fsync',
  'synchronous_commit',
  'synchronous_standby_names',
  'hot_standby',
  'hot_standby_feedback',
  'server_encoding',
  'ssl',
  'cluster_name',
];

/** The settings that decide what replication can do here. One the login may not see is absent, which is not "off". */
export function settingNames(versionNum: number): string[] {
  return [
    ...SETTINGS,
    ...(versionNum >= PG16 ? ['max_parallel_apply_workers_per_subscription'] : []),
    ...(versionNum >= PG17 ? ['sync_replication_slots', 'synchronized_standby_slots'] : []),
    ...(versionNum >= PG18 ? ['idle_replication_slot_timeout', 'max_active_replication_origins'] : []),
  ];
}

/** $1: names. */
export const SERVER_SETTINGS = `
select name, setting, unit, source, pending_restart
  from pg_catalog.pg_settings
 where name = any($1)
 order by name`;

export interface UsageRow {
  replication_slots: number;
  wal_senders: number;
  logical_workers: number;
  connections: number;
  prepared_transactions: number;
}

/** How much of each limit is in use. Every count is visible to any login. */
export const SERVER_USAGE = `
select (select count(*) from pg_catalog.pg_replication_slots)::int as replication_slots,
       (select count(*) from pg_catalog.pg_stat_replication)::int as wal_senders,
       (select count(pid) from pg_catalog.pg_stat_subscription)::int as logical_workers,
       (select coalesce(sum(numbackends), 0) from pg_catalog.pg_stat_database)::int as connections,
       (select count(*) from pg_catalog.pg_prepared_xacts)::int as prepared_transactions`;

export interface LoginRow {
  login: string;
  superuser: boolean;
  replication: boolean;
  create_role: boolean;
  create_database: boolean;
  monitor: boolean;
  signal_backend: boolean;
  advance_origin: boolean;
  /** Null before 14, which has no such role. */
  read_all_data: boolean | null;
  /** Null before 16: only a superuser can create subscriptions there. */
  create_subscription: boolean | null;
  /** Amazon RDS hands out replication by membership instead of the role attribute. */
  rds_replication: boolean;
}

/** What the login may do. Memberships count only where they are inherited, as the server itself judges. */
export function serverLogin(versionNum: number): string {
  return `
select r.rolname as login,
       r.rolsuper as superuser,
       r.rolreplication as replication,
       r.rolcreaterole as create_role,
       r.rolcreatedb as create_database,
       pg_catalog.pg_has_role(r.oid, 'pg_monitor', 'usage') as monitor,
       pg_catalog.pg_has_role(r.oid, 'pg_signal_backend', 'usage') as signal_backend,
       ${advanceOrigin(versionNum)} as advance_origin,
       ${versionNum >= PG14 ? memberOf('pg_read_all_data') : 'null::boolean'} as read_all_data,
       ${versionNum >= PG16 ? memberOf('pg_create_subscription') : 'null::boolean'} as create_subscription,
       exists (select from pg_catalog.pg_roles p
                where p.rolname = 'rds_replication' and pg_catalog.pg_has_role(r.oid, p.oid, 'usage')) as rds_replication
  from pg_catalog.pg_roles r
 where r.rolname = current_user`;
}

/** Up to 13 the function itself asks for a superuser, whatever its privileges say. */
function advanceOrigin(versionNum: number): string {
  return versionNum >= PG14
    ? `pg_catalog.has_function_privilege(
         r.oid, 'pg_catalog.pg_replication_origin_advance(text, pg_catalog.pg_lsn)', 'execute')`
    : 'r.rolsuper';
}

function memberOf(role: string): string {
  return `pg_catalog.pg_has_role(r.oid, '${role}', 'usage')`;
}

export interface ProviderSignsRow {
  /** Prefixes of settings that only the provider's build or operator defines. */
  prefixes: string[];
  aurora: boolean;
  /** Of the settings Patroni always passes on the command line, how many came from there. */
  patroni_settings: number;
}

/** Signs that nobody but the provider leaves behind; role names are not among them, since anybody can create roles. */
export const PROVIDER_SIGNS = `
select array(select distinct pg_catalog.split_part(name, '.', 1)
               from pg_catalog.pg_settings
              where pg_catalog.split_part(name, '.', 1) in ('rds', 'cloudsql', 'alloydb', 'azure', 'cnpg')
                and name like '%.%' order by 1)::text[] as prefixes,
       pg_catalog.to_regproc('pg_catalog.aurora_version') is not null as aurora,
       (select count(*)
          from pg_catalog.pg_settings
         where source = 'command line'
           and name in ('cluster_name', 'hot_standby', 'max_locks_per_transaction', 'track_commit_timestamp',
                        'wal_log_hints', 'max_prepared_transactions'))::int as patroni_settings`;

/** `patroni_settings` at which it is certain. */
export const ALL_PATRONI_SETTINGS = 6;

export interface DatabaseRow {
  name: string;
  owner: string;
  encoding: string;
  collate: string;
  ctype: string;
  locale_provider: 'libc' | 'icu' | 'builtin';
  allows_connections: boolean;
  is_template: boolean;
  connection_limit: number;
  /** bigint as text; null where the login may not ask. */
  size_bytes: string | null;
}

export function serverDatabases(versionNum: number): string {
  const provider =
    versionNum >= PG15 ? `case d.datlocprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end` : `'libc'`;
  return `
select d.datname as name,
       pg_catalog.pg_get_userbyid(d.datdba) as owner,
       pg_catalog.pg_encoding_to_char(d.encoding) as encoding,
       d.datcollate::text as collate,
       d.datctype::text as ctype,
       ${provider} as locale_provider,
       d.datallowconn as allows_connections,
       d.datistemplate as is_template,
       d.datconnlimit as connection_limit,
       case when pg_catalog.has_database_privilege(d.oid, 'connect')
              or pg_catalog.pg_has_role('pg_read_all_stats', 'usage')
            then pg_catalog.pg_database_size(d.oid) end as size_bytes
  from pg_catalog.pg_database d
 order by d.datname`;
}

/** Of the cluster that answers. */
export const SYSTEM_IDENTIFIER = `select system_identifier::text as identifier from pg_catalog.pg_control_system()`;
