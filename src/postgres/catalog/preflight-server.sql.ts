export interface ServerFacts {
  database: string;
  version: string;
  inRecovery: boolean;
  systemIdentifier: string;
  startedAt: string;
  walLevel: string;
}

/** From 19 on decoding switches itself on, and `effective_wal_level` says whether it can. */
export const SERVER_FACTS = `
select pg_catalog.current_database()::text as database,
  pg_catalog.current_setting('server_version') as version,
  pg_catalog.pg_is_in_recovery() as "inRecovery",
  (select system_identifier::text from pg_catalog.pg_control_system()) as "systemIdentifier",
  pg_catalog.pg_postmaster_start_time()::text as "startedAt",
  coalesce(pg_catalog.current_setting('effective_wal_level', true), pg_catalog.current_setting('wal_level')) as "walLevel"`;

/** Settings by name ($1); one the server does not know is missing from the answer. */
export const SETTINGS = `
select name, setting, unit, source from pg_catalog.pg_settings where name = any ($1::text[]) order by name`;

/** The same as this session has them, with their units. */
export const SETTINGS_IN_SESSION = `
select name as object, pg_catalog.current_setting(name) as value
from pg_catalog.pg_settings where name = any ($1::text[]) order by name`;

/**
 * Value of each setting ($2) that a session of role $1 in this database starts with, where a role or database sets
 * it: role in database, then role, then database, then all.
 */
export const SETTINGS_FOR_ROLE = `
select distinct on (e.name) e.name as object, e.value,
  case when s.setrole <> 0 and s.setdatabase <> 0 then 'role in database' when s.setrole <> 0 then 'role'
       when s.setdatabase <> 0 then 'database' else 'all roles' end as "setBy"
from pg_catalog.pg_db_role_setting s
cross join lateral (
  select pg_catalog.split_part(c, '=', 1) as name, pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1) as value
  from pg_catalog.unnest(s.setconfig) c) e
where (s.setrole = 0 or s.setrole = (select oid from pg_catalog.pg_roles where rolname = $1))
  and (s.setdatabase = 0 or s.setdatabase = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))
  and e.name = any ($2::text[])
order by e.name, s.setrole <> 0 desc, s.setdatabase <> 0 desc`;

/** Settings ($1) in the configuration files: what Lockstep's own session pins cannot be seen in pg_settings. */
export const FILE_SETTINGS = `
select name as object, setting as value from pg_catalog.pg_file_settings
where applied and name = any ($1::text[]) order by name`;

/**
 * Settings stored for this database, which a schema dump does not carry. Values of customised options are left out:
 * applications keep secrets there.
 */
export const DATABASE_SETTINGS = `
select coalesce(r.rolname::text || ' in database', 'database') || ': ' ||
  case when pg_catalog.split_part(e, '=', 1) like '%.%' then pg_catalog.split_part(e, '=', 1) || '=(not shown)' else e end as object
from pg_catalog.pg_db_role_setting s left join pg_catalog.pg_roles r on r.oid = s.setrole
cross join lateral pg_catalog.unnest(s.setconfig) e
where s.setdatabase = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
order by 1`;

export interface LockCapacity {
  tables: number;
  capacity: number;
}

/** Relations that a dump or a lock of every table takes at once, and how many locks the server has room for. */
export const LOCK_CAPACITY = `
select (select count(*)::int from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'S', 'v', 'm', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema') as tables,
  pg_catalog.current_setting('max_locks_per_transaction')::int
    * (pg_catalog.current_setting('max_connections')::int + pg_catalog.current_setting('max_prepared_transactions')::int) as capacity`;

export interface LocaleRow {
  encoding: string;
  collate: string;
  ctype: string;
  provider: string;
  icuLocale: string | null;
}

/** Encoding and locale of the database; the provider and its locale moved between columns in 15 and 17. */
export function databaseLocale(versionNum: number): string {
  const provider = versionNum >= 150000 ? 'datlocprovider::text' : `'c'::text`;
  const locale = versionNum >= 170000 ? 'datlocale' : versionNum >= 150000 ? 'daticulocale' : 'null::text';
  return `
select pg_catalog.pg_encoding_to_char(encoding)::text as encoding, datcollate::text as collate, datctype::text as ctype,
  ${provider} as provider, ${locale} as "icuLocale"
from pg_catalog.pg_database where datname = pg_catalog.current_database()`;
}

/** Collations whose library changed since they were made: their indexes may be out of order. */
export function staleCollations(versionNum: number): string {
  const ofDatabase =
    versionNum >= 150000
      ? `
union all
select 'database ' || pg_catalog.quote_ident(datname), datcollversion, pg_catalog.pg_database_collation_actual_version(oid)
from pg_catalog.pg_database
where datname = pg_catalog.current_database()
  and datcollversion is distinct from pg_catalog.pg_database_collation_actual_version(oid)`
      : '';
  return `
select c.oid::pg_catalog.regcollation::text as object, c.collversion as recorded,
  pg_catalog.pg_collation_actual_version(c.oid) as actual
from pg_catalog.pg_collation c
where c.collversion is not null and c.collversion is distinct from pg_catalog.pg_collation_actual_version(c.oid)
  and c.collencoding in (-1, (select encoding from pg_catalog.pg_database where datname = pg_catalog.current_database()))${ofDatabase}
order by 1`;
}
