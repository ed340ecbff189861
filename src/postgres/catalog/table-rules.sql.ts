import { PG13, PG15, PG18 } from '../../shared/server-version.js';
import type { Variant } from './variant.js';

/** What catalogs of later versions know. */
interface Known {
  /** Of `i`, pg_index. */
  nullsNotDistinct: string;
  /** Of `k`, pg_constraint. */
  enforced: string;
}

/**
 * What holds or changes the rows of the tables `$1`.`$2` (text[], text[]: schemas and names, pairwise) besides columns,
 * NOT NULL and plain keys: one row for each rule, `kind` and `rule`. A partitioned table has the rules of its
 * partitions as well, those that they do not get from it. `on` is where a rule is declared: for a partition's, the
 * topmost table or index that has it. `columns` are those it reads.
 *
 * Expressions are as this server prints them (not pretty): other versions may print the same one otherwise.
 * A unique index that is ready and not valid is held to for new rows as any other. Of triggers those that fire while
 * changes are applied (ALWAYS, REPLICA); those of rows are fired at partitions, never at their root.
 * A partitioned table and each of its partitions is a `partition`, and so is a table that is one. `security` is of
 * tables with row security enabled: `held` are those of the table's owner, the subscriptions' and the roles `$3`
 * (text[]) that policies hold.
 */
function rules({ nullsNotDistinct, enforced }: Known): string {
  return `
      with recursive named as materialized (
        select n.nspname::text as schema, c.relname::text as name, c.oid as top, c.relkind
          from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(schema, name)
          join pg_catalog.pg_namespace n on n.nspname = w.schema
          join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
         where c.relkind in ('r', 'p')
      ), bearers as materialized (
        select named.schema, named.name, named.top, named.top as oid from named
         union all
        select named.schema, named.name, named.top, t.relid
          from named cross join lateral pg_catalog.pg_partition_tree(named.top) t
         where named.relkind = 'p' and t.level > 0
      ), domains as (
        select named.schema, named.name, a.attname::text as "column", a.atttypid as domain
          from named
          join pg_catalog.pg_attribute a on a.attrelid = named.top and a.attnum > 0 and not a.attisdropped
          join pg_catalog.pg_type t on t.oid = a.atttypid and t.typtype = 'd'
         union all
        select d.schema, d.name, d."column", t.typbasetype
          from domains d
          join pg_catalog.pg_type t on t.oid = d.domain
          join pg_catalog.pg_type b on b.oid = t.typbasetype and b.typtype = 'd'
      ), found as (
        select b.schema, b.name, 'check' as kind,
               pg_catalog.jsonb_build_object(
                 'name', k.conname,
                 'on', pg_catalog.jsonb_build_object('schema', tn.nspname, 'name', tc.relname),
                 'expression', pg_catalog.pg_get_expr(k.conbin, k.conrelid),
                 'columns', columns.names,
                 'whole', b.oid = b.top,
                 'inherited', k.coninhcount > 0 and tc.oid = b.oid) as rule
          from bearers b
          join pg_catalog.pg_constraint k on k.conrelid = b.oid and k.contype = 'c' and ${enforced}
         cross join lateral (
           select coalesce(pg_catalog.jsonb_agg(a.attname order by a.attname::text collate pg_catalog."C"), '[]') as names
             from pg_catalog.pg_attribute a where a.attrelid = k.conrelid and a.attnum = any (k.conkey)) columns
         cross join lateral (
           select coalesce((
                    select a.relid::pg_catalog.oid
                      from pg_catalog.pg_partition_ancestors(b.oid) with ordinality a(relid, at)
                      join pg_catalog.pg_constraint p
                        on p.conrelid = a.relid and p.contype = 'c' and p.conname = k.conname
                     order by a.at desc limit 1), b.oid) as oid) declared
          join pg_catalog.pg_class tc on tc.oid = declared.oid
          join pg_catalog.pg_namespace tn on tn.oid = tc.relnamespace
         where b.oid = b.top or k.coninhcount = 0
         union all
        select b.schema, b.name, case when i.indisexclusion then 'exclusion' else 'unique' end,
               pg_catalog.jsonb_build_object(
                 'name', dc.relname,
                 'index', ic.relname,
                 'on', pg_catalog.jsonb_build_object('schema', tn.nspname, 'name', tc.relname),
                 'constraint', k.conname,
                 'definition', case when k.oid is null then pg_catalog.pg_get_indexdef(dx.indexrelid)
                                    else pg_catalog.pg_get_constraintdef(k.oid) end,
                 'elements', parts.elements,
                 'plain', parts.plain,
                 'predicate', pg_catalog.pg_get_expr(i.indpred, i.indrelid),
                 'columns', read.names,
                 'whole', b.oid = b.top,
                 'nullsNotDistinct', ${nullsNotDistinct},
                 'immediate', i.indimmediate,
                 'valid', i.indisvalid)
          from bearers b
          join pg_catalog.pg_index i on i.indrelid = b.oid
          join pg_catalog.pg_class ic on ic.oid = i.indexrelid
         cross join lateral (
           select coalesce((
                    select a.relid::pg_catalog.oid
                      from pg_catalog.pg_partition_ancestors(i.indexrelid) with ordinality a(relid, at)
                     order by a.at desc limit 1), i.indexrelid) as oid) declared
          join pg_catalog.pg_index dx on dx.indexrelid = declared.oid
          join pg_catalog.pg_class dc on dc.oid = dx.indexrelid
          join pg_catalog.pg_class tc on tc.oid = dx.indrelid
          join pg_catalog.pg_namespace tn on tn.oid = tc.relnamespace
          left join pg_catalog.pg_constraint k
            on k.conindid = declared.oid and k.conrelid = dx.indrelid and k.contype in ('p', 'u', 'x')
         cross join lateral (
           select pg_catalog.jsonb_agg(
                    pg_catalog.pg_get_indexdef(i.indexrelid, e.position::int, false)
                      || coalesce(' collate ' || (
                           select pg_catalog.format('%I.%I', kn.nspname, co.collname)
                             from pg_catalog.pg_collation co
                             join pg_catalog.pg_namespace kn on kn.oid = co.collnamespace
                            where co.oid = (i.indcollation::pg_catalog.oid[])[e.position - 1]
                              and not co.collisdeterministic), '')
                    order by e.position) as elements,
                  coalesce(pg_catalog.jsonb_agg(a.attname order by e.position) filter (where a.attname is not null), '[]') as plain
             from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality e(attnum, position)
             left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = e.attnum and e.attnum <> 0
            where e.position <= i.indnkeyatts) parts
         cross join lateral (
           select coalesce(pg_catalog.jsonb_agg(a.attname order by a.attname::text collate pg_catalog."C"), '[]') as names
             from pg_catalog.pg_attribute a
            where a.attrelid = i.indrelid and a.attnum > 0
              and (a.attnum = any (i.indkey::pg_catalog.int2[])
                   or a.attnum in (select d.refobjsubid from pg_catalog.pg_depend d
                                    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = i.indexrelid
                                      and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = i.indrelid))) read
         where (i.indisunique or i.indisexclusion) and i.indisready and (i.indisvalid or ic.relkind = 'i')
           and (i.indpred is not null or i.indexprs is not null or i.indisexclusion or not i.indisvalid or ${nullsNotDistinct})
           and (b.oid = b.top or dc.oid = ic.oid)
         union all
        select b.schema, b.name, 'trigger',
               pg_catalog.jsonb_build_object(
                 'name', t.tgname,
                 'on', pg_catalog.jsonb_build_object('schema', tn.nspname, 'name', tc.relname),
                 'enabled', t.tgenabled,
                 'type', t.tgtype,
                 'function', pg_catalog.format('%s.%s', fn.nspname, f.proname),
                 'constraint', coalesce(k.contype = 't', false),
                 'foreignKey', case when k.contype = 'f' then k.conname end,
                 'referencing', case when k.contype = 'f' then k.conrelid = t.tgrelid end)
          from bearers b
          join pg_catalog.pg_trigger t on t.tgrelid = b.oid and t.tgenabled in ('A', 'R')
          join pg_catalog.pg_class tc on tc.oid = b.oid
          join pg_catalog.pg_namespace tn on tn.oid = tc.relnamespace
          join pg_catalog.pg_proc f on f.oid = t.tgfoid
          join pg_catalog.pg_namespace fn on fn.oid = f.pronamespace
          left join pg_catalog.pg_constraint k on k.oid = t.tgconstraint
         where (t.tgtype & 1 = 0 or tc.relkind = 'r')
           and (b.oid = b.top or t.tgtype & 1 = 1)
           and (k.oid is null or k.contype in ('f', 't'))
         union all
        select named.schema, named.name, 'generated',
               pg_catalog.jsonb_build_object(
                 'name', a.attname,
                 'stored', a.attgenerated = 's',
                 'expression', pg_catalog.pg_get_expr(d.adbin, d.adrelid))
          from named
          join pg_catalog.pg_attribute a
            on a.attrelid = named.top and a.attnum > 0 and not a.attisdropped and a.attgenerated <> ''
          join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         union all
        select d.schema, d.name, 'domain',
               pg_catalog.jsonb_build_object(
                 'name', held.name,
                 'on', pg_catalog.jsonb_build_object('schema', tn.nspname, 'name', t.typname),
                 'column', d."column",
                 'expression', held.expression)
          from domains d
          join pg_catalog.pg_type t on t.oid = d.domain
          join pg_catalog.pg_namespace tn on tn.oid = t.typnamespace
         cross join lateral (
           select k.conname::text, pg_catalog.pg_get_expr(k.conbin, 0) as expression
             from pg_catalog.pg_constraint k where k.contypid = d.domain and k.contype = 'c'
            union all
           select null, null where t.typnotnull) held(name, expression)
         union all
        select b.schema, b.name, 'partition',
               pg_catalog.jsonb_build_object(
                 'table', pg_catalog.jsonb_build_object('schema', tn.nspname, 'name', tc.relname),
                 'parent', case when pc.oid is not null
                                then pg_catalog.jsonb_build_object('schema', pn.nspname, 'name', pc.relname) end,
                 'parentKey', pg_catalog.pg_get_partkeydef(pc.oid),
                 'parentIsPartition', coalesce(pc.relispartition, false),
                 'bound', pg_catalog.pg_get_expr(tc.relpartbound, tc.oid),
                 'key', pg_catalog.pg_get_partkeydef(tc.oid),
                 'constraint', case when b.oid = b.top then pg_catalog.pg_get_partition_constraintdef(b.oid) end)
          from bearers b
          join pg_catalog.pg_class tc on tc.oid = b.oid and (tc.relispartition or tc.relkind = 'p')
          join pg_catalog.pg_namespace tn on tn.oid = tc.relnamespace
          left join pg_catalog.pg_inherits h on h.inhrelid = tc.oid and tc.relispartition
          left join pg_catalog.pg_class pc on pc.oid = h.inhparent
          left join pg_catalog.pg_namespace pn on pn.oid = pc.relnamespace
         union all
        select b.schema, b.name, 'security',
               pg_catalog.jsonb_build_object(
                 'on', pg_catalog.jsonb_build_object('schema', tn.nspname, 'name', tc.relname),
                 'holdsRows', tc.relkind <> 'p',
                 'forced', tc.relforcerowsecurity,
                 'owner', pg_catalog.pg_get_userbyid(tc.relowner),
                 'tableOwner', pg_catalog.pg_get_userbyid(top.relowner),
                 'held', (
                   select coalesce(pg_catalog.jsonb_agg(r.rolname order by r.rolname::text collate pg_catalog."C"), '[]')
                     from pg_catalog.pg_roles r
                    where (r.oid = top.relowner or r.rolname::text = any ($3::text[])
                           or r.oid in (select u.subowner from pg_catalog.pg_subscription u
                                          join pg_catalog.pg_database d on d.oid = u.subdbid
                                         where d.datname = pg_catalog.current_database()))
                      and not r.rolsuper and not r.rolbypassrls
                      and (tc.relforcerowsecurity or not pg_catalog.pg_has_role(r.oid, tc.relowner, 'USAGE'))))
          from bearers b
          join pg_catalog.pg_class tc on tc.oid = b.oid and tc.relrowsecurity
          join pg_catalog.pg_class top on top.oid = b.top
          join pg_catalog.pg_namespace tn on tn.oid = tc.relnamespace
      )
      select found.schema, found.name, found.kind, found.rule from found`;
}

const SINCE: readonly (Known & { since: number })[] = [
  { since: PG13, nullsNotDistinct: 'false', enforced: 'true' },
  { since: PG15, nullsNotDistinct: 'i.indnullsnotdistinct', enforced: 'true' },
  { since: PG18, nullsNotDistinct: 'i.indnullsnotdistinct', enforced: 'k.conenforced' },
];

export const TABLE_RULES: readonly Variant[] = SINCE.map(({ since, ...known }) => ({
  since,
  sql: `${rules(known)} order by 1, 2, 3, found.rule`,
}));

/** One hash over them, good on that server only. */
export const RULES_FINGERPRINT: readonly Variant[] = SINCE.map(({ since, ...known }) => ({
  since,
  sql: `
      select pg_catalog.md5(pg_catalog.string_agg(pg_catalog.jsonb_build_array(r.schema, r.name, r.kind, r.rule)::text, ','
               order by r.schema collate pg_catalog."C", r.name collate pg_catalog."C", r.kind collate pg_catalog."C", r.rule)) as hash
        from (${rules(known)}) r`,
}));
