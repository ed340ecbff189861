import { PG13, PG15 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** The table `$1`.`$2` with its partitions and the tables above it. */
const FAMILY = `
  with self as (
    select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1::text and c.relname = $2::text),
  family as (
    select oid from self
     union select t.relid from self, pg_catalog.pg_partition_tree(self.oid) t
     union select a.relid from self, pg_catalog.pg_partition_ancestors(self.oid) a(relid))`;

const ELSEWHERE = `
         (select pg_catalog.array_agg(distinct s.subname::text)
            from family join pg_catalog.pg_subscription_rel r on r.srrelid = family.oid
            join pg_catalog.pg_subscription s on s.oid = r.srsubid where s.oid <> $3::oid) as subscriptions,
         (select pg_catalog.array_agg(distinct p.pubname::text)
            from family join pg_catalog.pg_class c on c.oid = family.oid
            join pg_catalog.pg_namespace n on n.oid = c.relnamespace
            join pg_catalog.pg_publication_tables p on p.schemaname = n.nspname and p.tablename = c.relname
           where p.pubname not like 'lockstep\\_%') as publications,
         exists (select from family join pg_catalog.pg_trigger t on t.tgrelid = family.oid where t.tgenabled = 'O') as triggers`;

/**
 * What stands in the way of writing a subscriber's table (`$1`, `$2`: schema and name) afresh for the subscription with
 * oid `$3`: others that write it, publications that would send it on, triggers that would fire, and whether the login
 * may keep them from it.
 */
export const RESYNC_OBSTACLES: readonly Variant[] = [
  {
    since: PG13,
    sql: `${FAMILY}
      select ${ELSEWHERE},
             (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) as "mayQuiet"`,
  },
  {
    since: PG15,
    sql: `${FAMILY}
      select ${ELSEWHERE},
             pg_catalog.has_parameter_privilege('session_replication_role', 'SET') as "mayQuiet"`,
  },
];

/** Ends the sessions of the login in this database whose application name is `$1`. */
export const END_WRITERS: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select a.pid as pid, pg_catalog.pg_terminate_backend(a.pid) as told
        from pg_catalog.pg_stat_activity a
       where a.application_name = $1::text and a.datname = pg_catalog.current_database() and a.usename = current_user`,
  },
];
