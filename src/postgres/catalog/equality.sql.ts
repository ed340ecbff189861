import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * Names of the columns of relation `table` (an oid expression) whose values an apply worker cannot compare to find a row
 * by all of them (text[], in their order): their type, or one that it is made of (elements, attributes, the type below a
 * domain), has no equality by a default operator class, as json, xml and point have none. Generated columns are not
 * compared.
 */
export function columnsWithoutEquality(table: string): string {
  return `array(
    with recursive parts (attname, attnum, oid) as (
      select a.attname::text, a.attnum, a.atttypid
        from pg_catalog.pg_attribute a
       where a.attrelid = ${table} and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
       union
      select p.attname, p.attnum, x.oid
        from parts p
        join pg_catalog.pg_type t on t.oid = p.oid
       cross join lateral (
         select t.typbasetype where t.typtype = 'd'
          union all
         select t.typelem where t.typtype = 'b' and t.typlen = -1 and t.typelem <> 0
          union all
         select k.atttypid from pg_catalog.pg_attribute k
          where t.typtype = 'c' and k.attrelid = t.typrelid and k.attnum > 0 and not k.attisdropped) x (oid)
    )
    select p.attname
      from parts p
      join pg_catalog.pg_type t on t.oid = p.oid
     where t.typtype = 'b' and not (t.typlen = -1 and t.typelem <> 0)
       and not exists (
         select from pg_catalog.pg_opclass o
           join pg_catalog.pg_am m on m.oid = o.opcmethod
          where m.amname in ('btree', 'hash') and o.opcdefault
            and (o.opcintype = t.oid
                 or exists (select from pg_catalog.pg_cast k
                             where k.castsource = t.oid and k.casttarget = o.opcintype
                               and k.castmethod = 'b' and k.castcontext = 'i')))
     group by p.attname, p.attnum
     order by p.attnum)`;
}

/** Of the table with oid `$1`. */
export const INCOMPARABLE_COLUMNS: readonly Variant[] = [
  { since: PG13, sql: `select ${columnsWithoutEquality('$1::pg_catalog.oid')} as columns` },
];
