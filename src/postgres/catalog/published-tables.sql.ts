import { PG15, PG16, PG18 } from '../../shared/server-version.js';

/** The subscription `$1` (name) of the current database. Never its connection string, which few logins may read. */
export function subscriptionSql(versionNum: number): string {
  return `
select s.oid::text as oid, s.subname::text as name, s.subenabled as enabled, s.subslotname::text as "slotName",
       s.subpublications::text[] as publications,
       ${versionNum >= PG16 ? 's.suborigin' : 'null::text'} as origin
  from pg_catalog.pg_subscription s
 where s.subname = $1
   and s.subdbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())`;
}

/** The tables the subscription with oid `$1` knows, with the state of their initial copy (`r` is ready). */
export function subscribedTablesSql(): string {
  return `
select n.nspname::text as schema, c.relname::text as name, r.srsubstate::text as state
  from pg_catalog.pg_subscription_rel r
  join pg_catalog.pg_class c on c.oid = r.srrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where r.srsubid = $1::oid
 order by 1, 2`;
}

/**
 * One row for each table of each of the publications `$1` (text[]): what the publication sends of it. `columns` is
 * null below 15, where publications have no column lists. `under` names the partitioned ancestors of a partition.
 */
export function publishedTablesSql(versionNum: number): string {
  const lists = versionNum >= PG15;
  // Only from 18 on can a generated column be sent; before, some releases list it here all the same.
  const sent = versionNum >= PG18 ? 'true' : `a.attgenerated = ''`;
  return `
select t.pubname::text as publication, t.schemaname::text as schema, t.tablename::text as name,
       p.pubinsert and p.pubupdate and p.pubdelete as "allRowChanges",
       p.pubviaroot as "viaRoot",
       ${
         lists
           ? `array(select a.attname::text from pg_catalog.pg_attribute a
                     where a.attrelid = c.oid and a.attname = any (t.attnames) and ${sent} order by a.attnum)`
           : 'null::text[]'
       } as columns,
       ${lists ? 't.rowfilter' : 'null::text'} as "rowFilter",
       coalesce((select pg_catalog.array_agg(pg_catalog.format('%I.%I', an.nspname, ac.relname))
                   from pg_catalog.pg_partition_ancestors(c.oid) a(relid)
                   join pg_catalog.pg_class ac on ac.oid = a.relid
                   join pg_catalog.pg_namespace an on an.oid = ac.relnamespace
                  where a.relid <> c.oid), '{}') as under
  from pg_catalog.pg_publication_tables t
  join pg_catalog.pg_publication p on p.pubname = t.pubname
  join pg_catalog.pg_namespace n on n.nspname = t.schemaname
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
 where t.pubname = any ($1::name[])
 order by 2, 3, 1`;
}

/** Names of those of `$1` (text[]) that are publications of the current database. */
export function existingPublicationsSql(): string {
  return `select p.pubname::text as name from pg_catalog.pg_publication p where p.pubname = any ($1::name[])`;
}

/** The tables that the publication `$1` names, each as [schema, name]; no row: there is no such publication. */
export function namedTablesSql(): string {
  return `select coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(n.nspname, c.relname))
                             from pg_catalog.pg_publication_rel r
                             join pg_catalog.pg_class c on c.oid = r.prrelid
                             join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                            where r.prpubid = p.oid), '[]') as tables
            from pg_catalog.pg_publication p where p.pubname = $1`;
}

/**
 * What must be known of the tables `$1`.`$2` (text[], text[]: schemas and names, pairwise) to read them exactly.
 * A name without a table gives no row. `rows` is the planner's estimate, for progress only.
 */
export function tableDescriptionsSql(): string {
  const keyColumns = (condition: string) => `
       (select pg_catalog.array_agg(a.attname::text order by k.position)
          from pg_catalog.pg_index i
          cross join lateral pg_catalog.unnest(i.indkey::int2[]) with ordinality k(attnum, position)
          join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
         where i.indrelid = c.oid and ${condition} and i.indisvalid and i.indimmediate and k.position <= i.indnkeyatts)`;
  return `
select n.nspname::text as schema, c.relname::text as name, c.oid::text as oid, c.relkind::text as kind,
       c.relreplident::text as "replicaIdentity",
       pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select') as readable,
       pg_catalog.row_security_active(c.oid) as "rowSecurity",
       ${keyColumns('i.indisprimary')} as "primaryKey",
       ${keyColumns('i.indisreplident')} as "identityIndex",
       coalesce((select pg_catalog.jsonb_agg(
                   (select pg_catalog.jsonb_agg(a.attname order by k.position)
                      from pg_catalog.unnest(i.indkey::int2[]) with ordinality k(attnum, position)
                      left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                     where k.position <= i.indnkeyatts))
           from pg_catalog.pg_index i
           join pg_catalog.pg_class ic on ic.oid = i.indexrelid
           join pg_catalog.pg_am am on am.oid = ic.relam and am.amname = 'btree'
          where i.indrelid = c.oid and i.indisvalid and i.indpred is null), '[]') as indexes,
       case when c.relkind = 'p'
            then (select pg_catalog.sum(greatest(l.reltuples, 0))::float8
                    from pg_catalog.pg_partition_tree(c.oid) t join pg_catalog.pg_class l on l.oid = t.relid
                   where t.isleaf)
            else greatest(c.reltuples, 0)::float8 end as rows,
       case when c.relkind = 'p'
            then (select pg_catalog.sum(pg_catalog.pg_table_size(t.relid))::float8
                    from pg_catalog.pg_partition_tree(c.oid) t where t.isleaf)
            else pg_catalog.pg_table_size(c.oid)::float8 end as bytes
  from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(schema, name)
  join pg_catalog.pg_namespace n on n.nspname = w.schema
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
 where c.relkind in ('r', 'p')
 order by 1, 2`;
}

/**
 * The columns of the tables with the oids `$1` (text[]), in the table's order. `type` is as SQL writes it, `base` is
 * the type below any domains. `equalitySchema` is where the `=` of the base type's default btree class lives: keys
 * are looked up with it, since extensions' operators are not on the search path.
 */
export function tableColumnsSql(versionNum: number): string {
  // That of the database is of the C library unless it says otherwise.
  // From 18 on it is set for a constraint that existing rows were not held to.
  const notNull =
    versionNum < PG18
      ? 'a.attnotnull'
      : `a.attnotnull and not exists (select from pg_catalog.pg_constraint k
                                        where k.conrelid = a.attrelid and k.contype = 'n'
                                          and k.conkey = array[a.attnum] and not k.convalidated)`;
  const libc = versionNum >= PG15 ? `and d.datlocprovider = 'c'` : '';
  return `
select a.attrelid::text as table, a.attname::text as name, pg_catalog.format_type(a.atttypid, a.atttypmod) as type,
       a.attgenerated <> '' as generated, a.attidentity = 'a' as "identityAlways", ${notNull} as "notNull",
       a.attcollation = 0
         or exists (select from pg_catalog.pg_collation co
                     where co.oid = a.attcollation and co.collnamespace = 'pg_catalog'::pg_catalog.regnamespace
                       and co.collname in ('C', 'POSIX'))
         or (a.attcollation = 100
             and exists (select from pg_catalog.pg_database d
                          where d.datname = pg_catalog.current_database() and d.datcollate in ('C', 'POSIX') ${libc}))
         as "universalOrder",
       pg_catalog.format_type(base.oid, base.modifier) as "baseType", base.schema as "baseSchema", base.name as "baseName", base.kind as "baseKind",
       coalesce((select o_n.nspname::text
                   from pg_catalog.pg_opclass oc
                   join pg_catalog.pg_am am on am.oid = oc.opcmethod and am.amname = 'btree'
                   join pg_catalog.pg_amop ao on ao.amopfamily = oc.opcfamily and ao.amopstrategy = 3
                        and ao.amoplefttype = oc.opcintype and ao.amoprighttype = oc.opcintype
                   join pg_catalog.pg_operator o on o.oid = ao.amopopr
                   join pg_catalog.pg_namespace o_n on o_n.oid = o.oprnamespace
                  where oc.opcdefault and oc.opcintype = base.oid), 'pg_catalog') as "equalitySchema"
  from pg_catalog.pg_attribute a
  cross join lateral (
       with recursive chain as (
            select t.oid, t.typtype, t.typbasetype, t.typtypmod, t.typname, t.typnamespace, a.atttypmod as modifier
              from pg_catalog.pg_type t where t.oid = a.atttypid
             union all
            select t.oid, t.typtype, t.typbasetype, t.typtypmod, t.typname, t.typnamespace, chain.typtypmod
              from chain join pg_catalog.pg_type t on t.oid = chain.typbasetype
             where chain.typtype = 'd')
       select chain.oid, chain.modifier, n.nspname::text as schema, chain.typname::text as name, chain.typtype::text as kind
         from chain join pg_catalog.pg_namespace n on n.oid = chain.typnamespace
        where chain.typtype <> 'd') base
 where a.attrelid = any ($1::oid[]) and a.attnum > 0 and not a.attisdropped
 order by a.attrelid, a.attnum`;
}

/** The encoding of the current database, e.g. `UTF8`, and `old_snapshot_threshold` unless it is off or unknown (17). */
export function databaseSettingsSql(): string {
  return `
select pg_catalog.pg_encoding_to_char(d.encoding)::text as encoding,
       nullif(pg_catalog.current_setting('old_snapshot_threshold', true), '-1') as "oldSnapshotThreshold"
  from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()`;
}

/**
 * Which of the tables `$1`.`$2` (text[], text[]: schemas and names, pairwise) take UPDATE and DELETE once they are in
 * a publication that publishes these: the table, or every partition of it, has a replica identity.
 */
export function replicaIdentityUsableSql(): string {
  return `
with named as materialized (
  select n.nspname::text as schema, c.relname::text as name, c.oid, c.relkind
    from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(schema, name)
    join pg_catalog.pg_namespace n on n.nspname = w.schema
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
   where c.relkind in ('r', 'p')
), bearers as (
  select named.schema, named.name, named.relkind, named.oid from named
   union all
  select named.schema, named.name, named.relkind, t.relid
    from named cross join lateral pg_catalog.pg_partition_tree(named.oid) t
   where named.relkind = 'p' and t.level > 0
)
select b.schema, b.name, b.relkind = 'p' as partitioned,
       pg_catalog.bool_and(l.relreplident = 'f' or i.indexrelid is not null) as usable
  from bearers b
  join pg_catalog.pg_class l on l.oid = b.oid
  left join pg_catalog.pg_index i
    on i.indrelid = l.oid and i.indisvalid and i.indimmediate
   and case l.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end
 group by 1, 2, 3
 order by 1, 2`;
}
