import { PG16 } from '../../shared/server-version.js';
import { PUBLISHED, USER_NAMESPACE } from './preflight-relations.sql.js';

const FROM = `from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace`;

export interface RoleAttributes {
  name: string;
  canLogin: boolean;
  superuser: boolean;
  replication: boolean;
  createRole: boolean;
  mayConnect: boolean;
  mayCreate: boolean;
  maySignal: boolean;
  maySubscribe: boolean;
  mayUseOrigins: boolean;
  maySeeActivity: boolean;
  ownsDatabase: boolean;
  bypassRls: boolean;
  database: string;
}

/** What the role named $1 may do in the current database; no row when there is no such role. */
export const ROLE_ATTRIBUTES = `
select r.rolname::text as name, r.rolcanlogin as "canLogin", r.rolsuper as superuser, r.rolreplication as replication,
  r.rolcreaterole as "createRole",
  pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT') as "mayConnect",
  pg_catalog.has_database_privilege(r.oid, d.oid, 'CREATE') as "mayCreate",
  r.rolsuper or pg_catalog.pg_has_role(r.oid, 'pg_signal_backend', 'USAGE') as "maySignal",
  r.rolsuper or exists (select from pg_catalog.pg_roles p
                        where p.rolname = 'pg_create_subscription' and pg_catalog.pg_has_role(r.oid, p.oid, 'USAGE')) as "maySubscribe",
  r.rolsuper or pg_catalog.pg_has_role(r.oid, 'pg_read_all_stats', 'USAGE') as "maySeeActivity",
  pg_catalog.has_function_privilege(r.oid, 'pg_catalog.pg_replication_origin_progress(text, boolean)', 'EXECUTE') as "mayUseOrigins",
  pg_catalog.pg_has_role(r.oid, d.datdba, 'USAGE') as "ownsDatabase", r.rolsuper or r.rolbypassrls as "bypassRls",
  d.datname::text as database
from pg_catalog.pg_roles r
cross join (select oid, datdba, datname from pg_catalog.pg_database where datname = pg_catalog.current_database()) d
where r.rolname = $1`;

/**
 * Published tables as whose owner the role named $1 cannot act: it could not add them to a publication, nor, from 16
 * on, apply what comes back to them, which the server does as the owner.
 */
export function tablesNotOwned(versionNum: number): string {
  const acts = versionNum >= PG16 ? `and pg_catalog.pg_has_role(r.oid, c.relowner, 'SET')` : '';
  return `
select pg_catalog.format('%I.%I', n.nspname, c.relname) as object, pg_catalog.pg_get_userbyid(c.relowner)::text as owner,
  o.rolsuper as "ownedBySuperuser"
${FROM} join pg_catalog.pg_roles r on r.rolname = $1 join pg_catalog.pg_roles o on o.oid = c.relowner
where ${PUBLISHED} and not r.rolsuper
  and not (pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE') ${acts}) order by 1`;
}

/** Sequences that the role named $1 cannot set, as a rollback does. */
export const SEQUENCES_NOT_SETTABLE = `
select pg_catalog.format('%I.%I', n.nspname, c.relname) as object, pg_catalog.pg_get_userbyid(c.relowner)::text as owner
${FROM} join pg_catalog.pg_roles r on r.rolname = $1
where c.relkind = 'S' and c.relpersistence <> 't' and ${USER_NAMESPACE} and not r.rolsuper
  and not (pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
           and pg_catalog.has_sequence_privilege(r.oid, c.oid, 'UPDATE')) order by 1`;

/**
 * Published tables under FORCE ROW LEVEL SECURITY whose owner it binds: a subscription of 16 or newer applies as the
 * owner, and refuses to.
 */
export const FORCED_ROW_SECURITY = `
select pg_catalog.format('%I.%I', n.nspname, c.relname) as object, o.rolname::text as owner
${FROM} join pg_catalog.pg_roles o on o.oid = c.relowner
where ${PUBLISHED} and c.relrowsecurity and c.relforcerowsecurity and not o.rolsuper and not o.rolbypassrls order by 1`;

/** Published tables under FORCE ROW LEVEL SECURITY: even a member of the owner sees their rows only with BYPASSRLS. */
export const TABLES_FORCING_ROW_SECURITY = `
select pg_catalog.format('%I.%I', n.nspname, c.relname) as object
${FROM} where ${PUBLISHED} and c.relrowsecurity and c.relforcerowsecurity order by 1`;

/** Roles named in $1 that exist and that the current login may not grant to others. */
export const ROLES_NOT_GRANTABLE = `
select r.rolname::text as name
from pg_catalog.pg_roles r join pg_catalog.pg_roles me on me.rolname = current_user
where r.rolname::text = any ($1::text[]) and not me.rolsuper
  and not pg_catalog.pg_has_role(me.oid, r.oid, 'MEMBER WITH ADMIN OPTION') order by 1`;

/** Roles named in $1 that exist and as which the current login cannot act. */
export function rolesNotJoined(versionNum: number): string {
  const acts = versionNum >= PG16 ? `pg_catalog.pg_has_role(oid, 'SET') and` : '';
  return `
select rolname::text as name, rolsuper as superuser
from pg_catalog.pg_roles
where rolname::text = any ($1::text[]) and not (${acts} pg_catalog.pg_has_role(oid, 'USAGE')) order by 1`;
}

/** Published tables that the role named $1 cannot copy. */
export const TABLES_NOT_READABLE = `
select pg_catalog.format('%I.%I', n.nspname, c.relname) as object, pg_catalog.quote_ident(n.nspname) as schema
${FROM} join pg_catalog.pg_roles r on r.rolname = $1
where ${PUBLISHED} and not (pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
                            and pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT')) order by 1`;

/** Kind of the password verifier of each role in $1; null when it has none. Never the verifier itself. */
export const VERIFIER_KINDS = `
select rolname::text as object,
  case when rolpassword is null then null when rolpassword like 'md5%' then 'md5' else 'scram-sha-256' end as verifier
from pg_catalog.pg_authid where rolname::text = any ($1::text[]) order by 1`;

/** Owners of the subscriptions of the current database. */
export const SUBSCRIPTION_OWNERS = `
select distinct pg_catalog.pg_get_userbyid(s.subowner)::text as name from pg_catalog.pg_subscription s
where s.subdbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())`;

/** Roles named in $1 that the current login may not alter: without superuser CREATEROLE is enough up to 15; from 16 it needs ADMIN besides. */
export function rolesNotAlterable(versionNum: number): string {
  const may =
    versionNum >= PG16 ? `pg_catalog.pg_has_role(me.oid, r.oid, 'MEMBER WITH ADMIN OPTION')` : 'me.rolcreaterole';
  return `
select r.rolname::text as object
from pg_catalog.pg_roles r join pg_catalog.pg_roles me on me.rolname = current_user
where r.rolname::text = any ($1::text[]) and not me.rolsuper and not ${may} order by 1`;
}

/** Client sessions of the roles named in $1 in this database that are not Lockstep's. */
export const SESSIONS_OF_EXCLUDED = `
select 'pid ' || pid || ' of ' || usename::text || ' (' || coalesce(nullif(application_name, ''), 'no name') || ')' as object,
  client_addr::text as "clientAddress", state
from pg_catalog.pg_stat_activity
where datname = pg_catalog.current_database() and backend_type = 'client backend' and usename::text = any ($1::text[])
  and pid <> pg_catalog.pg_backend_pid() and application_name not like 'lockstep%' order by 1`;
