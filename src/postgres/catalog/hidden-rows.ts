import type { Session } from '../session.js';
import { TABLES_HIDING_ROWS } from './hidden-rows.sql.js';
import type { TableName } from './tables.js';
import { variantFor } from './variant.js';

/** A table of which row security may let a role see some rows only. */
export interface TableHidingRows extends TableName {
  login: string;
}

/** @param login the role that is asked for, whoever asks; null: the session's */
export async function readTablesHidingRows(
  session: Session,
  tables: readonly TableName[],
  login: string | null = null,
): Promise<TableHidingRows[]> {
  const names = [tables.map(({ schema }) => schema), tables.map(({ name }) => name), login];
  return session.rows<TableHidingRows>(variantFor(TABLES_HIDING_ROWS, session.versionNum), names);
}
