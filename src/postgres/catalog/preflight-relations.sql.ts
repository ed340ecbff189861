import { columnsWithoutEquality } from './equality.sql.js';

/** Condition on namespace `n`: neither the system's nor Lockstep's own. */
export const USER_NAMESPACE = `n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'lockstep')`;

/** Condition on relation `c`: not made by an extension. */
const NOT_OF_EXTENSION = `not exists (
  select from pg_catalog.pg_depend x
  where x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and x.objid = c.oid and x.deptype = 'e')`;

/** Tables that logical replication carries and the upgrade publishes. */
export const PUBLISHED = `c.relkind in ('r', 'p') and c.relpersistence = 'p' and ${USER_NAMESPACE} and ${NOT_OF_EXTENSION}`;

const FROM = `from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace`;
const OBJECT = `pg_catalog.format('%I.%I', n.nspname, c.relname) as object`;

/** Condition on table `c`: it has a key the server accepts as replica identity (a DEFERRABLE primary key is none). */
const HAS_IDENTITY = `(c.relreplident = 'f'
  or exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisvalid and i.indimmediate
             and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end))`;

/**
 * Tables whose UPDATE and DELETE cannot be replicated, each with a unique index that would do as replica identity:
 * immediate, complete, of columns only, all NOT NULL; and with its columns for which FULL would not do.
 */
export const TABLES_WITHOUT_IDENTITY = `
select ${OBJECT}, c.relreplident::text as "replicaIdentity",
  (select pg_catalog.quote_ident(ic.relname)
   from pg_catalog.pg_index i join pg_catalog.pg_class ic on ic.oid = i.indexrelid
   where i.indrelid = c.oid and i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null and i.indexprs is null
     and not exists (select from pg_catalog.pg_attribute a
                     where a.attrelid = c.oid and a.attnum = any (i.indkey::int2[]) and not a.attnotnull)
   order by i.indisprimary desc, i.indnatts, ic.relname limit 1) as "usableIndex",
  ${columnsWithoutEquality('c.oid')} as incomparable,
  c.reltuples::float8 as "estimatedRows"
${FROM} where ${PUBLISHED} and not ${HAS_IDENTITY} order by 1`;

/** Tables that replicate whole old rows, without a primary key to find them by. */
export const TABLES_WITH_FULL_IDENTITY = `
select ${OBJECT}, pg_catalog.pg_table_size(c.oid)::text as bytes
${FROM} where ${PUBLISHED} and c.relreplident = 'f' and c.relkind = 'r'
  and not exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary and i.indisvalid)
order by pg_catalog.pg_table_size(c.oid) desc`;

/**
 * Columns whose type has no equality the apply worker could use, in tables found by comparing whole rows: FULL without
 * a primary key, and, when $1, those that would be set FULL.
 */
export const FULL_IDENTITY_WITHOUT_EQUALITY = `
select ${OBJECT}, a.attname::text as column, pg_catalog.format_type(a.atttypid, a.atttypmod) as type
${FROM}
cross join lateral pg_catalog.unnest(${columnsWithoutEquality('c.oid')}) lacking(name)
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = lacking.name
where ${PUBLISHED} and (c.relreplident = 'f' or ($1::boolean and not ${HAS_IDENTITY}))
  and not exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary and i.indisvalid and i.indimmediate)
order by 1, 2`;

/**
 * Generated columns that belong to a replica identity: they are not replicated, so the other side could not find the
 * row. With $1 also those of tables with FULL (or to be set FULL, $2), which an 18 publisher refuses to update.
 */
export const GENERATED_IN_IDENTITY = `
select ${OBJECT}, a.attname::text as column
${FROM}
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated <> ''
where ${PUBLISHED} and (
  exists (select from pg_catalog.pg_index i
          where i.indrelid = c.oid and i.indisvalid and a.attnum = any (i.indkey::int2[])
            and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end)
  or ($1::boolean and (c.relreplident = 'f' or ($2::boolean and not ${HAS_IDENTITY}))))
order by 1, 2`;

export const GENERATED_COLUMNS = `
select ${OBJECT}, a.attname::text as column, a.attgenerated::text as kind
${FROM}
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated <> ''
where ${PUBLISHED} order by 1, 2`;

/** Relations of one kind: relkind in $1, relpersistence $2. */
export const RELATIONS_OF_KIND = `
select ${OBJECT}, c.relkind::text as kind
${FROM} where c.relkind::text = any ($1::text[]) and c.relpersistence::text = $2 and ${USER_NAMESPACE} and ${NOT_OF_EXTENSION} order by 1`;

export const TEMPORARY_TABLES = `
select pg_catalog.format('%I.%I', n.nspname, c.relname) as object
${FROM} where c.relpersistence = 't' and c.relkind in ('r', 'p') order by 1`;

export const LARGE_OBJECTS = `
select count(*)::int as count from pg_catalog.pg_largeobject_metadata`;

export const COLUMNS_LIKE_LARGE_OBJECTS = `
select pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname) as object
${FROM} join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_catalog.pg_type t on t.oid = a.atttypid
where ${PUBLISHED} and t.typname in ('oid', 'lo') order by 1`;

/** Columns that are NOT NULL in a parent and nullable in its child: the restored child would refuse the NULLs. */
export const INHERITED_NOT_NULL = `
select ${OBJECT}, ca.attname::text as column, i.inhparent::pg_catalog.regclass::text as parent
from pg_catalog.pg_inherits i
join pg_catalog.pg_class c on c.oid = i.inhrelid and c.relkind = 'r' and not c.relispartition
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute pa on pa.attrelid = i.inhparent and pa.attnum > 0 and pa.attnotnull and not pa.attisdropped
join pg_catalog.pg_attribute ca on ca.attrelid = c.oid and ca.attname = pa.attname and not ca.attnotnull
where ${USER_NAMESPACE} order by 1, 2`;

export const TABLE_COUNT = `select count(*)::int as count ${FROM} where ${PUBLISHED}`;

/** Tables under row security that hides rows from the role named $1. */
export const ROW_SECURITY = `
select ${OBJECT}, c.relforcerowsecurity as forced
${FROM}
join pg_catalog.pg_roles r on r.rolname = $1
where c.relrowsecurity and ${PUBLISHED} and not r.rolsuper and not r.rolbypassrls
  and (c.relforcerowsecurity or not pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE')) order by 1`;

/** Every object a user made in the database: what an empty target has none of. */
export const USER_OBJECTS = `
select ${OBJECT} ${FROM}
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and c.relpersistence <> 't' and ${USER_NAMESPACE} and ${NOT_OF_EXTENSION}
union all
select p.oid::pg_catalog.regprocedure::text from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where ${USER_NAMESPACE} and not exists (
  select from pg_catalog.pg_depend x
  where x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and x.objid = p.oid and x.deptype = 'e')
union all
select 'type ' || pg_catalog.format('%I.%I', n.nspname, t.typname) from pg_catalog.pg_type t
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where t.typtype in ('e', 'd', 'r') and ${USER_NAMESPACE} and not exists (
  select from pg_catalog.pg_depend x
  where x.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and x.objid = t.oid and x.deptype = 'e')
union all
select 'schema ' || pg_catalog.quote_ident(n.nspname) from pg_catalog.pg_namespace n
where n.nspname <> 'public' and ${USER_NAMESPACE} and not exists (
  select from pg_catalog.pg_depend x
  where x.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and x.objid = n.oid and x.deptype = 'e')
order by 1`;
