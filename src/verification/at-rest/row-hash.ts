import { columnReference, comparedValue, outputText, type ComparedColumn, type Side } from './table-shape.js';

/** Odd and without pattern (2^64 divided by the golden ratio): spreads column numbers over all 64 bits. */
const SPREAD = 0x9e3779b97f4a7c15n;

/**
 * A 64-bit hash of one row as an SQL expression of type int8, the same on every supported version: each column's
 * value is hashed with a seed of its own, NULL is a constant of its own, and all are XOR-ed and hashed once more. Rows
 * are then added up with `sum`, never XOR-ed, so that duplicates do not cancel. docs/verification.md lists the hash of
 * each type.
 */
export function rowHash(columns: readonly ComparedColumn[], side: Side, transcode: boolean): string {
  return hashOfValues(
    columns,
    columns.map((column) => comparedValue(column, side, columnReference(column))),
    transcode,
  );
}

/** The same hash of values that are not read from the table: one expression per column, in the subscriber's form. */
export function hashOfValues(
  columns: readonly ComparedColumn[],
  expressions: readonly string[],
  transcode: boolean,
): string {
  if (columns.length === 0) return '0::int8';
  const ofColumns = columns
    .map((column, index) => {
      const seed = index + 1;
      const ofNull = BigInt.asIntN(64, BigInt(seed) * SPREAD);
      return `coalesce(${valueHash(column, expressions[index]!, seed, transcode)}, '${ofNull.toString()}'::int8)`;
    })
    .join(' # ');
  // Without this, what one wrong column adds to the sum of all rows depends on few bits of the others: the same mistake
  // in two rows would cancel once in 2^popcount of its XOR, which may be as little as 2^24.
  return textHash(`(${ofColumns})::text`, 0, false);
}

function valueHash(column: ComparedColumn, value: string, seed: number, transcode: boolean): string {
  if (column.conversion === 'text') return textHash(value, seed, transcode);
  switch (column.builtinType) {
    case 'bool':
    case 'int2':
    case 'int4':
    case 'char':
      return `pg_catalog.hashint4extended((${value})::int4, ${seed})`;
    case 'oid':
      return `pg_catalog.hashoidextended(${value}, ${seed})`;
    case 'int8':
      // hashint8 folds the halves onto each other, so that 1 and 2^32 collide: the upper half goes into the seed.
      return (
        `pg_catalog.hashint8extended(${value}, ` + `pg_catalog.hashint4extended(((${value}) >> 32)::int4, ${seed}))`
      );
    case 'uuid':
      return `pg_catalog.uuid_hash_extended(${value}, ${seed})`;
    // The types' own hashes fold as int8's does; their binary form is exact and cheaper than their text.
    case 'date':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
      return textHash(`pg_catalog.encode(pg_catalog.${column.builtinType}_send(${value}), 'base64')`, seed, false);
    // A cast of bpchar to text drops trailing blanks; one of xml keeps a declaration, which nobody sends.
    case 'bpchar':
    case 'xml':
      return textHash(outputText(value), seed, transcode);
    // Not built in: a cast to text may be anything its author made it, the output function is exact.
    case null:
      return textHash(outputText(value), seed, transcode);
    default:
      return textHash(`(${value})::text`, seed, transcode);
  }
}

function textHash(text: string, seed: number, transcode: boolean): string {
  const form = transcode ? `pg_catalog.encode(pg_catalog.convert_to(${text}, 'UTF8'), 'hex')` : text;
  return `pg_catalog.hashtextextended((${form}) collate pg_catalog."C", ${seed})`;
}
