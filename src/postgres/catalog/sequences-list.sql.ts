import { PG13, PG18 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * Sequences of the database outside PostgreSQL's and Lockstep's own schemas, by schema and name. `$1`, `$2`: only
 * rows after this schema and name (null: from the start); `$3`: at most so many (null: all). Up to 17 the server
 * tells no last_value of a sequence whose next value would be its first, so `last_value` is null for those;
 * `readable` tells that from a missing privilege.
 */
export const SEQUENCES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select n.nspname::text as schema, c.relname::text as name, pg_catalog.format_type(q.seqtypid, null) as data_type,
             c.relpersistence::text as persistence, q.seqstart::text as start_value, q.seqincrement::text as increment,
             q.seqmin::text as minimum, q.seqmax::text as maximum, q.seqcycle as cycles, q.seqcache::text as cache_size,
             privilege.readable as readable,
             value.last_value::text as last_value,
             case when privilege.readable then value.last_value is not null end as is_called,
             owner.schema as owner_schema, owner.table_name as owner_table, owner.column_name as owner_column,
             owner.identity as identity
        from pg_catalog.pg_sequence q
        join pg_catalog.pg_class c on c.oid = q.seqrelid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       cross join lateral (select pg_catalog.has_sequence_privilege(c.oid, 'SELECT,USAGE') as readable) privilege
       cross join lateral (
          select case when privilege.readable then pg_catalog.pg_sequence_last_value(c.oid) end as last_value) value
        left join lateral (
          select tn.nspname::text as schema, t.relname::text as table_name, a.attname::text as column_name,
                 d.deptype = 'i' as identity
            from pg_catalog.pg_depend d
            join pg_catalog.pg_class t on t.oid = d.refobjid
            join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
            join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
           where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
             and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.deptype in ('a', 'i')
           limit 1) owner on true
       where c.relpersistence <> 't'
         and n.nspname not in ('pg_catalog', 'information_schema', 'lockstep')
         and ($1::text is null or (n.nspname, c.relname) > ($1::pg_catalog.name, $2::pg_catalog.name))
       order by n.nspname, c.relname
       limit $3::int8`,
  },
  {
    since: PG18,
    sql: `
      select n.nspname::text as schema, c.relname::text as name, pg_catalog.format_type(q.seqtypid, null) as data_type,
             c.relpersistence::text as persistence, q.seqstart::text as start_value, q.seqincrement::text as increment,
             q.seqmin::text as minimum, q.seqmax::text as maximum, q.seqcycle as cycles, q.seqcache::text as cache_size,
             privilege.readable as readable,
             value.last_value::text as last_value,
             value.is_called as is_called,
             owner.schema as owner_schema, owner.table_name as owner_table, owner.column_name as owner_column,
             owner.identity as identity
        from pg_catalog.pg_sequence q
        join pg_catalog.pg_class c on c.oid = q.seqrelid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       cross join lateral (select pg_catalog.has_sequence_privilege(c.oid, 'SELECT') as readable) privilege
        left join lateral (
          select data.last_value, data.is_called
            from pg_catalog.pg_get_sequence_data(c.oid) data
           where privilege.readable) value on true
        left join lateral (
          select tn.nspname::text as schema, t.relname::text as table_name, a.attname::text as column_name,
                 d.deptype = 'i' as identity
            from pg_catalog.pg_depend d
            join pg_catalog.pg_class t on t.oid = d.refobjid
            join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
            join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
           where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
             and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.deptype in ('a', 'i')
           limit 1) owner on true
       where c.relpersistence <> 't'
         and n.nspname not in ('pg_catalog', 'information_schema', 'lockstep')
         and ($1::text is null or (n.nspname, c.relname) > ($1::pg_catalog.name, $2::pg_catalog.name))
       order by n.nspname, c.relname
       limit $3::int8`,
  },
];
