import { PG13 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/**
 * Sequences of the database outside PostgreSQL's and Lockstep's own schemas, by schema and name, without their values.
 * `$1`, `$2`: only rows after this schema and name (null: from the start); `$3`: at most so many (null: all); `$4`,
 * `$5`: only this one. `obstacle` says why a value cannot be read; a sequence that somebody holds or awaits ACCESS
 * EXCLUSIVE on is not waited for.
 */
export const SEQUENCES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      with page as materialized (
        select c.oid, n.oid as schema_oid, n.nspname, c.relname, c.relpersistence, q.*
          from pg_catalog.pg_sequence q
          join pg_catalog.pg_class c on c.oid = q.seqrelid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relpersistence <> 't'
           and n.nspname not in ('pg_catalog', 'information_schema', 'lockstep')
           and ($1::text is null or (n.nspname, c.relname) > ($1::pg_catalog.name, $2::pg_catalog.name))
           and ($4::text is null or (n.nspname = $4::text and c.relname = $5::text))
         order by n.nspname, c.relname
         limit $3::int8
      )
      select q.oid::text as oid, q.nspname::text as schema, q.relname::text as name,
             pg_catalog.format_type(q.seqtypid, null) as data_type, q.relpersistence::text as persistence,
             q.seqstart::text as start_value, q.seqincrement::text as increment, q.seqmin::text as minimum,
             q.seqmax::text as maximum, q.seqcycle as cycles, q.seqcache::text as cache_size,
             case when not (pg_catalog.has_schema_privilege(q.schema_oid, 'USAGE')
                            and pg_catalog.has_sequence_privilege(q.oid, 'SELECT')) then 'privilege'
                  when q.relpersistence = 'u' and pg_catalog.pg_is_in_recovery() then 'standby'
                  when blocked.relation is not null then 'locked' end as obstacle,
             pg_catalog.has_sequence_privilege(q.oid, 'UPDATE') as settable,
             pg_catalog.has_schema_privilege(q.schema_oid, 'USAGE') as in_reach, current_user::text as login,
             owner.schema as owner_schema, owner.table_name as owner_table, owner.column_name as owner_column,
             owner.column_type as owner_column_type, owner.identity as identity
        from page q
        left join lateral (
          select tn.nspname::text as schema, t.relname::text as table_name, a.attname::text as column_name,
                 pg_catalog.format_type(a.atttypid, null) as column_type, d.deptype = 'i' as identity
            from pg_catalog.pg_depend d
            join pg_catalog.pg_class t on t.oid = d.refobjid
            join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
            join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
           where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = q.oid
             and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.deptype in ('a', 'i')
           limit 1) owner on true
        left join (
          select distinct l.relation
            from pg_catalog.pg_locks l
           where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock'
             and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
        ) blocked on blocked.relation = q.oid
       order by q.nspname, q.relname`,
  },
];

/** Those of the oids `$1` that are sequences still. */
export const SEQUENCES_THERE = `
  select q.seqrelid::text as oid
    from pg_catalog.pg_sequence q
   where q.seqrelid = any ($1::oid[])`;
