import { literal } from '../../postgres/quoting.js';
import type { Session } from '../../postgres/session.js';
import type { SnapshotSessions } from './snapshot-sessions.js';
import type { TouchedKey } from './point-read.js';
import { hashOfValues, rowHash } from './row-hash.js';
import {
  castAsApplied,
  columnReference,
  fromItem,
  outputText,
  type ComparedColumn,
  type KeySlice,
  type Side,
  type TableShape,
} from './table-shape.js';

/** The condition on the table's rows (alias `t`), as SQL. */
export function sliceCondition(shape: TableShape, side: Side, slice: KeySlice): string {
  const key = shape.key!;
  if (slice.kind === 'class') return classCondition(rowHash(key, side, shape.transcode), slice);
  return rangeCondition(key, key.map(columnReference), slice);
}

/** Which of the keys, in their order, are within the slice. Neither side needs to have a row of them. */
export async function withinSlice(
  sessions: SnapshotSessions,
  shape: TableShape,
  slice: KeySlice,
  keys: readonly TouchedKey[],
): Promise<boolean[]> {
  const key = shape.key!;
  const names = key.map((_, position) => `k.c${position}`);
  if (slice.kind === 'range') {
    // Of text only such keys are ordered alike whose collation is that of bytes.
    const typed = key.map((column, position) => {
      const value = `(${names[position]!})::${orderedType(column)}`;
      return orderedType(column) === 'text' ? `(${value} collate pg_catalog."C")` : value;
    });
    const condition = rangeCondition(key, typed, slice);
    return conditionOf(sessions.publisher, key, condition, keys, 'publisher');
  }
  const values = key.map((column, position) => {
    const text = names[position]!;
    return column.conversion === 'text' ? text : `(${castAsApplied(column, text)})`;
  });
  const condition = classCondition(hashOfValues(key, values, shape.transcode), slice);
  return conditionOf(sessions.subscriber, key, condition, keys, 'subscriber');
}

/**
 * The key at which a range of `rows` rows from `from` on ends, as the publisher's snapshot has them; null: it has no
 * more rows than that.
 */
export async function boundaryAfter(
  publisher: Session,
  shape: TableShape,
  from: readonly string[] | null,
  rows: number,
): Promise<string[] | null> {
  const key = shape.key!;
  const references = key.map(columnReference);
  const [found] = await publisher.rows<{ key: string[] }>(
    `select array[${references.map(outputText).join(', ')}]::text[] as key from ${fromItem(shape, 'publisher')} ` +
      `where ${rangeCondition(key, references, { kind: 'range', from, to: null })} ` +
      `order by ${references.join(', ')} offset ${rows} limit 1`,
  );
  return found?.key ?? null;
}

const KEYS_PER_STATEMENT = 10_000;

async function conditionOf(
  session: Session,
  key: readonly ComparedColumn[],
  condition: string,
  keys: readonly TouchedKey[],
  side: Side,
): Promise<boolean[]> {
  const parameters = key.map((_, position) => `pg_catalog.unnest($${position + 1}::text[])`).join(', ');
  const columns = key.map((_, position) => `c${position}`).join(', ');
  const sql =
    `select (${condition}) is true as within from rows from (${parameters}) with ordinality k(${columns}, n) ` +
    `order by k.n`;
  const within: boolean[] = [];
  for (let start = 0; start < keys.length; start += KEYS_PER_STATEMENT) {
    const batch = keys.slice(start, start + KEYS_PER_STATEMENT);
    const found = await session.rows<{ within: boolean }>(
      sql,
      key.map((_, position) => batch.map((each) => each[side][position])),
    );
    for (const row of found) within.push(row.within);
  }
  return within;
}

/** Row comparison, for which one index serves; its operators are the built-in types', which sessions find by path. */
function rangeCondition(
  key: readonly ComparedColumn[],
  values: readonly string[],
  { from, to }: Extract<KeySlice, { kind: 'range' }>,
): string {
  const compared = (operator: string, bound: readonly string[]) => {
    const bounds = key.map((column, position) => `${literal(bound[position]!)}::${orderedType(column)}`);
    return `(${values.join(', ')}) ${operator} (${bounds.join(', ')})`;
  };
  const conditions = [...(from === null ? [] : [compared('>=', from)]), ...(to === null ? [] : [compared('<', to)])];
  return conditions.length === 0 ? 'true' : conditions.join(' and ');
}

/** Without domains and modifiers: a boundary must stay what it is. Indexes of all integers are searched with `int8`. */
function orderedType({ builtinType }: ComparedColumn): string {
  if (['int2', 'int4', 'int8'].includes(builtinType!)) return 'int8';
  return builtinType === 'varchar' ? 'text' : `pg_catalog.${builtinType!}`;
}

function classCondition(hash: string, { classes, index }: Extract<KeySlice, { kind: 'class' }>): string {
  return `((${hash}) & ${classes - 1}) = ${index}`;
}
