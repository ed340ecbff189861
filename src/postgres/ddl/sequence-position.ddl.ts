import { identifier, literal } from '../quoting.js';
import { statement, type Statement } from './statement.js';

/** Where a sequence is to stand. */
export interface SequencePosition {
  schema: string;
  name: string;
  /** Decimal text. */
  lastValue: string;
  isCalled: boolean;
}

/** A statement of thousands of rows is no longer readable, and holds a lock on each sequence until it ends. */
const PER_STATEMENT = 500;

/**
 * Sets sequences, one row of VALUES each; answers the quoted names of those it set. Without `backwards` one whose next
 * value by then is as far or further, in the direction it counts, is left alone. A sequence that is gone is left out.
 * What setval did stays, also when its transaction is rolled back.
 */
export function setSequencePositions(
  positions: readonly SequencePosition[],
  { backwards = false }: { backwards?: boolean } = {},
): Statement[] {
  const statements: Statement[] = [];
  for (let at = 0; at < positions.length; at += PER_STATEMENT) {
    statements.push(
      statement(
        setPositions(positions.slice(at, at + PER_STATEMENT), backwards),
        'ROW EXCLUSIVE on each sequence: does not block nextval; not undone by a rollback',
        {
          effect: `Moves up to ${Math.min(PER_STATEMENT, positions.length - at)} sequences${backwards ? ', also backwards: values may be handed out twice' : ', none backwards'}.`,
        },
      ),
    );
  }
  return statements;
}

function setPositions(positions: readonly SequencePosition[], backwards: boolean): string {
  const rows = positions.map(
    ({ schema, name, lastValue, isCalled }) =>
      `(${literal(identifier(schema, name))}, ${literal(lastValue)}::int8, ${String(isCalled)})`,
  );
  // Of a sequence whose value was not handed out yet pg_sequence_last_value tells nothing, but its own row does.
  const row = `pg_catalog.query_to_xml(pg_catalog.format('select last_value from %s', q.sequence), false, false, '')`;
  const further = `
 cross join lateral (
         select coalesce(pg_catalog.pg_sequence_last_value(s.seqrelid)::numeric + s.seqincrement,
                         pg_catalog.substring(${row}::text, '<last_value>(-?[0-9]+)<')::numeric) as held,
                q.value::numeric + case when q.called then s.seqincrement else 0 end as wanted
       ) as next
 where case when s.seqincrement > 0 then next.held < next.wanted else next.held > next.wanted end`;
  return `select q.sequence, pg_catalog.setval(s.seqrelid::pg_catalog.regclass, q.value, q.called)::text as value
  from (values
         ${rows.join(',\n         ')}
       ) as q(sequence, value, called)
  join pg_catalog.pg_sequence s on s.seqrelid = pg_catalog.to_regclass(q.sequence)${backwards ? '' : further}`;
}
