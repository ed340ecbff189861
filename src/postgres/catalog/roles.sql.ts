import { PG16 } from '../../shared/server-version.js';

/** oid of the bootstrap superuser: pinned, so nothing records that objects belong to it. */
const BOOTSTRAP_ROLE = 10;

/**
 * Roles a schema needs: whoever owns anything in the database, is granted anything or named in a policy, has default
 * privileges or a user mapping (all of which pg_shdepend records), the roles in `$1`, and every role these are
 * members of. Predefined roles are left out: every server has its own.
 */
export const requiredRoles = `
  with recursive named as (
    select d.refobjid as oid
      from pg_catalog.pg_shdepend d
     where d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
       and d.dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
    union select ${BOOTSTRAP_ROLE}
    union select oid from pg_catalog.pg_roles where rolname = any ($1::name[])
  ), needed as (
    select oid from named
    union
    select m.roleid from pg_catalog.pg_auth_members m join needed n on n.oid = m.member
  )
  select r.rolname::text as name, r.rolsuper as superuser, r.rolinherit as inherit, r.rolcreaterole as "createRole",
         r.rolcreatedb as "createDatabase", r.rolcanlogin as login, r.rolreplication as replication,
         r.rolbypassrls as "bypassRls", r.rolconnlimit as "connectionLimit",
         case when r.rolvaliduntil is null then null else r.rolvaliduntil::text end as "validUntil"
    from pg_catalog.pg_roles r join needed n on n.oid = r.oid
   where r.rolname !~ '^pg_'
   order by r.oid`;

/** The same attributes of the roles named in `$1`, where they exist. */
export const rolesByName = `
  select r.rolname::text as name, r.rolsuper as superuser, r.rolinherit as inherit, r.rolcreaterole as "createRole",
         r.rolcreatedb as "createDatabase", r.rolcanlogin as login, r.rolreplication as replication,
         r.rolbypassrls as "bypassRls", r.rolconnlimit as "connectionLimit",
         case when r.rolvaliduntil is null then null else r.rolvaliduntil::text end as "validUntil"
    from pg_catalog.pg_roles r where r.rolname = any ($1::name[])`;

/** Which of the names exist as predefined roles. */
export const predefinedRoles = `select rolname::text as name from pg_catalog.pg_roles where rolname ~ '^pg_'`;

/** Memberships of the roles in `$1`. Before 16 inheriting was the member's attribute and SET ROLE always allowed. */
export function memberships(versionNum: number): string {
  const options =
    versionNum >= PG16
      ? `pg_catalog.bool_or(m.inherit_option) as inherit, pg_catalog.bool_or(m.set_option) as set`
      : `pg_catalog.bool_or(member.rolinherit) as inherit, true as set`;
  return `
    select member.rolname::text as member, granted.rolname::text as role,
           pg_catalog.bool_or(m.admin_option) as admin, ${options}
      from pg_catalog.pg_auth_members m
      join pg_catalog.pg_roles member on member.oid = m.member
      join pg_catalog.pg_roles granted on granted.oid = m.roleid
     where member.rolname = any ($1::name[])
     group by member.rolname, granted.rolname
     order by 1, 2`;
}

/** Settings of the roles in `$1`, for every database and for this one. */
export const roleSettings = `
  select r.rolname::text as role, s.setdatabase <> 0 as "thisDatabase",
         pg_catalog.split_part(c.entry, '=', 1) as name,
         pg_catalog.substr(c.entry, pg_catalog.strpos(c.entry, '=') + 1) as value
    from pg_catalog.pg_db_role_setting s
    join pg_catalog.pg_roles r on r.oid = s.setrole
   cross join lateral pg_catalog.unnest(s.setconfig) with ordinality as c(entry, place)
   where r.rolname = any ($1::name[])
     and (s.setdatabase = 0 or s.setdatabase = (select oid from pg_catalog.pg_database
                                                 where datname = pg_catalog.current_database()))
   order by 1, 2, c.place`;

/** Both columns that `verifiers` reads; a grant of these two is enough. */
export const mayReadVerifiers = `
  select pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolname', 'SELECT')
     and pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT') as readable`;

export const isSuperuser = `
  select rolsuper as superuser from pg_catalog.pg_roles where rolname = current_user`;

/** Password verifiers: secrets. The result is handed on in memory and never stored, returned or logged. */
export const verifiers = `
  select rolname::text as name, rolpassword as verifier from pg_catalog.pg_authid where rolname = any ($1::name[])`;

/** Keeps a statement that carries a verifier out of the target's log and statistics; superusers only. */
export const keepOutOfLogs = `
  select pg_catalog.set_config(s.name, v.value, true)
    from (values ('log_statement', 'none'), ('log_min_error_statement', 'panic'), ('log_min_duration_statement', '-1'),
                 ('log_min_duration_sample', '-1'), ('pg_stat_statements.track_utility', 'off')) as v(name, value)
    join pg_catalog.pg_settings s on s.name = v.name
   where (select rolsuper from pg_catalog.pg_roles where rolname = current_user)`;

/** Memberships of the login in roles it created that it granted to itself. */
export const ownMemberships = `
  select r.rolname::text as name
    from pg_catalog.pg_auth_members m
    join lockstep.restore_role j on j.role_oid = m.roleid
    join pg_catalog.pg_roles r on r.oid = m.roleid
    join pg_catalog.pg_roles me on me.rolname = current_user and me.oid = m.member and me.oid = m.grantor
   order by 1`;

/** The roles Lockstep created, in the journal of the database they were created for. */
export const createRoleJournal = `
  create schema if not exists lockstep;
  create table if not exists lockstep.restore_role (
    role_oid oid primary key,
    role_name name not null,
    wanted_login boolean not null
  )`;

export const roleJournalExists = `select pg_catalog.to_regclass('lockstep.restore_role') is not null as present`;

export const recordRole = `
  insert into lockstep.restore_role (role_oid, role_name, wanted_login)
    select oid, rolname, $2::bool from pg_catalog.pg_roles where rolname = $1::name`;

export const allowLoginOnceOpen = `
  update lockstep.restore_role j set wanted_login = true
    from pg_catalog.pg_roles r where r.oid = j.role_oid and r.rolname = $1::name`;

/** Created roles that are still there under their oid. */
export const createdRoles = `
  select r.rolname::text as name, j.wanted_login as "wantedLogin", r.rolcanlogin as login
    from lockstep.restore_role j join pg_catalog.pg_roles r on r.oid = j.role_oid
   order by r.oid desc`;

export const forgetRole = `
  delete from lockstep.restore_role j
   where not exists (select from pg_catalog.pg_roles r where r.oid = j.role_oid)`;
