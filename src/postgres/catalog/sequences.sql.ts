import { PG18 } from '../../shared/server-version.js';

/**
 * Every sequence of the database but temporary ones, those of Lockstep's own schema, and an extension's own: these belong
 * to its rows, which are not carried either, and another version of it may have others. What the extension marks as its
 * user's data (`extconfig`) counts. `readable` is false where the
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
     and not exists (select from pg_catalog.pg_depend d join pg_catalog.pg_extension e on e.oid = d.refobjid
                      where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
                        and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.deptype = 'e'
                        and c.oid <> all (coalesce(e.extconfig, '{}'::oid[])))
   order by n.nspname, c.relname`;

/**
 * Reads the values of sequences in one statement of the server's own procedural language, which leaves them in a setting
 * of the session for `readSequenceValues` to return: half the time of reading each row through query_to_xml, and unions
 * of thousands take longer still and exhaust the server's stack. Needed up to 17, where only each sequence's own row
 * tells a sequence that was set but not yet used from one that never was. A `do` takes no parameters: `oids` are digits.
 */
export function collectSequenceValues(oids: string[]): string {
  const list = oids.filter((oid) => /^\d+$/.test(oid)).join(',');
  return `do $lockstep$
    declare
      sequence record;
      found record;
      lines text[] := '{}';
    begin
      for sequence in
        select c.oid, pg_catalog.format('select last_value, is_called from %I.%I', n.nspname, c.relname) as query
          from pg_catalog.unnest('{${list}}'::oid[]) as o(oid)
          join pg_catalog.pg_class c on c.oid = o.oid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      loop
        execute sequence.query into found;
        lines := lines || (sequence.oid || ' ' || found.last_value || ' ' || found.is_called);
      end loop;
      perform pg_catalog.set_config('lockstep.sequences', pg_catalog.array_to_string(lines, ','), false);
    end $lockstep$`;
}

/** The values of the sequences just collected (up to 17), or of those whose oids are `$1` (18 and newer). */
export function readSequenceValues(versionNum: number): string {
  if (versionNum >= PG18) {
    return `
      select o.oid::text as oid, d.last_value::text as last_value, d.is_called
        from pg_catalog.unnest($1::oid[]) as o(oid)
       cross join lateral pg_catalog.pg_get_sequence_data(o.oid::pg_catalog.regclass) as d`;
  }
  return `
    select pg_catalog.split_part(line, ' ', 1) as oid, pg_catalog.split_part(line, ' ', 2) as last_value,
           pg_catalog.split_part(line, ' ', 3)::bool as is_called
      from pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('lockstep.sequences'), ',')) as line`;
}

/**
 * Sets sequences by name: `$1` schemas, `$2` names, `$3` values, `$4` whether each value was handed out. Names a
 * sequence that is not there fail the whole statement.
 */
export const setSequences = `
  select pg_catalog.count(pg_catalog.setval(pg_catalog.format('%I.%I', q.schema, q.name)::pg_catalog.regclass, q.value, q.called))
    from unnest($1::text[], $2::text[], $3::int8[], $4::bool[]) as q(schema, name, value, called)`;
