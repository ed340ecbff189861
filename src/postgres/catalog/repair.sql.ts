import { PG13, PG15, PG16 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * What matters for writing rows of a subscriber's tables (`$1`, `$2`: schemas and names, in pairs) besides the apply
 * worker of the subscription with oid `$3`. A table includes its partitions and the tables above it.
 */
export const REPAIRED_TABLES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      with named as (
        select c.oid, w.schema, w.name
          from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(schema, name)
          join pg_catalog.pg_namespace n on n.nspname = w.schema
          join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name),
      family as (
        select oid as root, oid from named
         union select named.oid, t.relid from named, pg_catalog.pg_partition_tree(named.oid) t
         union select named.oid, a.relid from named, pg_catalog.pg_partition_ancestors(named.oid) a(relid))
      select named.schema, named.name,
             array(select p.privilege
                     from pg_catalog.unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p(privilege)
                    where not pg_catalog.has_table_privilege(named.oid, p.privilege)) as "missingPrivileges",
             array(select distinct s.subname::text
                     from family f join pg_catalog.pg_subscription_rel r on r.srrelid = f.oid
                     join pg_catalog.pg_subscription s on s.oid = r.srsubid
                    where f.root = named.oid and s.oid <> $3::oid) as subscriptions,
             array(select distinct p.pubname::text
                     from family f join pg_catalog.pg_class c on c.oid = f.oid
                     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                     join pg_catalog.pg_publication_tables p on p.schemaname = n.nspname and p.tablename = c.relname
                    where f.root = named.oid and p.pubname not like 'lockstep\\_s\\_%') as publications,
             exists (select from family f join pg_catalog.pg_trigger t on t.tgrelid = f.oid
                      where f.root = named.oid and t.tgenabled = 'O')
             or exists (select from family f join pg_catalog.pg_rewrite r on r.ev_class = f.oid
                         where f.root = named.oid and r.ev_type <> '1' and r.ev_enabled = 'O') as fires,
             array(select distinct t.tgname::text from family f join pg_catalog.pg_trigger t on t.tgrelid = f.oid
                    where f.root = named.oid and t.tgenabled in ('R', 'A')
                    union
                   select distinct r.rulename::text from family f join pg_catalog.pg_rewrite r on r.ev_class = f.oid
                    where f.root = named.oid and r.ev_type <> '1' and r.ev_enabled in ('R', 'A')) as "firesAlways",
             array(select distinct k.conname::text from family f join pg_catalog.pg_constraint k on k.confrelid = f.oid
                    where f.root = named.oid and k.contype = 'f'
                      and (k.confdeltype in ('c', 'n', 'd') or k.confupdtype in ('c', 'n', 'd'))) as cascades,
             (select coalesce(pg_catalog.jsonb_agg(distinct pg_catalog.jsonb_build_object('schema', n.nspname, 'name', c.relname)), '[]')
                from family f join pg_catalog.pg_constraint k on k.conrelid = f.oid and k.contype = 'f'
                join pg_catalog.pg_class c on c.oid = k.confrelid
                join pg_catalog.pg_namespace n on n.oid = c.relnamespace
               where f.root = named.oid) as parents
        from named order by named.schema, named.name`,
  },
];

/** What the login may do about triggers, and about naming its transactions. */
export const REPAIRER: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select current_user::text as login,
             (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) as "mayQuiet",
             pg_catalog.has_function_privilege('pg_catalog.pg_replication_origin_create(text)', 'execute')
               and pg_catalog.has_function_privilege('pg_catalog.pg_replication_origin_session_setup(text)', 'execute')
               and pg_catalog.has_function_privilege('pg_catalog.pg_replication_origin_drop(text)', 'execute') as "mayMark"`,
  },
  {
    since: PG15,
    sql: `
      select current_user::text as login,
             pg_catalog.has_parameter_privilege('session_replication_role', 'SET') as "mayQuiet",
             pg_catalog.has_function_privilege('pg_catalog.pg_replication_origin_create(text)', 'execute')
               and pg_catalog.has_function_privilege('pg_catalog.pg_replication_origin_session_setup(text)', 'execute')
               and pg_catalog.has_function_privilege('pg_catalog.pg_replication_origin_drop(text)', 'execute') as "mayMark"`,
  },
];

/** Which of the tables (`$1`, `$2`: schemas and names, in pairs) a database subscribes to, and from which origins. */
export const SUBSCRIBED_AMONG: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select distinct w.schema, w.name, s.subname::text as subscription, 'any' as origin
        from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(schema, name)
        join pg_catalog.pg_namespace n on n.nspname = w.schema
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
        join pg_catalog.pg_subscription_rel r on r.srrelid = c.oid
        join pg_catalog.pg_subscription s on s.oid = r.srsubid`,
  },
  {
    since: PG16,
    sql: `
      select distinct w.schema, w.name, s.subname::text as subscription, s.suborigin::text as origin
        from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(schema, name)
        join pg_catalog.pg_namespace n on n.nspname = w.schema
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
        join pg_catalog.pg_subscription_rel r on r.srrelid = c.oid
        join pg_catalog.pg_subscription s on s.oid = r.srsubid`,
  },
];
