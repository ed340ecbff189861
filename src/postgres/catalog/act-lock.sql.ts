/** $1: name of the lock. Advisory locks are per database, which is where an upgrade acts. */
export const TRY_ACT_LOCK = `
  select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1::text collate "C", 0)) as taken`;

/** Sessions that hold the lock of that name. A 64-bit key shows in pg_locks as two halves, objsubid 1. */
export const ACT_LOCK_HOLDER = `
  select a.pid, a.application_name as application
    from pg_catalog.pg_locks as l
    join pg_catalog.pg_stat_activity as a on a.pid = l.pid
    join pg_catalog.pg_database as d on d.oid = l.database
   where l.locktype = 'advisory' and l.granted and l.objsubid = 1
     and d.datname = pg_catalog.current_database()
     and ((l.classid::bigint << 32) | l.objid::bigint) = pg_catalog.hashtextextended($1::text collate "C", 0)`;

export const TERMINATE_BACKEND = `select pg_catalog.pg_terminate_backend($1) as ended`;

/**
 * Where the server or the login does not wait for commits (synchronous_commit off), this session does: what is recorded
 * as done must not be forgotten in a crash of the server.
 */
export const WAIT_FOR_OWN_COMMITS = `
  select pg_catalog.set_config('synchronous_commit', 'local', false)
   where pg_catalog.current_setting('synchronous_commit') = 'off'`;
