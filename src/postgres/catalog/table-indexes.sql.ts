/**
 * Indexes of the tables with the oids `$1`, by table and name, with all that decides whether one can be a replica
 * identity. `columns` are those of the key (null: an expression), without those only included.
 */
export const TABLE_INDEXES = `
  select i.indrelid::text as table_oid, ic.relname::text as name,
         i.indisprimary as is_primary, i.indisunique as is_unique, i.indimmediate as is_immediate,
         i.indisvalid as is_valid, i.indpred is not null as is_partial, i.indexprs is not null as has_expressions,
         key.columns, key.nullable_columns
    from pg_catalog.pg_index i
    join pg_catalog.pg_class ic on ic.oid = i.indexrelid
   cross join lateral (
      select pg_catalog.array_agg(a.attname::text order by k.position) as columns,
             coalesce(pg_catalog.array_agg(a.attname::text order by k.position) filter (where not a.attnotnull),
                      '{}'::text[]) as nullable_columns
        from pg_catalog.unnest(i.indkey::int2[]) with ordinality as k(attnum, position)
        left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum and k.attnum <> 0
       where k.position <= i.indnkeyatts) key
   where i.indrelid = any ($1::oid[]) and i.indislive
   order by i.indrelid, ic.relname`;
