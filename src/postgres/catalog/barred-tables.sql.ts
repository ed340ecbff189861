import { PG13, PG16 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * Subscribed tables that the owner of their subscription may not write; `$1` (text[]) are subscriptions of the database,
 * or null for all. Up to 15 the owner is a superuser, who may. From 16 on changes are applied as the table's owner, whom the
 * subscription's must be able to become, or with run_as_owner as the latter itself.
 */
export const BARRED_TABLES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select null::text as subscription, null::text as schema, null::text as name, null::text as table_owner,
             null::boolean as superuser, null::text as subscription_owner, null::boolean as run_as_owner
       where false and $1::text[] is null`,
  },
  {
    since: PG16,
    sql: `
      select s.subname::text as subscription, n.nspname::text as schema, c.relname::text as name,
             o.rolname::text as table_owner, o.rolsuper as superuser,
             pg_catalog.pg_get_userbyid(s.subowner)::text as subscription_owner, s.subrunasowner as run_as_owner
        from pg_catalog.pg_subscription s
        join pg_catalog.pg_subscription_rel r on r.srsubid = s.oid
        join pg_catalog.pg_class c on c.oid = r.srrelid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        join pg_catalog.pg_roles o on o.oid = c.relowner
       where s.subdbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
         and ($1::text[] is null or s.subname = any ($1::text[]))
         and case when s.subrunasowner
                  then not (pg_catalog.has_table_privilege(s.subowner, c.oid, 'select')
                            and pg_catalog.has_table_privilege(s.subowner, c.oid, 'insert')
                            and pg_catalog.has_table_privilege(s.subowner, c.oid, 'update')
                            and pg_catalog.has_table_privilege(s.subowner, c.oid, 'delete')
                            and pg_catalog.has_table_privilege(s.subowner, c.oid, 'truncate'))
                  else not pg_catalog.pg_has_role(s.subowner, c.relowner, 'set') end
       order by s.subname, n.nspname, c.relname`,
  },
];
