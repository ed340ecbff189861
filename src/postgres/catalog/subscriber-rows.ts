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

/** A key: columns of the replica identity with their values as text. */
export type RowKey = Record<string, string | null>;

/** Whoever has locked the table for longer may keep it so for hours. */
const LOCK_MS = 500;

/**
 * Whether rows of those keys, all of the same columns, are in the table now; null for all where that cannot be told
 * within `patienceMs`: the table is locked, the login may not read it, the columns are others, the type's equality is not
 * in pg_catalog.
 */
export async function rowsExist(
  session: Session,
  table: { schema: string; name: string },
  keys: readonly RowKey[],
  patienceMs: number,
): Promise<(boolean | null)[]> {
  const unknown = keys.map(() => null);
  const limit = Math.floor(patienceMs);
  if (limit <= 0) return unknown;
  const values: (string | null)[] = [];
  const probes = keys.map((key) => {
    const conditions = Object.entries(key).map(([column, value]) => `t.${identifier(column)} = $${values.push(value)}`);
    return `exists (select from ${identifier(table.schema, table.name)} t where ${conditions.join(' and ')})`;
  });
  try {
    return await session.transaction(async () => {
      await session.execute(
        `set local lock_timeout = ${Math.min(LOCK_MS, limit)}; set local statement_timeout = ${limit}`,
      );
      return (await session.row<{ found: boolean[] }>(`select array[${probes.join(', ')}] as found`, values)).found;
    });
  } catch (error) {
    if (!session.alive) throw error;
    return unknown;
  }
}
