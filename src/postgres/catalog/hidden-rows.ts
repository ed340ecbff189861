import type { Session } from '../session.js';
import { TABLES_HIDING_ROWS } from './hidden-rows.sql.js';
import type { TableName } from './tables.js';
import { variantFor } from './variant.js';

/** A table of which row security may let a role see some rows only. */
export interface TableHidingRows extends TableName {
  /** The session's role. */
  login: string;
}

export async function readTablesHidingRows(session: Session, tables: readonly TableName[]): Promise<TableHidingRows[]> {
  const names = [tables.map(({ schema }) => schema), tables.map(({ name }) => name)];
  return session.rows<TableHidingRows>(variantFor(TABLES_HIDING_ROWS, session.versionNum), names);
}
