import { identifier } from '../../postgres/quoting.js';

export type Side = 'publisher' | 'subscriber';

export interface TableName {
  schema: string;
  name: string;
}

export interface ColumnSide {
  /** As SQL writes it with an empty search path, e.g. `numeric(10,2)` or `sales.order_state`. */
  type: string;
  /** The schema of the `=` operator by which an index on the column is searched. */
  equalitySchema: string;
}

/**
 * How the publisher's value is brought into the form it has on the subscriber. `none`: the types are the same.
 * `cast`: the output text is read as the subscriber's type (below any domain), as apply does. `text`: both sides are
 * compared by their output text, because the subscriber's type does not exist on the publisher.
 */
export type Conversion = 'none' | 'cast' | 'text';

export interface ComparedColumn {
  name: string;
  publisher: ColumnSide;
  subscriber: ColumnSide;
  conversion: Conversion;
  /** GENERATED ALWAYS AS IDENTITY on the subscriber, where an UPDATE by SQL may not give it a value. */
  identityAlways: boolean;
  /** The subscriber's type below any domains, with the modifier a domain gives it, e.g. `numeric(10,2)`. */
  baseType: string;
  /** Name in pg_catalog of the subscriber's type below any domains; null for types that are not built in. */
  builtinType: string | null;
}

/**
 * The rows of a table that a chunk compares, told by their key, so that both sides mean the same rows. `range`: from a
 * key on (null: the first) up to one that is no longer meant (null: the last), in the publisher's form. `class`: one of
 * so many classes, a power of two, into which the hash of the key divides the rows, whatever their order.
 */
export type KeySlice =
  | { kind: 'range'; from: readonly string[] | null; to: readonly string[] | null }
  | { kind: 'class'; classes: number; index: number };

/** Everything needed to read one table of a link on both sides so that equal rows look equal. */
export interface TableShape extends TableName {
  /** The published columns, in the publisher's order. */
  columns: readonly ComparedColumn[];
  /** Columns that tell rows apart and that the stream names for each change; null: rows are a multiset. */
  key: readonly ComparedColumn[] | null;
  /** Of the table on the publisher and on the subscriber: one that is dropped and made again has another. */
  oids: readonly [string, string];
  /** Both sides order the key alike and have an index in that order, with no NULL in it. */
  orderedKey: boolean;
  /** The part of it that is compared; null: all of it. */
  slice: KeySlice | null;
  /** A partitioned table is read with its partitions, any other one without its inheritance children. */
  publisherOnly: boolean;
  subscriberOnly: boolean;
  /** The publications' row filters, as one condition on the publisher's rows; null: all rows. */
  rowFilter: string | null;
  /** The databases' encodings differ, so text is compared as UTF-8. */
  transcode: boolean;
  /** The publisher's estimate; for progress only. */
  estimatedRows: number;
  bytes: number;
}

/** A table of the link about which nothing can be said, and why. */
export interface NotComparable extends TableName {
  reason: string;
}

export function tableId(table: TableName): string {
  return identifier(table.schema, table.name);
}

/** The `from` item of the table on one side, under the alias `t`. */
export function fromItem(shape: TableShape, side: Side): string {
  const only = side === 'publisher' ? shape.publisherOnly : shape.subscriberOnly;
  return `${only ? 'only ' : ''}${tableId(shape)} t`;
}

/** The text a type's output function gives, which is what the stream carries. A cast to text may differ (bpchar, bool). */
export function outputText(expression: string): string {
  // num_nulls, because `is null` is also true of a composite value whose fields are all null.
  return `case pg_catalog.num_nulls(${expression}) when 0 then pg_catalog.format('%s', ${expression}) end`;
}

/** The value of a column in the form it has on the subscriber; `reference` is the column on its own side. */
export function comparedValue(column: ComparedColumn, side: Side, reference: string): string {
  switch (column.conversion) {
    case 'none':
      return reference;
    case 'text':
      return outputText(reference);
    case 'cast':
      return side === 'subscriber' ? reference : `(${castAsApplied(column, outputText(reference))})`;
  }
}

/**
 * The text as the subscriber's type reads it. A cast cuts off what is too long, where apply would fail: there the value
 * stays whole, so that it differs from whatever the subscriber has.
 */
export function castAsApplied({ baseType, builtinType }: ComparedColumn, text: string): string {
  const cast = `(${text})::${baseType}`;
  if (builtinType !== 'varchar' && builtinType !== 'bpchar') return cast;
  const trimmed = (value: string) => `pg_catalog.rtrim(${value}, ' ') collate pg_catalog."C"`;
  return `case when ${trimmed(text)} = ${trimmed(`(${cast})::text`)} then ${cast} else (${text})::pg_catalog.${builtinType} end`;
}

export function columnReference(column: ComparedColumn): string {
  return `t.${identifier(column.name)}`;
}
