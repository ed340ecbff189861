import { identifier } from '../quoting.js';
import type { Session } from '../session.js';

/** Names of the session's database's tables that changes can be applied to. */
export async function readTableNames(session: Session): Promise<{ schema: string; name: string }[]> {
  return session.rows<{ schema: string; name: string }>(
    `select n.nspname::text as schema, c.relname::text as name
       from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p')`,
  );
}

/**
 * Whether a row of that key is in the table now; null where that cannot be told: the login may not read the table,
 * the columns are others, the type's equality is not in pg_catalog.
 */
export async function rowExists(
  session: Session,
  table: { schema: string; name: string },
  key: Record<string, string | null>,
): Promise<boolean | null> {
  const columns = Object.keys(key);
  const values = Object.values(key);
  if (columns.length === 0 || values.includes(null)) return null;
  const where = columns.map((column, index) => `t.${identifier(column)} = $${index + 1}`).join(' and ');
  try {
    const { found } = await session.row<{ found: boolean }>(
      `select exists (select from ${identifier(table.schema, table.name)} t where ${where}) as found`,
      values,
    );
    return found;
  } catch (error) {
    if (!session.alive) throw error;
    return null;
  }
}
