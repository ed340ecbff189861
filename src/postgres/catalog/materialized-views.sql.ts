/**
 * Materialized views that hold data, those with fewer others below them first: whatever reads another one, directly or
 * through plain views, has more below it than that one.
 */
export const filledMaterializedViews = `
  with recursive reads(view, relation) as (
    select w.ev_class, d.refobjid
      from pg_catalog.pg_rewrite w
      join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid
     where w.rulename = '_RETURN' and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> w.ev_class
  ), below(view, relation) as (
    select view, relation from reads
    union
    select b.view, r.relation from below b join reads r on r.view = b.relation
  )
  select n.nspname::text as schema, c.relname::text as name
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.relkind = 'm' and c.relispopulated and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'lockstep')
   order by (select pg_catalog.count(*) from below b
               join pg_catalog.pg_class m on m.oid = b.relation and m.relkind = 'm' where b.view = c.oid), 1, 2`;
