import { identifier, literal } from '../../postgres/quoting.js';
import {
  columnReference,
  type ComparedColumn,
  fromItem,
  outputText,
  tableId,
  type TableShape,
} from '../at-rest/table-shape.js';
import type { DifferingRow } from './judge-keys.js';

/** A statement with its values apart: the text holds no value of a row, so it may be logged and audited. */
export interface GuardedStatement {
  sql: string;
  values: (string | null)[];
}

/** Writes a value into a statement. */
type Write = (value: string | null) => string;

/**
 * The statement that makes the subscriber's row what the publisher's is. What it changes or deletes it finds by place,
 * by the transaction that wrote it, by key and by the text of every published column, so that it hits nothing once
 * anybody has written the row; what it inserts it inserts only where no row has an equal key.
 */
export function repairStatement(shape: TableShape, row: DifferingRow): GuardedStatement {
  const values: (string | null)[] = [];
  const sql = compose(shape, row, (value) => `$${values.push(value)}`);
  return { sql, values };
}

/** The same as one text, to be read and run by hand under the settings of `REPAIR_SETTINGS`. */
export function repairSql(shape: TableShape, row: DifferingRow): string {
  return compose(shape, row, (value) => (value === null ? 'null' : literal(value)));
}

/** By which values print as they were read; without them a guard of a statement run by hand would hit nothing. */
export const REPAIR_SETTINGS = [
  "set datestyle = 'ISO, MDY'",
  'set intervalstyle = postgres',
  'set extra_float_digits = 1',
  "set timezone = 'UTC'",
  'set bytea_output = hex',
  "set lc_monetary = 'C'",
  'set search_path = pg_catalog',
  'set client_encoding = UTF8',
  'set standard_conforming_strings = on',
  'set xmloption = content',
];

/** Why no statement can make the row right; null where one can. */
export function unrepairable(shape: TableShape, row: DifferingRow): string | null {
  if (row.kind !== 'different') return null;
  const fixed = changedColumns(shape, row).filter(({ column }) => column.identityAlways);
  if (fixed.length === 0) return null;
  const names = fixed.map(({ column }) => `"${column.name}"`).join(', ');
  return `${names} is GENERATED ALWAYS AS IDENTITY on the subscriber, so an UPDATE cannot give it the publisher's value`;
}

function compose(shape: TableShape, row: DifferingRow, write: Write): string {
  switch (row.kind) {
    case 'missing': {
      const names = shape.columns.map(({ name }) => identifier(name)).join(', ');
      const values = row.publisher.map((value) => write(value)).join(', ');
      return (
        `insert into ${tableId(shape)} (${names}) overriding system value select ${values} ` +
        `where not exists (select from ${fromItem(shape, 'subscriber')} where ${equalKey(shape, row.key, write)})`
      );
    }
    case 'extra':
      return `delete from ${fromItem(shape, 'subscriber')} where ${unchanged(shape, row, write)}`;
    case 'different': {
      const set = changedColumns(shape, row)
        .map(({ column, value }) => `${identifier(column.name)} = ${write(value)}`)
        .join(', ');
      return `update ${fromItem(shape, 'subscriber')} set ${set} where ${unchanged(shape, row, write)}`;
    }
  }
}

function changedColumns(
  shape: TableShape,
  { publisher, subscriber }: DifferingRow & { kind: 'different' },
): { column: ComparedColumn; value: string | null }[] {
  return shape.columns.flatMap((column, position) => {
    const value = publisher[position]!;
    return value === subscriber[position] ? [] : [{ column, value }];
  });
}

/** By the operator that an index on the key is searched by: the row is found soon, and no equal key is overlooked. */
function equalKey(shape: TableShape, key: readonly string[], write: Write): string {
  return shape
    .key!.map((column, position) => {
      const { type, equalitySchema } = column.subscriber;
      return `${columnReference(column)} operator(${identifier(equalitySchema)}.=) ${write(key[position]!)}::${type}`;
    })
    .join(' and ');
}

/**
 * The very version of the row that was read. The values alone would not do: a row that applying has meanwhile given
 * the same values again is another version of it, and right.
 */
function unchanged(
  shape: TableShape,
  row: { key: readonly string[]; subscriber: readonly (string | null)[]; version: string },
  write: Write,
): string {
  const [tableoid, ctid, xmin] = row.version.split(' ');
  return [
    equalKey(shape, row.key, write),
    `t.tableoid = ${write(tableoid!)}::oid and t.ctid = ${write(ctid!)}::tid and t.xmin = ${write(xmin!)}::xid`,
    ...shape.columns.map((column, position) => {
      const text = `(${outputText(columnReference(column))}) collate pg_catalog."C"`;
      const value = row.subscriber[position]!;
      return value === null ? `${text} is null` : `${text} = ${write(value)}::text collate pg_catalog."C"`;
    }),
  ].join(' and ');
}
