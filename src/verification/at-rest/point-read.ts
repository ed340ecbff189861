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
  hash: bigint;
  keyHash: bigint;
  /** False for a publisher's row that the row filter leaves out. */
  published: boolean;
}

/** One key in both forms: as the publisher prints it, and as the subscriber would. */
export interface TouchedKey {
  publisher: string[];
  subscriber: string[];
}

const KEYS_PER_STATEMENT = 10_000;

/** Reads the rows with those keys through the table's index, in whatever snapshot the session holds. */
export async function readByKeys(
  session: Session,
  shape: TableShape,
  side: Side,
  keys: readonly TouchedKey[],
): Promise<ReadRow[]> {
  const rows: ReadRow[] = [];
  for (let start = 0; start < keys.length; start += KEYS_PER_STATEMENT) {
    rows.push(...(await readBatch(session, shape, side, keys.slice(start, start + KEYS_PER_STATEMENT))));
  }
  return rows;
}

async function readBatch(session: Session, shape: TableShape, side: Side, keys: TouchedKey[]): Promise<ReadRow[]> {
  const wanted = new Map(keys.map((key) => [JSON.stringify(key[side]), key[side]]));
  const parameters = shape.key!.map((_, position) => [...wanted.values()].map((key) => key[position]));
  const rows = await session.rows<{
    key: string[];
    values: (string | null)[];
    hash: string;
    keyHash: string;
    published: boolean;
  }>(pointReadSql(shape, side), parameters);
  return rows.map((row) => ({ ...row, hash: BigInt(row.hash), keyHash: BigInt(row.keyHash) }));
}

export function pointReadSql(shape: TableShape, side: Side): string {
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
  return (
    `select ${textArray(key, side)} as key, ${textArray(shape.columns, side)} as "values", ` +
    `(${rowHash(shape.columns, side, shape.transcode)})::text as hash, ` +
    `(${rowHash(key, side, shape.transcode)})::text as "keyHash", ${filter} as published ` +
    `from rows from (${parameters}) k(${aliases.join(', ')}) ` +
    `join ${fromItem(shape, side)} on ${conditions.join(' and ')}`
  );
}

/** The columns' output texts, in the subscriber's form, as one text[]. */
export function textArray(columns: readonly ComparedColumn[], side: Side): string {
  const texts = columns.map((column) => outputText(comparedValue(column, side, columnReference(column))));
  return `array[${texts.join(', ')}]::text[]`;
}
