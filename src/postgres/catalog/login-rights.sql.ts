import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** What the login may do apart from what it owns. The role pg_create_subscription exists from 16 on. */
export const LOGIN_RIGHTS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select r.rolname::text as login, pg_catalog.current_database()::text as database,
             r.rolsuper as superuser, r.rolreplication as replication,
             pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') as may_create,
             exists (select from pg_catalog.pg_roles c
                      where c.rolname = 'pg_create_subscription' and pg_catalog.pg_has_role(c.oid, 'usage'))
               as may_create_subscriptions
        from pg_catalog.pg_roles r
       where r.rolname = current_user`,
  },
];

/**
 * The owner of the publication, subscription or table (`$1`: which of them) of that name (`$2`: schema of a table,
 * `$3`: name), and whether the login has its rights. No row: there is no such object.
 */
export const OBJECT_OWNER: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select r.rolname::text as owner, r.rolsuper as superuser, pg_catalog.pg_has_role(r.oid, 'usage') as owned
        from (select p.pubowner as oid from pg_catalog.pg_publication p
               where $1::text = 'publication' and p.pubname = $3::text
               union all
              select s.subowner from pg_catalog.pg_subscription s
               where $1::text = 'subscription' and s.subname = $3::text
                 and s.subdbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
               union all
              select c.relowner from pg_catalog.pg_class c
                join pg_catalog.pg_namespace n on n.oid = c.relnamespace
               where $1::text = 'table' and n.nspname = $2::text and c.relname = $3::text) object
        join pg_catalog.pg_roles r on r.oid = object.oid`,
  },
];
