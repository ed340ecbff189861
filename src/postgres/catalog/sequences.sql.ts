import { PG18 } from '../../shared/server-version.js';

/**
 * Every sequence of the database but temporary ones and those of Lockstep's own schema. `readable` is false where the
 * login may not read the values: pg_sequences would show such a sequence as one that was never used.
 */
export const listSequences = `
  select c.oid::text as oid, n.nspname::text as schema, c.relname::text as name,
         pg_catalog.format_type(s.seqtypid, null) as data_type,
         c.relpersistence = 'u' as unlogged,
         pg_catalog.has_schema_privilege(n.oid, 'USAGE') and pg_catalog.has_sequence_privilege(c.oid, 'SELECT') as readable
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_sequence s on s.seqrelid = c.oid
   where c.relkind = 'S' and c.relpersistence <> 't'
     and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'lockstep')
   order by n.nspname, c.relname`;

/**
 * The values of the sequences whose oids are \`$1\`. The views show no value for a sequence that was set but not yet
 * used, so up to 17 each sequence's own row is read: by one statement, as thousands of unions exhaust the server's stack.
 */
export function readSequenceValues(versionNum: number): string {
  if (versionNum >= PG18) {
    return `
      select o.oid::text as oid, d.last_value::text as last_value, d.is_called
        from pg_catalog.unnest($1::oid[]) as o(oid)
       cross join lateral pg_catalog.pg_get_sequence_data(o.oid::pg_catalog.regclass) as d`;
  }
  return `
    select o.oid::text as oid,
           (pg_catalog.xpath('/row/last_value/text()', x.value))[1]::text as last_value,
           (pg_catalog.xpath('/row/is_called/text()', x.value))[1]::text::bool as is_called
      from pg_catalog.unnest($1::oid[]) as o(oid)
      join pg_catalog.pg_class c on c.oid = o.oid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     cross join lateral pg_catalog.query_to_xml(
       pg_catalog.format('select last_value, is_called from %I.%I', n.nspname, c.relname), false, true, '') as x(value)`;
}

/**
 * Sets sequences by name: \`$1\` schemas, \`$2\` names, \`$3\` values, \`$4\` whether each value was handed out. Names a
 * sequence that is not there fail the whole statement.
 */
export const setSequences = `
  select pg_catalog.count(pg_catalog.setval(pg_catalog.format('%I.%I', q.schema, q.name)::pg_catalog.regclass, q.value, q.called))
    from unnest($1::text[], $2::text[], $3::int8[], $4::bool[]) as q(schema, name, value, called)`;
