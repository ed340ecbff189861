export interface ReadOnlyEntry {
  [column: string]: unknown;
  /** Null: for every role. */
  role: string | null;
  /** For this database only, else for every one. */
  thisDatabase: boolean;
  on: boolean;
}

/** What roles ($1), all of them and this database have stored of `default_transaction_read_only`. */
export const READ_ONLY_ENTRIES = `
select r.rolname::text as role, s.setdatabase <> 0 as "thisDatabase",
  pg_catalog.substr(e, pg_catalog.strpos(e, '=') + 1)::bool as "on"
from pg_catalog.pg_db_role_setting s left join pg_catalog.pg_roles r on r.oid = s.setrole
cross join lateral pg_catalog.unnest(s.setconfig) e
where (s.setrole = 0 or r.rolname = any ($1::text[]))
  and s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))
  and pg_catalog.lower(pg_catalog.split_part(e, '=', 1)) = 'default_transaction_read_only'`;

/** In a session that does not pin it: its value, and whether the login has one of its own, which hides the server's. */
export const READ_ONLY_OF_SESSION = `
select setting::bool as "on", source in ('user', 'database user') as own
from pg_catalog.pg_settings where name = 'default_transaction_read_only'`;

/** The server's own value, for whoever may read its configuration files. */
export const READ_ONLY_OF_SERVER = `
select coalesce((select setting::bool from pg_catalog.pg_file_settings
                 where applied and pg_catalog.lower(name) = 'default_transaction_read_only'
                 order by seqno desc limit 1), false) as "on"`;
