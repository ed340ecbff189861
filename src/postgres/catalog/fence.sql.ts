/** One role able to write, with the widest reason found. */
export interface WriterRow {
  oid: number;
  name: string;
  why: string;
}

/**
 * LOGIN roles without superuser that can write in the current database. A role can write when it is, or is a member
 * of (inherited or by SET ROLE, hence `MEMBER`), one that
 *  - owns an ordinary or partitioned table, a sequence, a schema or the database,
 *  - holds INSERT, UPDATE, DELETE or TRUNCATE on a table or view (whole or by column), or USAGE or UPDATE on a sequence,
 *  - holds CREATE on a schema or the database by a grant of its own, or is pg_write_all_data or a superuser,
 * or when it may execute a volatile SECURITY DEFINER function whose owner can write.
 * CREATE granted to PUBLIC does not count: up to 14 it is the default on `public` and would make every login a writer;
 * what it allows is a new table, which the schema fingerprint shows, never a row of a replicated one.
 * A role that may not connect here counts only while it has a session here.
 */
export const WRITER_ROLES = `
with relation as (
  select c.oid, c.relname, n.nspname, c.relkind, c.relowner, c.relacl
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'S')
    and n.nspname not in ('pg_catalog', 'information_schema', 'lockstep')
    and n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
), holder (role, rank, why) as (
  select relowner, 1, 'owns ' || pg_catalog.format('%I.%I', nspname, relname) from relation where relkind <> 'v'
  union all
  select a.grantee, 2, a.privilege_type || ' on ' || pg_catalog.format('%I.%I', r.nspname, r.relname)
  from relation r cross join lateral pg_catalog.aclexplode(r.relacl) a
  where a.privilege_type = any (case when r.relkind = 'S' then array['USAGE', 'UPDATE']
                                     else array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'] end)
  union all
  select a.grantee, 2, a.privilege_type || ' on ' || pg_catalog.format('%I.%I.%I', r.nspname, r.relname, t.attname)
  from relation r
  join pg_catalog.pg_attribute t on t.attrelid = r.oid and t.attacl is not null
  cross join lateral pg_catalog.aclexplode(t.attacl) a
  where a.privilege_type in ('INSERT', 'UPDATE')
  union all
  select n.nspowner, 3, 'owns schema ' || pg_catalog.quote_ident(n.nspname)
  from pg_catalog.pg_namespace n
  where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
  union all
  select a.grantee, 3, 'CREATE on schema ' || pg_catalog.quote_ident(n.nspname)
  from pg_catalog.pg_namespace n cross join lateral pg_catalog.aclexplode(n.nspacl) a
  where a.privilege_type = 'CREATE' and a.grantee <> 0 and n.nspname !~ '^pg_'
  union all
  select d.datdba, 3, 'owns the database' from pg_catalog.pg_database d
  where d.datname = pg_catalog.current_database()
  union all
  select a.grantee, 3, 'CREATE on the database'
  from pg_catalog.pg_database d cross join lateral pg_catalog.aclexplode(d.datacl) a
  where d.datname = pg_catalog.current_database() and a.privilege_type = 'CREATE' and a.grantee <> 0
  union all
  select r.oid, 0, case when r.rolsuper then 'member of superuser ' else 'member of ' end || pg_catalog.quote_ident(r.rolname)
  from pg_catalog.pg_roles r where r.rolsuper or r.rolname = 'pg_write_all_data'
), by_role as (
  select role, rank, pg_catalog.min(why) as why from holder group by role, rank
), definer as (
  select p.oid, p.pronamespace, a.grantee, p.oid::pg_catalog.regprocedure::text as signature
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_roles o on o.oid = p.proowner
  cross join lateral pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
  where p.prosecdef and p.provolatile = 'v' and a.privilege_type = 'EXECUTE'
    and n.nspname not in ('pg_catalog', 'information_schema', 'lockstep')
    and p.prorettype not in ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
    and not exists (select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e')
    and (o.rolsuper or exists (select from by_role b
                               where b.role = 0 or pg_catalog.pg_has_role(o.oid, b.role, 'MEMBER')))
)
select r.oid, r.rolname::text as name, coalesce(w.why, f.why) as why
from pg_catalog.pg_roles r
left join lateral (
  select b.why || case when b.role = 0 then ' (PUBLIC)' when b.role = r.oid or b.rank = 0 then ''
                       else ' as member of ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(b.role)) end as why
  from by_role b
  where case when b.role = 0 then true else pg_catalog.pg_has_role(r.oid, b.role, 'MEMBER') end
  order by b.rank, b.role = r.oid desc, b.role <> 0 desc, b.why limit 1
) w on true
left join lateral (
  select 'may execute security definer function ' || d.signature as why
  from definer d
  where case when d.grantee = 0 then true else pg_catalog.pg_has_role(r.oid, d.grantee, 'MEMBER') end
    and pg_catalog.has_schema_privilege(r.oid, d.pronamespace, 'USAGE')
  order by d.signature limit 1
) f on w.why is null
where r.rolcanlogin and not r.rolsuper and coalesce(w.why, f.why) is not null
  and (pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT')
       or exists (select from pg_catalog.pg_stat_activity s
                  where s.usesysid = r.oid and s.datname = pg_catalog.current_database()))
order by r.rolname`;

export interface RoleRow {
  oid: number;
  name: string;
  canLogin: boolean;
  superuser: boolean;
}

/** Parameters: role names. */
export const ROLES_BY_NAME = `
select oid, rolname::text as name, rolcanlogin as "canLogin", rolsuper as superuser
from pg_catalog.pg_roles where rolname::text = any ($1::text[]) order by rolname`;

/** LOGIN members, direct and indirect, of the group with that oid. */
export const LOGIN_MEMBERS = `
select oid, rolname::text as name, rolcanlogin as "canLogin", rolsuper as superuser
from pg_catalog.pg_roles r
where r.rolcanlogin and not r.rolsuper and pg_catalog.pg_has_role(r.oid, $1::oid, 'MEMBER') order by rolname`;

/** Superusers that may log in, with the sessions each has in the current database besides this one. */
export const SUPERUSER_LOGINS = `
select r.rolname::text as name,
  (select count(*)::int from pg_catalog.pg_stat_activity s
   where s.usesysid = r.oid and s.datname = pg_catalog.current_database() and s.backend_type = 'client backend'
     and s.pid <> pg_catalog.pg_backend_pid() and s.application_name not like 'lockstep%') as sessions
from pg_catalog.pg_roles r where r.rolsuper and r.rolcanlogin order by r.rolname`;

export interface RoleStateRow {
  oid: number;
  name: string;
  canLogin: boolean;
  mayConnect: boolean;
  /** Entries of ALTER ROLE ... IN DATABASE, `name=value`, in catalog order; null when there are none. */
  settings: string[] | null;
  /** Whether the role has a session elsewhere in this server; or, itself or a group of its, an object, grant or database. */
  usedElsewhere: boolean;
}

/** State of the roles with these oids towards the current database. */
export const ROLE_STATE = `
select r.oid, r.rolname::text as name, r.rolcanlogin as "canLogin",
  pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT') as "mayConnect",
  (select s.setconfig from pg_catalog.pg_db_role_setting s where s.setdatabase = d.oid and s.setrole = r.oid) as settings,
  exists (select from pg_catalog.pg_stat_activity a
          where a.usesysid = r.oid and a.datid is not null and a.datid <> d.oid)
  or exists (select from pg_catalog.pg_shdepend p
             where p.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
               and pg_catalog.pg_has_role(r.oid, p.refobjid, 'MEMBER')
               and (p.dbid not in (0, d.oid)
                    or (p.classid = 'pg_catalog.pg_database'::pg_catalog.regclass and p.objid <> d.oid))) as "usedElsewhere"
from pg_catalog.pg_roles r
cross join (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) d
where r.oid = any ($1::oid[]) order by r.rolname`;

/** The current database, its owner and its ACL as stored. */
export const DATABASE_ACL = `
select d.oid, d.datname::text as name, d.datdba as owner, d.datacl::text as datacl
from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()`;

export interface AclItem {
  grantor: number;
  /** 0 is PUBLIC. */
  grantee: number;
  privilege: string;
  grantable: boolean;
}

/** What the current database's ACL means, item by item; a NULL ACL is spelt out as the default it stands for. */
export const DATABASE_ACL_ITEMS = `
select a.grantor, a.grantee, a.privilege_type as privilege, a.is_grantable as grantable
from pg_catalog.pg_database d
cross join lateral pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) with ordinality a
where d.datname = pg_catalog.current_database() order by a.ordinality`;

/** Roles other than the barred ones ($1) that must keep CONNECT: the excluded ($2), and logins that cannot write. */
export const ROLES_KEEPING_CONNECT = `
select r.oid, r.rolname::text as name, r.rolname::text = any ($2::text[]) as excluded,
  array(select b.oid from pg_catalog.pg_roles b
        where b.oid = any ($1::oid[]) and pg_catalog.pg_has_role(b.oid, r.oid, 'USAGE')) as "inheritedBy"
from pg_catalog.pg_roles r
where not r.rolsuper and r.rolcanlogin and r.oid <> all ($1::oid[])
  and pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT')
order by r.rolname`;

export const ROLE_NAMES = `select oid, rolname::text as name from pg_catalog.pg_roles where oid = any ($1::oid[])`;

export interface FencedSession {
  pid: number;
  user: string;
  backendType: string;
  state: string | null;
  /** Of the open transaction. */
  ageSeconds: number | null;
  queryStart: string | null;
  writing: boolean;
}

const SESSION_COLUMNS = `
a.pid, coalesce(a.usename::text, a.backend_type) as user, a.backend_type as "backendType", a.state,
extract(epoch from pg_catalog.clock_timestamp() - a.xact_start)::float8 as "ageSeconds",
pg_catalog.to_char(a.query_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "queryStart",
a.backend_xid is not null as writing`;

/** Every backend of the roles ($1) in the current database: a barred role keeps no session, walsender or worker here. */
export const SESSIONS_OF_ROLES = `
select ${SESSION_COLUMNS}
from pg_catalog.pg_stat_activity a
where a.datname = pg_catalog.current_database() and a.usesysid = any ($1::oid[]) and a.pid <> pg_catalog.pg_backend_pid()
order by a.xact_start nulls last, a.pid`;

/** Without this the server hides what other sessions do, and nothing found would mean nothing. */
export const MAY_SEE_ACTIVITY = `
select rolsuper or pg_catalog.pg_has_role(oid, 'pg_read_all_stats', 'USAGE') as visible
from pg_catalog.pg_roles where rolname = current_user`;

/**
 * Whoever is in a writing transaction, besides ourselves: clients, but also workers of extensions and of subscriptions.
 * A parallel worker shows the transaction of its leader; what autovacuum writes are no rows.
 */
export const OTHER_WRITING_SESSIONS = `
select ${SESSION_COLUMNS}
from pg_catalog.pg_stat_activity a
where a.datname = pg_catalog.current_database() and a.backend_xid is not null and a.pid <> pg_catalog.pg_backend_pid()
  and a.backend_type not in ('autovacuum worker', 'parallel worker') and a.application_name not like 'lockstep%'
order by a.xact_start`;

export const TERMINATE = `
select pg_catalog.pg_terminate_backend(p) as signalled from pg_catalog.unnest($1::int[]) p`;

/**
 * Sessions that are still starting: they hold a virtual transaction, but their role is not known yet. One of them may
 * have passed the check of its role before the bar committed. \`admitted\`: it has locked the current database, which
 * comes after that check.
 */
export const STARTING_SESSIONS = `
select l.pid, l.virtualtransaction as vxid,
  exists (select from pg_catalog.pg_locks o
          where o.pid = l.pid and o.locktype = 'object' and o.database = 0
            and o.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
            and o.objid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())) as admitted
from pg_catalog.pg_locks l
left join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'virtualxid' and l.pid <> pg_catalog.pg_backend_pid()
  and (a.pid is null or (a.usesysid is null and coalesce(a.backend_type, 'client backend') = 'client backend'))`;

/** Prepared transactions of the current database, whoever owns them: any may be committed after the fence. */
export const PREPARED_TRANSACTIONS = `
select gid, owner::text as owner, extract(epoch from pg_catalog.clock_timestamp() - prepared)::float8 as "ageSeconds"
from pg_catalog.pg_prepared_xacts where database = pg_catalog.current_database() order by prepared`;

export const FENCE_POSITION = `
select pg_catalog.pg_current_wal_insert_lsn()::text as lsn,
  pg_catalog.to_char(pg_catalog.clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at`;
