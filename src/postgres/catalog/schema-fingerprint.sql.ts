import { PG14 } from '../../shared/server-version.js';

const OWN = `n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'lockstep')`;

/** Members of extensions change with their extension, whose version is an entry of its own. */
function notMember(catalog: string, oid: string): string {
  return `not exists (select from pg_catalog.pg_depend e
    where e.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass and e.objid = ${oid} and e.deptype = 'e')`;
}

function qualified(name: string): string {
  return `pg_catalog.format('%I.%I', n.nspname, ${name})`;
}

/** By types: 14 began to print IN before a procedure's arguments. */
const ARGUMENT_TYPES = `(
  select pg_catalog.string_agg(pg_catalog.format_type(a.type, null), ', ' order by a.position)
    from pg_catalog.unnest(p.proargtypes) with ordinality as a(type, position))`;

const NO_GRANTS = 'array[]::text[]';

function granted(grant: string): string {
  return `pg_catalog.format('%s %s%s', case ${grant}.grantee when 0 then 'public'
      else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(${grant}.grantee)) end, ${grant}.privilege_type,
    case when ${grant}.is_grantable then ' with grant option' else '' end)`;
}

/**
 * What is in force, by grantee's name and in a fixed order: a grant that was revoked leaves the default spelt out behind,
 * which means the same as none. What an owner has by itself is left out, since newer servers know privileges that older
 * ones do not; what was taken from it is named.
 *
 * @param kind as `acldefault` has it
 */
function grants(acl: string, kind: string, owner: string): string {
  const byDefault = `pg_catalog.acldefault(${kind}, ${owner})`;
  const inForce = `coalesce(${acl}, ${byDefault})`;
  return `array(
    select ${granted('g')} collate "C" as item from pg_catalog.aclexplode(${inForce}) g where g.grantee <> ${owner}
     union
    select pg_catalog.format('%I without %s', pg_catalog.pg_get_userbyid(${owner}), g.privilege_type)
      from pg_catalog.aclexplode(${byDefault}) g where g.grantee = ${owner} and not exists (
             select from pg_catalog.aclexplode(${inForce}) h where h.grantee = ${owner} and h.privilege_type = g.privilege_type)
     order by 1)`;
}

/** The columns' own grants; a column has none by default. */
const COLUMN_GRANTS = `array(
    select pg_catalog.format('(%I) ', a.attname) || ${granted('g')} collate "C" as item
      from pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) g
     where a.attrelid = c.oid and a.attacl is not null and a.attnum > 0 and not a.attisdropped order by 1)`;

/**
 * One row per object: `kind`, `name` (qualified, quoted, unique within its kind), `hash` over all that defines it, and
 * what is granted on it. A table that was dropped and made anew has another hash, whatever its definition: publications
 * know tables by oid, so that nothing publishes the new one. Hashes compare only between two reads of one server at one version: definitions are the
 * server's own print. Names and grants compare between servers too.
 */
export function schemaFingerprint(versionNum: number): string {
  const sqlBody = versionNum >= PG14 ? `pg_catalog.pg_get_function_sqlbody(p.oid)` : `null::text`;
  const compression = versionNum >= PG14 ? 'a.attcompression' : `''`;
  const parts = [
    `select 'schema' as kind, pg_catalog.quote_ident(n.nspname) as name, n.nspowner::text as definition,
            ${grants('n.nspacl', `'n'`, 'n.nspowner')} as grants
       from pg_catalog.pg_namespace n where ${OWN}`,
    `select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
                           when 'c' then 'composite type' when 'S' then 'sequence' else 'table' end, ${qualified('c.relname')},
            (case when c.relkind in ('r', 'p') then c.oid end, c.relkind, c.relowner, c.reloptions, c.relreplident, c.relrowsecurity, c.relforcerowsecurity,
             c.relpersistence, c.reltablespace, c.relam, pg_catalog.pg_get_expr(c.relpartbound, c.oid),
             case c.relkind when 'p' then pg_catalog.pg_get_partkeydef(c.oid) end,
             (select pg_catalog.array_agg(i.inhparent order by i.inhseqno) from pg_catalog.pg_inherits i where i.inhrelid = c.oid),
             (select (s.seqtypid, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)::text
                from pg_catalog.pg_sequence s where s.seqrelid = c.oid),
             col.columns)::text,
            ${grants('c.relacl', `case c.relkind when 'S' then 's' else 'r' end::"char"`, 'c.relowner')} || ${COLUMN_GRANTS}
       from pg_catalog.pg_class c
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       left join (select a.attrelid, pg_catalog.string_agg((a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull,
                         a.attidentity, a.attgenerated, a.attcollation, a.attstorage, ${compression}, a.attstattarget,
                         a.attoptions, a.attfdwoptions, pg_catalog.pg_get_expr(d.adbin, d.adrelid))::text, ',' order by a.attnum) as columns
                    from pg_catalog.pg_attribute a
                    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                   where a.attnum > 0 and not a.attisdropped group by a.attrelid) col on col.attrelid = c.oid
      where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c') and c.relpersistence <> 't' and ${OWN} and ${notMember('pg_class', 'c.oid')}`,
    `select 'index', ${qualified('c.relname')},
            (pg_catalog.pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident, i.indisclustered, i.indisprimary,
             c.reltablespace)::text, ${NO_GRANTS}
       from pg_catalog.pg_index i
       join pg_catalog.pg_class c on c.oid = i.indexrelid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace where ${OWN} and c.relpersistence <> 't'`,
    `select 'constraint', pg_catalog.format('%I on %s.%I', k.conname, pg_catalog.quote_ident(n.nspname), coalesce(c.relname, t.typname)),
            (pg_catalog.pg_get_constraintdef(k.oid), k.convalidated, k.coninhcount, k.conislocal)::text, ${NO_GRANTS}
       from pg_catalog.pg_constraint k
       join pg_catalog.pg_namespace n on n.oid = k.connamespace
       left join pg_catalog.pg_class c on c.oid = k.conrelid
       left join pg_catalog.pg_type t on t.oid = k.contypid
      where ${OWN} and k.contype <> 't' and c.relpersistence is distinct from 't'`,
    `select 'trigger', pg_catalog.format('%I on %s', t.tgname, ${qualified('c.relname')}),
            (pg_catalog.pg_get_triggerdef(t.oid), t.tgenabled)::text, ${NO_GRANTS}
       from pg_catalog.pg_trigger t
       join pg_catalog.pg_class c on c.oid = t.tgrelid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace where not t.tgisinternal and ${OWN}`,
    `select 'rule', pg_catalog.format('%I on %s', r.rulename, ${qualified('c.relname')}),
            (pg_catalog.pg_get_ruledef(r.oid), r.ev_enabled)::text, ${NO_GRANTS}
       from pg_catalog.pg_rewrite r
       join pg_catalog.pg_class c on c.oid = r.ev_class
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace where ${OWN} and ${notMember('pg_class', 'c.oid')}`,
    `select 'policy', pg_catalog.format('%I on %s', p.polname, ${qualified('c.relname')}),
            (p.polcmd, p.polpermissive, p.polroles, pg_catalog.pg_get_expr(p.polqual, p.polrelid),
             pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))::text, ${NO_GRANTS}
       from pg_catalog.pg_policy p
       join pg_catalog.pg_class c on c.oid = p.polrelid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace where ${OWN}`,
    `select 'function', pg_catalog.format('%s(%s)', ${qualified('p.proname')}, ${ARGUMENT_TYPES}),
            (p.prokind, p.proowner, p.prolang, p.prosrc, p.probin, ${sqlBody}, p.proconfig, p.provolatile, p.proparallel,
             p.proisstrict, p.prosecdef, p.proleakproof, p.procost, p.prorows, pg_catalog.pg_get_function_arguments(p.oid),
             pg_catalog.pg_get_function_result(p.oid), (select a::text from pg_catalog.pg_aggregate a where a.aggfnoid = p.oid))::text,
            ${grants('p.proacl', `'f'`, 'p.proowner')}
       from pg_catalog.pg_proc p
       join pg_catalog.pg_namespace n on n.oid = p.pronamespace where ${OWN} and ${notMember('pg_proc', 'p.oid')}`,
    `select 'type', ${qualified('t.typname')},
            (t.typtype, t.typowner, t.typbasetype, t.typtypmod, t.typnotnull, t.typdefault, t.typcollation,
             (select pg_catalog.array_agg(e.enumlabel order by e.enumsortorder) from pg_catalog.pg_enum e where e.enumtypid = t.oid),
             (select r::text from pg_catalog.pg_range r where r.rngtypid = t.oid))::text,
            ${grants('t.typacl', `'T'`, 't.typowner')}
       from pg_catalog.pg_type t
       join pg_catalog.pg_namespace n on n.oid = t.typnamespace
      where ${OWN} and t.typtype in ('b', 'd', 'e', 'r', 'm') and t.typcategory <> 'A' and ${notMember('pg_type', 't.oid')}`,
    `select 'operator', pg_catalog.format('%s(%s,%s)', ${qualified('o.oprname')},
              pg_catalog.format_type(o.oprleft, null), pg_catalog.format_type(o.oprright, null)), o::text, ${NO_GRANTS}
       from pg_catalog.pg_operator o
       join pg_catalog.pg_namespace n on n.oid = o.oprnamespace where ${OWN} and ${notMember('pg_operator', 'o.oid')}`,
    `select 'cast', pg_catalog.format('%s to %s', pg_catalog.format_type(k.castsource, null), pg_catalog.format_type(k.casttarget, null)), k::text, ${NO_GRANTS}
       from pg_catalog.pg_cast k where k.oid >= 16384 and ${notMember('pg_cast', 'k.oid')}`,
    `select 'collation', ${qualified('k.collname')}, k::text, ${NO_GRANTS}
       from pg_catalog.pg_collation k join pg_catalog.pg_namespace n on n.oid = k.collnamespace where ${OWN}`,
    `select 'statistics', ${qualified('s.stxname')}, (s.stxowner, pg_catalog.pg_get_statisticsobjdef(s.oid), s.stxstattarget)::text, ${NO_GRANTS}
       from pg_catalog.pg_statistic_ext s join pg_catalog.pg_namespace n on n.oid = s.stxnamespace where ${OWN}`,
    `select 'extension', pg_catalog.quote_ident(x.extname), (x.extversion, x.extowner, x.extnamespace)::text, ${NO_GRANTS}
       from pg_catalog.pg_extension x`,
    `select 'event trigger', pg_catalog.quote_ident(v.evtname), v::text, ${NO_GRANTS} from pg_catalog.pg_event_trigger v`,
    `select 'foreign server', pg_catalog.quote_ident(f.srvname), (f.srvowner, f.srvfdw, f.srvtype, f.srvversion, f.srvoptions)::text,
            ${grants('f.srvacl', `'S'`, 'f.srvowner')} from pg_catalog.pg_foreign_server f`,
    `select 'default privileges', pg_catalog.format('%s %s %s', d.defaclrole::pg_catalog.regrole,
              coalesce(pg_catalog.quote_ident(n.nspname), '*'), d.defaclobjtype), '',
            case d.defaclnamespace when 0
              then ${grants('d.defaclacl', `case d.defaclobjtype when 'S' then 's' else d.defaclobjtype end::"char"`, 'd.defaclrole')}
              else array(select ${granted('g')} collate "C" from pg_catalog.aclexplode(d.defaclacl) g order by 1) end
       from pg_catalog.pg_default_acl d left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace`,
    `select 'language', pg_catalog.quote_ident(l.lanname), (l.lanowner, l.lanpltrusted)::text, ${grants('l.lanacl', `'l'`, 'l.lanowner')}
       from pg_catalog.pg_language l where l.oid >= 16384`,
    `select 'text search configuration', ${qualified('x.cfgname')},
            (x.cfgowner, x.cfgparser, (select pg_catalog.array_agg((m.maptokentype, m.mapseqno, m.mapdict)::text order by 1)
                                         from pg_catalog.pg_ts_config_map m where m.mapcfg = x.oid))::text, ${NO_GRANTS}
       from pg_catalog.pg_ts_config x join pg_catalog.pg_namespace n on n.oid = x.cfgnamespace where ${OWN}`,
  ];
  return `select kind, name, pg_catalog.md5(definition) as hash, grants from (${parts.join('\n union all ')}) as object order by kind, name`;
}

/**
 * What two servers of different versions can be compared by, one row per object with a readable `definition`: shapes and
 * presence, no expressions (newer servers print them otherwise), no NOT NULL
 * constraints (named objects since 18 only) and no invalid indexes, which pg_dump leaves out.
 */
export const comparableSchema = `
  select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
                        when 'S' then 'sequence' else 'table' end as kind,
         ${qualified('c.relname')} as name,
         pg_catalog.concat_ws(' ', case c.relkind when 'p' then 'partitioned' end,
           case c.relpersistence when 'u' then 'unlogged' end, case when c.relispartition then 'partition' end,
           case when c.relrowsecurity then 'row security' end, case when c.relforcerowsecurity then 'forced' end,
           case when c.relkind in ('r', 'p') then 'replica identity ' || c.relreplident::text end,
           (select pg_catalog.concat_ws(' ', pg_catalog.format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin,
                                        s.seqmax, s.seqcache, s.seqcycle)
              from pg_catalog.pg_sequence s where s.seqrelid = c.oid)) as definition
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and c.relpersistence <> 't' and ${OWN} and ${notMember('pg_class', 'c.oid')}
  union all
  select 'column', pg_catalog.format('%s.%I', ${qualified('c.relname')}, a.attname),
         pg_catalog.concat_ws(' ', pg_catalog.format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
           case when a.atthasdef then 'default' end, 'generated ' || nullif(a.attgenerated::text, ''),
           'identity ' || nullif(a.attidentity::text, ''),
           (select 'collate ' || k.collname from pg_catalog.pg_collation k
             where k.oid = a.attcollation and k.collname <> 'default'))
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_class c on c.oid = a.attrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped and c.relpersistence <> 't' and ${OWN}
     and ${notMember('pg_class', 'c.oid')}
  union all
  select 'constraint', pg_catalog.format('%I on %s', k.conname, ${qualified('c.relname')}),
         pg_catalog.concat_ws(' ', k.contype::text, case when not k.convalidated then 'not valid' end,
           case when k.condeferrable then 'deferrable' end, case when k.condeferred then 'initially deferred' end,
           (select pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by x.place)
              from pg_catalog.unnest(k.conkey) with ordinality as x(attnum, place)
              join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = x.attnum),
           'references ' || nullif(k.confrelid, 0)::pg_catalog.regclass::text)
    from pg_catalog.pg_constraint k
    join pg_catalog.pg_class c on c.oid = k.conrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where k.contype in ('p', 'u', 'f', 'c', 'x') and (k.contype <> 'f' or k.conparentid = 0) and c.relpersistence <> 't'
     and ${OWN} and ${notMember('pg_class', 'c.oid')}
  union all
  select 'index', ${qualified('x.relname')},
         pg_catalog.concat_ws(' ', 'on', c.relname, 'using', m.amname, case when i.indisunique then 'unique' end,
           case when i.indisprimary then 'primary' end, case when not i.indisvalid then 'invalid' end,
           case when i.indisreplident then 'replica identity' end, case when i.indpred is not null then 'partial' end,
           i.indnkeyatts, (select pg_catalog.string_agg(coalesce(pg_catalog.quote_ident(a.attname), '(expression)'), ', ' order by p.place)
              from pg_catalog.unnest(i.indkey::int2[]) with ordinality as p(attnum, place)
              left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = p.attnum and p.attnum > 0))
    from pg_catalog.pg_index i
    join pg_catalog.pg_class x on x.oid = i.indexrelid
    join pg_catalog.pg_am m on m.oid = x.relam
    join pg_catalog.pg_class c on c.oid = i.indrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where (i.indisvalid or x.relkind = 'I') and c.relkind in ('r', 'p', 'm') and c.relpersistence <> 't' and ${OWN} and ${notMember('pg_class', 'c.oid')}
  union all
  select 'trigger', pg_catalog.format('%I on %s', t.tgname, ${qualified('c.relname')}),
         pg_catalog.concat_ws(' ', t.tgenabled::text, t.tgtype, fn.nspname || '.' || f.proname)
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc f on f.oid = t.tgfoid
    join pg_catalog.pg_namespace fn on fn.oid = f.pronamespace
    join pg_catalog.pg_class c on c.oid = t.tgrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where not t.tgisinternal and t.tgparentid = 0 and ${OWN}
  union all
  select 'policy', pg_catalog.format('%I on %s', p.polname, ${qualified('c.relname')}),
         pg_catalog.concat_ws(' ', p.polcmd::text, p.polpermissive::text)
    from pg_catalog.pg_policy p join pg_catalog.pg_class c on c.oid = p.polrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace where ${OWN}
  union all
  select 'rule', pg_catalog.format('%I on %s', r.rulename, ${qualified('c.relname')}), r.ev_enabled::text || r.ev_type::text
    from pg_catalog.pg_rewrite r join pg_catalog.pg_class c on c.oid = r.ev_class
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace where r.rulename <> '_RETURN' and ${OWN}
  union all
  select 'function', pg_catalog.format('%s(%s)', ${qualified('p.proname')}, ${ARGUMENT_TYPES}),
         pg_catalog.concat_ws(' ', p.prokind::text, p.provolatile::text)
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
   where ${OWN} and ${notMember('pg_proc', 'p.oid')}
     -- Constructors of ranges: 14 adds multiranges.
     and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                      and d.objid = p.oid and d.deptype = 'i')
  union all
  select 'type', ${qualified('t.typname')}, pg_catalog.concat_ws(' ', t.typtype::text,
         (select pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
            from pg_catalog.pg_enum e where e.enumtypid = t.oid))
    from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
   where t.typtype in ('d', 'e', 'r') and ${OWN} and ${notMember('pg_type', 't.oid')}
  union all
  select 'extension', pg_catalog.quote_ident(x.extname), '' from pg_catalog.pg_extension x
  union all
  select 'statistics', ${qualified('s.stxname')}, pg_catalog.array_to_string(s.stxkind, '')
    from pg_catalog.pg_statistic_ext s join pg_catalog.pg_namespace n on n.oid = s.stxnamespace where ${OWN}
  union all
  select 'event trigger', pg_catalog.quote_ident(v.evtname), v.evtenabled::text from pg_catalog.pg_event_trigger v
  order by 1, 2`;
