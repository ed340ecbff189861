import type { Session } from '../session.js';
import { TABLE_INDEXES } from './table-indexes.sql.js';

/** An index of a table, and whether it could be its replica identity. */
export interface IdentityIndex {
  name: string;
  primaryKey: boolean;
  /** Of the key, in order; null: an expression. */
  columns: (string | null)[];
  fit: boolean;
  /** Why it cannot identify rows; null when it can. */
  reason: string | null;
}

interface IndexRow {
  table_oid: string;
  name: string;
  is_primary: boolean;
  is_unique: boolean;
  is_immediate: boolean;
  is_valid: boolean;
  is_partial: boolean;
  has_expressions: boolean;
  columns: (string | null)[];
  nullable_columns: string[];
}

/** Indexes by the oid of their table, each table's by name; a table without any has no entry. */
export async function readIdentityIndexes(
  session: Session,
  tableOids: string[],
): Promise<Map<string, IdentityIndex[]>> {
  const byTable = new Map<string, IdentityIndex[]>();
  if (tableOids.length === 0) return byTable;
  for (const row of await session.rows<IndexRow>(TABLE_INDEXES, [tableOids])) {
    const reasons = unfitness(row);
    const index = {
      name: row.name,
      primaryKey: row.is_primary,
      columns: row.columns,
      fit: reasons.length === 0,
      reason: reasons.length === 0 ? null : reasons.join('; '),
    };
    byTable.set(row.table_oid, [...(byTable.get(row.table_oid) ?? []), index]);
  }
  return byTable;
}

/** What ALTER TABLE ... REPLICA IDENTITY USING INDEX refuses, and an index that would be taken but does not serve. */
function unfitness(index: IndexRow): string[] {
  const nullable = index.nullable_columns.map((column) => JSON.stringify(column)).join(', ');
  const reasons: [boolean, string][] = [
    [!index.is_unique, 'it is not unique'],
    [index.is_unique && !index.is_immediate, 'it is deferrable, so that a key may be there twice for a while'],
    [index.is_partial, 'it is partial: rows outside it would have no identity'],
    [index.has_expressions, 'it is over expressions, not columns alone'],
    [index.nullable_columns.length > 0, `nullable: ${nullable}`],
    [!index.is_valid, 'it is invalid: its creation failed or has not ended'],
  ];
  return reasons.filter(([holds]) => holds).map(([, reason]) => reason);
}
