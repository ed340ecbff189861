import {
  UNCHANGED,
  type Change,
  type ColumnValue,
  type Relation,
  type StreamedTransaction,
  type Tuple,
} from '../../postgres/replication/streamed-transaction.js';
import type { TableShape } from './table-shape.js';

/** Column values of one row in the order of `TableShape.columns`, as output text. */
export type RowValues = readonly ColumnValue[];

/** What one streamed change does to the rows of a table. */
export type RowChange =
  | { kind: 'insert'; row: RowValues }
  | { kind: 'update'; old: RowValues | null; oldIsWhole: boolean; row: RowValues }
  | { kind: 'delete'; old: RowValues; oldIsWhole: boolean };

/** The table cannot be judged in this pair of snapshots and must be read again at another one. */
export class TableMoved extends Error {
  constructor(readonly reason: string) {
    super(reason);
    this.name = 'TableMoved';
  }
}

/**
 * The changes that `transactions` make to one table, in commit order. Throws TableMoved where a TRUNCATE or a changed
 * definition makes row images incomparable with the snapshots.
 */
export function rowChanges(transactions: readonly StreamedTransaction[], shape: TableShape): RowChange[] {
  const changes: RowChange[] = [];
  const reader = new ChangeReader(shape);
  for (const transaction of transactions) {
    if (transaction.overflow) throw new TableMoved('a transaction was too large to be followed row by row');
    for (const change of transaction.changes) {
      if (change.kind === 'truncate') {
        if (change.relations.some((relation) => isOf(relation, shape))) {
          throw new TableMoved('the table was truncated while it was being compared');
        }
      } else if (isOf(change.relation, shape)) {
        changes.push(reader.read(change));
      }
    }
  }
  return changes;
}

export function isOf(relation: Relation, shape: { schema: string; name: string }): boolean {
  return relation.name === shape.name && relation.schema === shape.schema;
}

export type StreamedRowChange = Exclude<Change, { kind: 'truncate' }>;

/** Reads streamed changes of one table, bringing tuples from the relation's column order into the shape's. */
export class ChangeReader {
  private readonly known = new WeakMap<Relation, number[]>();

  constructor(
    private readonly shape: TableShape,
    /** The subscriber's table may have columns of its own. */
    private readonly furtherColumns: 'refused' | 'ignored' = 'refused',
  ) {}

  /** Throws TableMoved when the relation's columns are not the shape's. */
  read(change: StreamedRowChange): RowChange {
    const { relation } = change;
    switch (change.kind) {
      case 'insert':
        return { kind: 'insert', row: this.order(relation, change.new) };
      case 'update':
        return {
          kind: 'update',
          old: change.old && this.order(relation, change.old.tuple),
          oldIsWhole: change.old?.kind === 'full',
          row: this.order(relation, change.new),
        };
      case 'delete': {
        const { kind, tuple } = change.old;
        return { kind: 'delete', old: this.order(relation, tuple), oldIsWhole: kind === 'full' };
      }
    }
  }

  private order(relation: Relation, tuple: Tuple): RowValues {
    return this.positions(relation).map((position) => tuple[position] ?? null);
  }

  private positions(relation: Relation): number[] {
    let positions = this.known.get(relation);
    if (!positions) {
      const byName = new Map(relation.columns.map((column, position) => [column.name, position]));
      positions = this.shape.columns.map((column) => byName.get(column.name) ?? -1);
      const further = this.furtherColumns === 'refused' && byName.size !== positions.length;
      if (positions.includes(-1) || further) {
        throw new TableMoved('the columns of the table changed while it was being compared');
      }
      this.known.set(relation, positions);
    }
    return positions;
  }
}

/**
 * The rows that a change of a table without a key takes away and brings, both whole. Throws TableMoved where the
 * stream does not carry them whole.
 */
export function wholeRows(change: RowChange): { gone: (string | null)[] | null; come: (string | null)[] | null } {
  if (change.kind === 'insert') return { gone: null, come: whole(change.row, null) };
  if (!change.old || !change.oldIsWhole) throw notWhole();
  const gone = whole(change.old, null);
  return { gone, come: change.kind === 'delete' ? null : whole(change.row, gone) };
}

function whole(row: RowValues, old: (string | null)[] | null): (string | null)[] {
  return row.map((value, position) => {
    if (value !== UNCHANGED) return value;
    if (!old) throw notWhole();
    return old[position]!;
  });
}

function notWhole(): TableMoved {
  return new TableMoved('the stream does not carry whole rows of a table that is compared without a key');
}

/** The key part of a row, or null where the row does not carry it whole. */
export function keyOf(row: RowValues, keyPositions: readonly number[]): string[] | null {
  const key: string[] = [];
  for (const position of keyPositions) {
    const value = row[position];
    if (typeof value !== 'string') return null;
    key.push(value);
  }
  return key;
}

export function keyPositions(shape: TableShape): number[] {
  return (shape.key ?? []).map((column) => shape.columns.indexOf(column));
}

/** A key as one string, usable in a Map. */
export function keyText(key: readonly (string | null)[]): string {
  return JSON.stringify(key);
}

/** The keys before and after a change; the same object twice when the key stays. Throws TableMoved if unknown. */
export function keysOf(
  change: RowChange,
  positions: readonly number[],
): { before: string[] | null; after: string[] | null } {
  switch (change.kind) {
    case 'insert':
      return { before: null, after: required(keyOf(change.row, positions)) };
    case 'delete':
      return { before: required(keyOf(change.old, positions)), after: null };
    case 'update': {
      const { old } = change;
      if (old === null) {
        const key = required(keyOf(change.row, positions));
        return { before: key, after: key };
      }
      const before = required(keyOf(old, positions));
      // A key column kept out of line and unchanged is sent only with the old key.
      const after = positions.map((position) =>
        change.row[position] === UNCHANGED ? old[position] : change.row[position],
      );
      return {
        before,
        after: required(
          keyOf(
            after as RowValues,
            after.map((_, index) => index),
          ),
        ),
      };
    }
  }
}

function required(key: string[] | null): string[] {
  if (!key) throw new TableMoved('the stream does not carry the key by which the table is compared');
  return key;
}
