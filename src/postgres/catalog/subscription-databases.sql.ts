import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** Databases of the server that hold a subscription: pg_subscription is shared by all of them. */
export const SUBSCRIPTION_DATABASES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select distinct d.datname as database
        from pg_catalog.pg_subscription s
        join pg_catalog.pg_database d on d.oid = s.subdbid
       where d.datallowconn
       order by database`,
  },
];
