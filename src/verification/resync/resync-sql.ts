import { identifier } from '../../postgres/quoting.js';
import { UNCHANGED } from '../../postgres/replication/streamed-transaction.js';
import { Problem } from '../../problems/problem.js';
import { keyPositions, type RowChange, type RowValues } from '../at-rest/row-changes.js';
import { columnReference, fromItem, tableId, type TableShape } from '../at-rest/table-shape.js';

/* The statements by which a subscriber's table is written afresh. */

export interface Bound {
  sql: string;
  values: (string | null)[];
}

export function copyOutSql(shape: TableShape): string {
  const where = shape.rowFilter === null ? '' : ` where (${shape.rowFilter})`;
  return `copy (select ${shape.columns.map(columnReference).join(', ')} from ${fromItem(shape, 'publisher')}${where}) to stdout`;
}

/** Not TRUNCATE: whoever reads the table goes on seeing the rows of before until all are new. */
export function emptySql(shape: TableShape): string {
  return `delete from ${fromItem(shape, 'subscriber')}`;
}

export function copyInSql(shape: TableShape): string {
  return `copy ${tableId(shape)} (${columnList(shape)}) from stdin`;
}

/** Null for an UPDATE that sends nothing. Rejects (CONFLICT, retryable) what cannot be done without a key. */
export function changeSql(shape: TableShape, change: RowChange): Bound | null {
  switch (change.kind) {
    case 'insert': {
      if (change.row.includes(UNCHANGED)) {
        throw undone(`a row of ${tableId(shape)} came into what is published without its long values`);
      }
      const places = change.row.map((_value, index) => `$${index + 1}`).join(', ');
      const sql = `insert into ${tableId(shape)} (${columnList(shape)}) overriding system value values (${places})`;
      return { sql, values: change.row.map(valueOf) };
    }
    case 'delete': {
      const where = whereKey(shape, change.old, 0);
      return { sql: `delete from ${fromItem(shape, 'subscriber')} where ${where.sql}`, values: where.values };
    }
    case 'update': {
      const sent = shape.columns.flatMap((column, position) =>
        change.row[position] === UNCHANGED || staysIdentity(shape, change, position)
          ? []
          : [{ column, value: valueOf(change.row[position]!) }],
      );
      if (sent.length === 0) return null;
      const set = sent.map(({ column }, index) => `${identifier(column.name)} = $${index + 1}`).join(', ');
      const where = whereKey(shape, change.old ?? change.row, sent.length);
      return {
        sql: `update ${fromItem(shape, 'subscriber')} set ${set} where ${where.sql}`,
        values: [...sent.map(({ value }) => value), ...where.values],
      };
    }
  }
}

/** Whether the column may be left out of an UPDATE, which could not set it. Rejects where it is to get another value. */
function staysIdentity(shape: TableShape, change: RowChange & { kind: 'update' }, position: number): boolean {
  const { identityAlways, name } = shape.columns[position]!;
  if (!identityAlways) return false;
  const isKey = keyPositions(shape).includes(position);
  const before = change.old === null ? isKey && change.row : (isKey || change.oldIsWhole) && change.old;
  if (before && before[position] === change.row[position]) return true;
  throw undone(
    `${identifier(name)} of ${tableId(shape)}, GENERATED ALWAYS AS IDENTITY on the subscriber, may have been updated`,
  );
}

function undone(detail: string): Problem {
  return new Problem('CONFLICT', detail, {
    hint: 'Try again while nothing updates rows of the table.',
    retryable: true,
  });
}

function whereKey(shape: TableShape, row: RowValues, after: number): Bound {
  const positions = keyPositions(shape);
  const values = positions.map((position) => row[position]);
  if (positions.length === 0 || values.some((value) => typeof value !== 'string')) {
    throw new Problem('CONFLICT', `rows of ${tableId(shape)} were changed meanwhile and have no key to find them by`, {
      hint: 'Try again while nothing updates or deletes rows of the table, or give it a primary key.',
      retryable: true,
    });
  }
  const conditions = positions.map((position, index) => {
    const column = shape.columns[position]!;
    const equals = `operator(${identifier(column.subscriber.equalitySchema)}.=)`;
    return `${columnReference(column)} ${equals} $${after + index + 1}`;
  });
  return { sql: conditions.join(' and '), values: values as string[] };
}

function columnList(shape: TableShape): string {
  return shape.columns.map(({ name }) => identifier(name)).join(', ');
}

function valueOf(value: RowValues[number]): string | null {
  return typeof value === 'string' ? value : null;
}
