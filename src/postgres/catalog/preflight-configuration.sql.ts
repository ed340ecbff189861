/** Whether the current login may read pg_hba.conf as the server does: superusers, and whom both were granted to. */
export const MAY_READ_HBA = `
select pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT')
  and pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE') as readable`;

/**
 * Lines of pg_hba.conf that the server could not read. Its message quotes the line, which may hold a password, so it
 * is cut where the quotation begins; since 16 other files can be included.
 */
export function hbaErrors(versionNum: number): string {
  const file = versionNum >= 160000 ? `file_name || ' line '` : `'line '`;
  return `
select ${file} || line_number || ': ' || pg_catalog.rtrim(pg_catalog.regexp_replace(error, '[":].*$', '')) as object
from pg_catalog.pg_hba_file_rules where error is not null order by line_number`;
}

/** Settings stored for roles or for this database, by name; those of extensions have a dot and any server takes them. */
export const STORED_SETTINGS = `
select distinct pg_catalog.lower(pg_catalog.split_part(c, '=', 1)) as name,
  coalesce('role ' || pg_catalog.quote_ident(r.rolname), 'the database') as owner
from pg_catalog.pg_db_role_setting s left join pg_catalog.pg_roles r on r.oid = s.setrole
cross join lateral pg_catalog.unnest(s.setconfig) c
where s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))
  and pg_catalog.strpos(pg_catalog.split_part(c, '=', 1), '.') = 0
order by 1, 2`;

/** Names of $1 that the server knows. */
export const KNOWN_SETTINGS = `
select pg_catalog.lower(name) as name from pg_catalog.pg_settings where pg_catalog.lower(name) = any ($1::text[])`;

/** Whether the current login sees every setting; from others the server hides some, as if it did not know them. */
export const SEES_ALL_SETTINGS = `
select rolsuper or pg_catalog.pg_has_role(oid, 'pg_read_all_settings', 'USAGE') as visible
from pg_catalog.pg_roles where rolname = current_user`;

/**
 * Settings that decide how statements behave and were set in the configuration of the server, by name with unit. What
 * belongs to the machine (files, addresses, logs, memory, WAL, standbys) is left out.
 */
export const BEHAVIOUR_SETTINGS = `
select name as object, setting || coalesce(unit, '') as value
from pg_catalog.pg_settings
where context in ('user', 'superuser') and vartype <> 'string' and name not like '%.%'
  and category !~ '^(Reporting and Logging|File Locations|Resource Usage|Write-Ahead Log|Developer Options|Statistics)'
  and source in ('configuration file', 'command line', 'environment variable', 'database', 'global')
union all
select name, setting from pg_catalog.pg_settings
where name in ('default_text_search_config', 'default_tablespace', 'default_table_access_method', 'xmlbinary', 'default_toast_compression')
order by 1`;

export const PRELOADED_LIBRARIES = `
select pg_catalog.current_setting('shared_preload_libraries') as shared,
  pg_catalog.current_setting('session_preload_libraries') as session,
  pg_catalog.current_setting('local_preload_libraries') as local`;

/** Databases of the server by how much of the transaction (and multixact) numbers they have used up since their last freeze. */
export const FREEZE_AGES = `
select pg_catalog.quote_ident(datname) as object, pg_catalog.age(datfrozenxid)::int as "transactionAge",
  pg_catalog.mxid_age(datminmxid)::int as "multixactAge"
from pg_catalog.pg_database
where pg_catalog.age(datfrozenxid) > $1 or pg_catalog.mxid_age(datminmxid) > $1 order by 2 desc`;

/** Databases nobody can connect to: closed, or left half dropped (a limit of -2). */
export const CLOSED_DATABASES = `
select pg_catalog.quote_ident(datname) as object, datallowconn as "allowsConnections", datconnlimit as "connectionLimit"
from pg_catalog.pg_database where (not datallowconn or datconnlimit < -1) and datname <> 'template0' order by 1`;

/** Null: no limit. */
export const CONNECTION_LIMIT = `
select nullif(datconnlimit, -1) as "limit" from pg_catalog.pg_database where datname = pg_catalog.current_database()`;

/** Superusers that can log in, besides the current login: no fence stops them. */
export const OTHER_SUPERUSERS = `
select pg_catalog.quote_ident(rolname) as object from pg_catalog.pg_roles
where rolsuper and rolcanlogin and rolname <> session_user order by 1`;

export interface ForeignServerRow {
  [column: string]: unknown;
  object: string;
  wrapper: string;
  host: string | null;
  port: string | null;
}

/** Where foreign servers point; of their options only the address, since others may be secret. */
export const FOREIGN_SERVER_ADDRESSES = `
select pg_catalog.quote_ident(s.srvname) as object, w.fdwname::text as wrapper, o.host, o.port
from pg_catalog.pg_foreign_server s join pg_catalog.pg_foreign_data_wrapper w on w.oid = s.srvfdw
left join lateral (
  select pg_catalog.max(option_value) filter (where option_name in ('host', 'hostaddr')) as host,
    pg_catalog.max(option_value) filter (where option_name = 'port') as port
  from pg_catalog.pg_options_to_table(s.srvoptions)) o on true
order by 1`;
