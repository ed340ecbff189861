/**
 * Publications that send updates or deletes of the table with oid `$1`, by itself or through a partitioned table above
 * it, by name.
 */
export const PUBLISHING_CHANGES = `
  with family as (
    select $1::text::oid as oid
     union select a.relid from pg_catalog.pg_partition_ancestors($1::text::oid) a(relid))
  select distinct p.pubname::text as name
    from family
    join pg_catalog.pg_class c on c.oid = family.oid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_publication_tables t on t.schemaname = n.nspname and t.tablename = c.relname
    join pg_catalog.pg_publication p on p.pubname = t.pubname
   where p.pubupdate or p.pubdelete
   order by 1`;
