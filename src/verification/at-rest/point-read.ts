import { identifier } from '../../postgres/quoting.js';
import type { Session } from '../../postgres/session.js';
import { rowHash } from './row-hash.js';
import {
  columnReference,
  comparedValue,
  fromItem,
  outputText,
  type ComparedColumn,
  type Side,
  type TableShape,
} from './table-shape.js';

/** A row as one side has it; values and key in the subscriber's form. */
export interface ReadRow {
  key: string[];
  values: (string | null)[];
  /** False for a publisher's row that the row filter leaves out. */
  published: boolean;
}

/** A row with what it adds to its table's hash. */
export interface HashedRow extends ReadRow {
  hash: bigint;
  keyHash: bigint;
}

/** One key in both forms: as the publisher prints it, and as the subscriber would. */
export interface TouchedKey {
  publisher: string[];
  subscriber: string[];
}

const KEYS_PER_STATEMENT = 10_000;

/** Reads the rows with those keys through the table's index, in whatever snapshot the session holds. */
export type PointReader<Row extends ReadRow> = (
  session: Session,
  shape: TableShape,
  side: Side,
  keys: readonly TouchedKey[],
) => Promise<Row[]>;

/** Without hashes, which cost the server more than the rest of such a statement. */
export const readByKeys: PointReader<ReadRow> = async (session, shape, side, keys) => {
  return inBatches(keys, (batch) =>
    session.rows<Row<ReadRow>>(pointReadSql(shape, side), parameters(shape, side, batch)),
  );
};

export const readHashedByKeys: PointReader<HashedRow> = async (session, shape, side, keys) => {
  const sql = pointReadSql(shape, side, [
    `(${rowHash(shape.columns, side, shape.transcode)})::text as hash`,
    `(${rowHash(shape.key!, side, shape.transcode)})::text as "keyHash"`,
  ]);
  const rows = await inBatches(keys, (batch) =>
    session.rows<Row<ReadRow & { hash: string; keyHash: string }>>(sql, parameters(shape, side, batch)),
  );
  return rows.map((row) => ({ ...row, hash: BigInt(row.hash), keyHash: BigInt(row.keyHash) }));
};

/** A row with the place and the transaction that wrote it: `tableoid ctid xmin`. Whoever writes the row changes them. */
export interface VersionedRow extends ReadRow {
  version: string;
}

const VERSION = `t.tableoid::text || ' ' || t.ctid::text || ' ' || t.xmin::text as version`;

export const readVersionedByKeys: PointReader<VersionedRow> = async (session, shape, side, keys) => {
  const sql = pointReadSql(shape, side, [VERSION]);
  return inBatches(keys, (batch) => session.rows<Row<VersionedRow>>(sql, parameters(shape, side, batch)));
};

type Row<T> = T & Record<string, unknown>;

async function inBatches<T>(keys: readonly TouchedKey[], read: (batch: TouchedKey[]) => Promise<T[]>): Promise<T[]> {
  const rows: T[] = [];
  for (let start = 0; start < keys.length; start += KEYS_PER_STATEMENT) {
    for (const row of await read(keys.slice(start, start + KEYS_PER_STATEMENT))) rows.push(row);
  }
  return rows;
}

/** One array for each column of the key; a key that is asked for twice is read once. */
function parameters(shape: TableShape, side: Side, keys: TouchedKey[]): (string | undefined)[][] {
  const wanted = new Map(keys.map((key) => [JSON.stringify(key[side]), key[side]]));
  return shape.key!.map((_, position) => [...wanted.values()].map((key) => key[position]));
}

function pointReadSql(shape: TableShape, side: Side, further: readonly string[] = []): string {
  const key = shape.key!;
  const parameters = key.map((_, position) => `pg_catalog.unnest($${position + 1}::text[])`).join(', ');
  const aliases = key.map((_, position) => identifier(`lockstep key ${position}`));
  const conditions = key.map((column, position) => {
    const reference = columnReference(column);
    const wanted = `k.${aliases[position]!}`;
    const { type, equalitySchema } = column[side];
    // The first comparison finds the row by index; the second is exact where the type's equality is not (1.0 = 1.00).
    return (
      `${reference} operator(${identifier(equalitySchema)}.=) ${wanted}::${type} ` +
      `and (${outputText(reference)}) collate pg_catalog."C" = ${wanted} collate pg_catalog."C"`
    );
  });
  const filter = side === 'publisher' && shape.rowFilter !== null ? `(${shape.rowFilter}) is true` : 'true';
  const columns = [
    `${textArray(key, side)} as key`,
    `${textArray(shape.columns, side)} as "values"`,
    `${filter} as published`,
    ...further,
  ];
  return (
    `select ${columns.join(', ')} ` +
    `from rows from (${parameters}) k(${aliases.join(', ')}) ` +
    `join ${fromItem(shape, side)} on ${conditions.join(' and ')}`
  );
}

/** The columns' output texts, in the subscriber's form, as one text[]. */
export function textArray(columns: readonly ComparedColumn[], side: Side): string {
  const texts = columns.map((column) => outputText(comparedValue(column, side, columnReference(column))));
  return `array[${texts.join(', ')}]::text[]`;
}
