/** What decides whether the login may create a publication, or give it to the role `$1` (null: to nobody). */
export const PUBLISHING_RIGHTS = `
select current_user::text as login,
       pg_catalog.current_database()::text as database,
       pg_catalog.current_setting('is_superuser') = 'on' as superuser,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') as may_create,
       pg_catalog.current_setting('wal_level')::text as wal_level,
       o.rolname is not null as owner_exists,
       coalesce(o.rolsuper, false) as owner_superuser,
       o.rolname is null or pg_catalog.has_database_privilege(o.oid, pg_catalog.current_database(), 'create') as owner_may_create,
       o.rolname is null or pg_catalog.pg_has_role(o.oid, 'member') as login_is_member
  from (select 1) one
  left join pg_catalog.pg_roles o on o.rolname = $1::text`;

/**
 * What is there under the names of tables `$1`.`$2` (text[], text[]: schemas and names, pairwise). A name without a
 * relation gives a row whose `kind` is null.
 */
export const NAMED_RELATIONS = `
select w.schema, w.name, c.relkind::text as kind, c.relpersistence::text as persistence,
       n.oid is not null as schema_exists,
       coalesce(c.oid < 16384 or n.nspname in ('pg_catalog', 'information_schema', 'pg_toast'), false) as system,
       pg_catalog.pg_get_userbyid(c.relowner)::text as owner,
       coalesce((select r.rolsuper from pg_catalog.pg_roles r where r.oid = c.relowner), false) as owner_superuser,
       coalesce(pg_catalog.pg_has_role(c.relowner, 'usage'), false) as owned,
       coalesce((select pg_catalog.jsonb_object_agg(a.attname, a.attgenerated)
                   from pg_catalog.pg_attribute a
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '{}') as columns
  from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(schema, name)
  left join pg_catalog.pg_namespace n on n.nspname = w.schema
  left join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name`;

/** Which of the names `$1` (text[]) are schemas, and which of those are the server's own. */
export const NAMED_SCHEMAS = `
select w.schema, n.oid is not null as found,
       coalesce(n.nspname like 'pg\\_%' or n.nspname = 'information_schema', false) as system
  from pg_catalog.unnest($1::text[]) w(schema)
  left join pg_catalog.pg_namespace n on n.nspname = w.schema`;
