/** Locks of DDL held on relations of this database: what is being changed now is not in the schema that is dumped. */
export const DDL_IN_FLIGHT = `
select coalesce('pid ' || l.pid || ' of ' || coalesce(a.usename::text, '?'), 'a prepared transaction')
    || ' on ' || l.relation::pg_catalog.regclass::text as object, l.mode,
  extract(epoch from pg_catalog.clock_timestamp() - a.xact_start)::float8 as "ageSeconds"
from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.granted and l.mode in ('AccessExclusiveLock', 'ShareRowExclusiveLock')
  and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
  and l.relation >= 16384 and l.pid is distinct from pg_catalog.pg_backend_pid()
  and coalesce(a.backend_type, '') <> 'autovacuum worker'
  and not exists (select from pg_catalog.pg_class c where c.oid = l.relation and c.relpersistence = 't')
order by 1`;

/** Sessions of this database whose state ends with them: advisory locks and LISTEN. */
export const SESSION_STATE = `
select 'pid ' || a.pid || ' of ' || coalesce(a.usename::text, '?') as object, a.application_name as application,
  (select count(*)::int from pg_catalog.pg_locks l where l.pid = a.pid and l.locktype = 'advisory' and l.granted) as "advisoryLocks",
  a.query ~* '^\\s*listen\\s' as listens
from pg_catalog.pg_stat_activity a
where a.datname = pg_catalog.current_database() and a.backend_type = 'client backend'
  and a.pid <> pg_catalog.pg_backend_pid() and a.application_name not like 'lockstep%'
  and (a.query ~* '^\\s*listen\\s'
       or exists (select from pg_catalog.pg_locks l where l.pid = a.pid and l.locktype = 'advisory' and l.granted))
order by 1`;

/** Standbys that stream from the server; walsenders of logical slots are not among them. */
export const PHYSICAL_STANDBYS = `
select coalesce(nullif(r.application_name, ''), '?') || ' at ' || coalesce(pg_catalog.host(r.client_addr), 'a local socket') as object,
  r.state, r.sync_state as "syncState"
from pg_catalog.pg_stat_replication r
where r.state in ('startup', 'catchup', 'streaming') and not exists (
  select from pg_catalog.pg_replication_slots s where s.active_pid = r.pid and s.slot_type = 'logical')
order by 1`;

export interface WalPosition {
  lsn: string;
  /** Of the server's clock, in seconds. */
  at: number;
}

export const WAL_POSITION = `
select pg_catalog.pg_current_wal_insert_lsn()::text as lsn,
  extract(epoch from pg_catalog.clock_timestamp())::float8 as at`;

/** Whether the current login may look into pg_wal. */
export const MAY_LIST_WAL = `
select pg_catalog.has_function_privilege('pg_catalog.pg_ls_waldir()', 'EXECUTE') as allowed`;

export const WAL_ON_DISK = `select coalesce(pg_catalog.sum(size), 0)::text as bytes from pg_catalog.pg_ls_waldir()`;

/** Milliseconds since 1970 by the server's clock, now and not at the start of the transaction. */
export const SERVER_CLOCK = `
select (extract(epoch from pg_catalog.clock_timestamp()) * 1000)::float8 as "epochMs"`;
