import { USER_NAMESPACE } from './preflight-relations.sql.js';

const RELATION = `from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace`;
/** Objects made after initdb. */
const USER_OID = 16384;

export const EXTENSIONS = `
select extname::text as object, extversion as version from pg_catalog.pg_extension order by 1`;

export const AVAILABLE_EXTENSIONS = `
select name::text as object, default_version as version from pg_catalog.pg_available_extensions order by 1`;

/** Tables in which an extension keeps what users configured: the extension's script makes them empty. */
export const EXTENSION_CONFIGURATION = `
select t::pg_catalog.regclass::text as object, e.extname::text as extension
from pg_catalog.pg_extension e cross join lateral pg_catalog.unnest(e.extconfig) t
where t::oid in (select oid from pg_catalog.pg_class where relkind in ('r', 'p')) order by 1`;

/** Triggers that fire while changes are applied. */
export const TRIGGERS_FIRING_ON_APPLY = `
select pg_catalog.format('%I on %I.%I', t.tgname, n.nspname, c.relname) as object,
  case t.tgenabled when 'A' then 'ALWAYS' else 'REPLICA' end as enabled
from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and t.tgenabled in ('A', 'R') and ${USER_NAMESPACE} order by 1`;

export const DISABLED_TRIGGERS = `
select pg_catalog.format('%I on %I.%I', t.tgname, n.nspname, c.relname) as object
from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and t.tgenabled = 'D' and ${USER_NAMESPACE} order by 1`;

export const RULES_FIRING_ON_APPLY = `
select pg_catalog.format('%I on %I.%I', w.rulename, n.nspname, c.relname) as object, w.ev_enabled::text as enabled
from pg_catalog.pg_rewrite w join pg_catalog.pg_class c on c.oid = w.ev_class
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where w.ev_enabled in ('A', 'R') and ${USER_NAMESPACE} order by 1`;

export const EVENT_TRIGGERS = `
select pg_catalog.quote_ident(evtname) as object, evtevent as event, evtenabled::text as enabled
from pg_catalog.pg_event_trigger where evtenabled <> 'D' order by 1`;

/** Foreign keys between a replicated table and one that is not: a replicated TRUNCATE of both would fail. */
export const FOREIGN_KEYS_TO_UNPUBLISHED = `
select pg_catalog.format('%I on %s', k.conname, k.conrelid::pg_catalog.regclass) as object,
  k.confrelid::pg_catalog.regclass::text as "references"
from pg_catalog.pg_constraint k
where k.contype = 'f' and exists (
  select from pg_catalog.pg_depend x
  where x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and x.objid in (k.conrelid, k.confrelid) and x.deptype = 'e')
order by 1`;

export const NOT_VALID_CONSTRAINTS = `
select pg_catalog.format('%I on %s', k.conname, k.conrelid::pg_catalog.regclass) as object
from pg_catalog.pg_constraint k join pg_catalog.pg_namespace n on n.oid = k.connamespace
where not k.convalidated and k.conrelid <> 0 and k.contype in ('f', 'c', 'n') and ${USER_NAMESPACE} order by 1`;

export const INVALID_INDEXES = `
select pg_catalog.format('%I.%I', n.nspname, c.relname) as object, i.indrelid::pg_catalog.regclass::text as table
from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where not i.indisvalid and ${USER_NAMESPACE} order by 1`;

/** Columns whose values name catalog objects: their text form means the same only where those objects exist. */
export const CATALOG_DEPENDENT_COLUMNS = `
select pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname) as object, t.typname::text as type
${RELATION} join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_catalog.pg_type t on t.oid = a.atttypid
where c.relkind in ('r', 'p') and ${USER_NAMESPACE}
  and t.typname in ('regclass', 'regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper', 'regoperator',
    'regproc', 'regprocedure', 'regrole', 'regtype', 'aclitem', 'xid', 'cid', 'tid', 'pg_lsn', 'txid_snapshot', 'pg_snapshot', 'xid8')
order by 1`;

/** Operators without a right operand, which 14 removed. */
export const POSTFIX_OPERATORS = `
select o.oid::pg_catalog.regoperator::text as object from pg_catalog.pg_operator o
where o.oid >= ${USER_OID} and o.oprright = 0 and o.oprleft <> 0 order by 1`;

const ANYARRAY_FUNCTIONS = `('array_append', 'array_cat', 'array_prepend', 'array_remove', 'array_replace',
  'array_position', 'array_positions', 'width_bucket')`;

/** Aggregates and operators on functions whose arguments 14 changed from anyarray to anycompatiblearray. */
export const ANYARRAY_USERS = `
select 'aggregate ' || a.aggfnoid::pg_catalog.regprocedure::text as object
from pg_catalog.pg_aggregate a join pg_catalog.pg_proc f on f.oid = a.aggtransfn
where a.aggfnoid::oid >= ${USER_OID} and f.oid < ${USER_OID} and f.proname in ${ANYARRAY_FUNCTIONS}
  and exists (select from pg_catalog.pg_proc p where p.oid = a.aggfnoid
              and 'pg_catalog.anyarray'::pg_catalog.regtype = any (p.proargtypes::oid[])
              or p.oid = a.aggfnoid and 'pg_catalog.anyelement'::pg_catalog.regtype = any (p.proargtypes::oid[]))
union all
select 'operator ' || o.oid::pg_catalog.regoperator::text
from pg_catalog.pg_operator o join pg_catalog.pg_proc f on f.oid = o.oprcode
where o.oid >= ${USER_OID} and f.oid < ${USER_OID} and f.proname in ${ANYARRAY_FUNCTIONS}
order by 1`;

/** User encoding conversions, whose function signature 14 changed. */
export const ENCODING_CONVERSIONS = `
select pg_catalog.quote_ident(conname) as object from pg_catalog.pg_conversion where oid >= ${USER_OID} order by 1`;

export const PYTHON_2_LANGUAGES = `
select lanname::text as object from pg_catalog.pg_language where lanname in ('plpythonu', 'plpython2u') order by 1`;

/** Functions in C outside extensions: their libraries must be there on the target. */
export const C_FUNCTIONS = `
select p.oid::pg_catalog.regprocedure::text as object, p.probin as library
from pg_catalog.pg_proc p
where p.probin is not null and p.oid >= ${USER_OID} and not exists (
  select from pg_catalog.pg_depend x
  where x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and x.objid = p.oid and x.deptype = 'e') order by 1`;

/** Names with control characters, which break files and logs. */
export const NAMES_WITH_CONTROL_CHARACTERS = `
select pg_catalog.quote_ident(name) as object, kind from (
  select pg_catalog.current_database()::text as name, 'database' as kind
  union all select n.nspname::text, 'schema' from pg_catalog.pg_namespace n where ${USER_NAMESPACE}
  union all select c.relname::text, 'relation' ${RELATION} where ${USER_NAMESPACE}
  union all select r.rolname::text, 'role' from pg_catalog.pg_roles r
) named where name ~ '[[:cntrl:]]' order by 1`;

/** Relations of one schema that differ by case only. */
export const NAMES_DIFFERING_IN_CASE = `
select pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.relname), ' / ' order by c.relname) as object
${RELATION} where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and ${USER_NAMESPACE}
group by n.nspname, pg_catalog.lower(c.relname) having count(*) > 1 order by 1`;

export const FOREIGN_SERVERS = `
select pg_catalog.quote_ident(srvname) as object from pg_catalog.pg_foreign_server order by 1`;

/** Tablespaces of user relations that are not the database's default. */
export const TABLESPACES_IN_USE = `
select pg_catalog.quote_ident(s.spcname) as object, count(*)::int as relations
from pg_catalog.pg_tablespace s join pg_catalog.pg_class c on c.reltablespace = s.oid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where s.spcname !~ '^pg_' and n.nspname !~ '^pg_catalog$' group by 1 order by 1`;

/** Sequences whose position the role named $1 cannot read: the server then shows NULL, as for one never used. */
export const UNREADABLE_SEQUENCES = `
select pg_catalog.format('%I.%I', n.nspname, c.relname) as object, pg_catalog.quote_ident(n.nspname) as schema
${RELATION} join pg_catalog.pg_roles r on r.rolname = $1
where case when c.relkind = 'S' and ${USER_NAMESPACE}
           then not (pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
                     and pg_catalog.has_sequence_privilege(r.oid, c.oid, 'SELECT'))
           else false end order by 1`;
