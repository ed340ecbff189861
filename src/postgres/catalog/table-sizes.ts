import type { Session } from '../session.js';
import { TABLE_SIZES } from './table-sizes.sql.js';
import { variantFor } from './variant.js';

/** What a publisher has to send of a table in its first copy. */
export interface TableSize {
  schema: string;
  name: string;
  /** On disk, TOAST included, indexes not. */
  bytes: number;
  /** Estimated, of the whole table; null: the table was never vacuumed or analyzed. */
  rows: number | null;
  /** Only those rows are sent that a row filter lets through. */
  filtered: boolean;
}

/** Sizes of those of the tables that the session's database has, as the publications send them. */
export async function readTableSizes(
  session: Session,
  tables: readonly { schema: string; name: string }[],
  publications: readonly string[],
): Promise<TableSize[]> {
  const sql = variantFor(TABLE_SIZES, session.versionNum);
  const names = [tables.map(({ schema }) => schema), tables.map(({ name }) => name)];
  const parameters = sql.includes('$3') ? [...names, publications] : names;
  const rows = await session.rows<Omit<TableSize, 'bytes'> & { bytes: string }>(sql, parameters);
  return rows.map((row) => ({ ...row, bytes: Number(row.bytes) }));
}
