import { cursorKey, type Page, pageOf, type PageQuery } from '../api/page.js';

/** A page of a list that was read whole, in the order of names in PostgreSQL's catalogs (by bytes). */
export function pageOfList<T>(all: T[], query: PageQuery, keyOf: (item: T) => string[], keyLength = 1): Page<T> {
  const after = cursorKey(query.cursor, ...Array.from({ length: keyLength }, () => 'text' as const)) ?? undefined;
  const start = after === undefined ? 0 : all.findIndex((item) => follows(keyOf(item), after));
  return pageOf(start < 0 ? [] : all.slice(start), query.limit, keyOf);
}

function follows(key: string[], after: string[]): boolean {
  for (const [index, part] of key.entries()) {
    const order = Buffer.compare(Buffer.from(part), Buffer.from(after[index] ?? ''));
    if (order !== 0) return order > 0;
  }
  return false;
}

/**
 * What to read for a page of things in schemas, by schema and name: one row more than asked for tells whether there is
 * a next page.
 */
export function pageAfter({ limit, cursor }: PageQuery): { limit: number; after?: { schema: string; name: string } } {
  const [schema, name] = cursorKey(cursor, 'text', 'text') ?? [];
  return { limit: limit + 1, ...(schema === undefined ? {} : { after: { schema, name: name! } }) };
}
