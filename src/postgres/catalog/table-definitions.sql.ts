import { PG13 } from '../../shared/server-version.js';
import { columnsWithoutEquality } from './equality.sql.js';
import type { Variant } from './variant.js';

/**
 * The tables `$1`.`$2` (text[], text[]: schemas and names, pairwise) as logical replication sees them; a name without a
 * relation gives no row. Nothing in it is printed differently by another version, but `default`, which is therefore no
 * part of the fingerprint. Types are written with their modifiers, and with their schema unless it is pg_catalog.
 *
 * A column's `base` is its type below any domains; `enumName` and `labels` are of its enum, or of its elements', and
 * `compositeName` and `attributes` of its composite type, or of its elements'.
 * `collation` is null where it is the type's own. `hasDefault`: what it is left out of an INSERT for is not NULL.
 * `keys` are the valid unique indexes over columns alone and all rows. `root` is the topmost partitioned table above a
 * partition. `without_equality` is looked for where there is no primary key to find rows by.
 */
const DEFINITIONS = `
      with recursive domains as (
        select d.oid as domain, d.typbasetype as oid, d.typtypmod as modifier
          from pg_catalog.pg_type d where d.typtype = 'd'
         union all
        select domains.domain, d.typbasetype, d.typtypmod
          from domains join pg_catalog.pg_type d on d.oid = domains.oid and d.typtype = 'd'
      ), bases as materialized (
        select domains.* from domains join pg_catalog.pg_type b on b.oid = domains.oid and b.typtype <> 'd'
      )
      select n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind,
             c.relreplident::text as replica_identity,
             root.schema as root_schema, root.name as root_name, columns.list as columns, keys.list as keys,
             case when not exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary and i.indimmediate)
                  then ${columnsWithoutEquality('c.oid')} else '{}' end as without_equality
        from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(schema, name)
        join pg_catalog.pg_namespace n on n.nspname = w.schema
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
        left join lateral (
          select rn.nspname::text as schema, r.relname::text as name
            from pg_catalog.pg_class r
            join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
           where c.relispartition and r.oid = pg_catalog.pg_partition_root(c.oid)) root on true
       cross join lateral (
          select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                   'name', a.attname,
                   'position', a.attnum,
                   'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                   'base', pg_catalog.format_type(base.oid, coalesce(m.modifier, a.atttypmod)),
                   'builtIn', bn.nspname = 'pg_catalog',
                   'enumName', enum.name,
                   'labels', enum.labels,
                   'compositeName', composite.name,
                   'attributes', composite.attributes,
                   'collation', case when a.attcollation not in (0, t.typcollation) then (
                     select pg_catalog.format('%I.%I', kn.nspname, k.collname)
                       from pg_catalog.pg_collation k
                       join pg_catalog.pg_namespace kn on kn.oid = k.collnamespace
                      where k.oid = a.attcollation) end,
                   'notNull', a.attnotnull,
                   'hasDefault', (a.atthasdef and a.attgenerated = '') or a.attidentity <> '' or t.typdefault is not null,
                   'default', case when a.atthasdef and a.attgenerated = '' then (
                     select pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                       from pg_catalog.pg_attrdef d
                      where d.adrelid = a.attrelid and d.adnum = a.attnum) end,
                   'generated', case a.attgenerated when 's' then 'stored' when 'v' then 'virtual' end)
                   order by a.attname::text collate pg_catalog."C"), '[]') as list
            from pg_catalog.pg_attribute a
            join pg_catalog.pg_type t on t.oid = a.atttypid
            left join bases m on m.domain = a.atttypid
            join pg_catalog.pg_type base on base.oid = coalesce(m.oid, a.atttypid)
            join pg_catalog.pg_namespace bn on bn.oid = base.typnamespace
            left join lateral (
              select pg_catalog.jsonb_build_array(en.nspname, y.typname) as name,
                     (select pg_catalog.jsonb_agg(e.enumlabel order by e.enumsortorder)
                        from pg_catalog.pg_enum e where e.enumtypid = y.oid) as labels
                from pg_catalog.pg_type y
                join pg_catalog.pg_namespace en on en.oid = y.typnamespace
               where y.oid in (base.oid, base.typelem) and y.typtype = 'e') enum on true
            left join lateral (
              select case when yc.relkind = 'c' then pg_catalog.jsonb_build_array(yn.nspname, y.typname) end as name,
                     (with recursive attributes (path, place, type, modifier) as (
                        select array[p.attname::text], array[p.attnum::int], p.atttypid, p.atttypmod
                          from pg_catalog.pg_attribute p
                         where p.attrelid = y.typrelid and p.attnum > 0 and not p.attisdropped
                         union all
                        select outer_one.path || p.attname::text, outer_one.place || p.attnum::int, p.atttypid, p.atttypmod
                          from attributes outer_one
                          join pg_catalog.pg_type ot on ot.oid = outer_one.type
                          join pg_catalog.pg_type oc on oc.oid in (ot.oid, ot.typelem) and oc.typtype = 'c'
                          join pg_catalog.pg_attribute p
                            on p.attrelid = oc.typrelid and p.attnum > 0 and not p.attisdropped)
                      select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                               'path', x.path, 'type', pg_catalog.format_type(x.type, x.modifier)) order by x.place), '[]')
                        from attributes x) as attributes
                from pg_catalog.pg_type y
                join pg_catalog.pg_namespace yn on yn.oid = y.typnamespace
                join pg_catalog.pg_class yc on yc.oid = y.typrelid
               where y.oid in (base.oid, base.typelem) and y.typtype = 'c') composite on true
           where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) columns
       cross join lateral (
          select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                   'name', ic.relname,
                   'columns', key.columns,
                   'primary', i.indisprimary,
                   'identity', i.indisreplident,
                   'immediate', i.indimmediate,
                   'constraint', exists (select from pg_catalog.pg_constraint k
                                          where k.conindid = i.indexrelid and k.conrelid = c.oid and k.contype in ('p', 'u')))
                   order by key.columns, ic.relname::text collate pg_catalog."C"), '[]') as list
            from pg_catalog.pg_index i
            join pg_catalog.pg_class ic on ic.oid = i.indexrelid
           cross join lateral (
             select pg_catalog.jsonb_agg(a.attname order by k.position) as columns
               from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality k (attnum, position)
               join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
              where k.position <= i.indnkeyatts) key
           where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null) keys`;

export const TABLE_DEFINITIONS: readonly Variant[] = [{ since: PG13, sql: `${DEFINITIONS} order by 1, 2` }];

/** One hash over the definitions: the same on every version, and whatever the order of columns. Null without tables. */
export const TABLES_FINGERPRINT: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select pg_catalog.md5(pg_catalog.string_agg(
               pg_catalog.jsonb_build_array(d.schema, d.name, d.kind, d.replica_identity, d.root_schema, d.root_name, d.keys,
                 (select pg_catalog.jsonb_agg(k.column - '{position,default}'::text[] order by k.at)
                    from pg_catalog.jsonb_array_elements(d.columns) with ordinality k("column", at)))::text,
               ',' order by d.schema collate pg_catalog."C", d.name collate pg_catalog."C")) as hash
        from (${DEFINITIONS}) d`,
  },
];

/** Those of the types `$1` (text[], as SQL writes them) and schemas `$2` (text[]) that are there. */
export const KNOWN_NAMES: readonly Variant[] = [
  {
    since: PG13,
    sql: `
      select array(select w.type from pg_catalog.unnest($1::text[]) w(type)
                    where pg_catalog.to_regtype(w.type) is not null) as types,
             array(select n.nspname::text from pg_catalog.pg_namespace n where n.nspname = any ($2::name[])) as schemas`,
  },
];
