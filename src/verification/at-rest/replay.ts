import { UNCHANGED } from '../../postgres/replication/streamed-transaction.js';
import { keysOf, keyText, type RowChange, type RowValues } from './row-changes.js';

/** A row of the publisher's snapshot; `published` is false for one that the row filter leaves out. */
export interface BaseRow {
  values: RowValues;
  published: boolean;
}

export interface Replayed {
  /** For every key touched: the row the subscriber must have, or null for none. */
  expected: Map<string, RowValues | null>;
  /** Keys whose row cannot be told from snapshot and stream; another bind can. */
  unresolved: Set<string>;
}

/**
 * Rolls the touched rows of the publisher's snapshot forward through the changes it does not contain. Columns that
 * an UPDATE left unchanged out of line are taken from the row's previous version.
 */
export function replay(
  base: ReadonlyMap<string, BaseRow>,
  changes: readonly RowChange[],
  positions: readonly number[],
): Replayed {
  const rows = new Map<string, BaseRow | null>(base);
  const unresolved = new Set<string>();
  for (const change of changes) {
    const { before, after } = keysOf(change, positions);
    const oldKey = before && keyText(before);
    const newKey = after && keyText(after);
    if (change.kind === 'delete') {
      // An UPDATE that takes a row out of the row filter arrives as DELETE: the row lives on, with values we do not
      // know, so a later image that leans on them stays unresolved.
      rows.set(oldKey!, null);
      continue;
    }
    const old = change.kind === 'update' ? change.old : null;
    const previous = rows.get(oldKey ?? newKey!) ?? null;
    const values = change.row.map((value, position) => {
      if (value !== UNCHANGED) return value;
      if (change.kind === 'update' && change.oldIsWhole && old) return old[position]!;
      if (old && positions.includes(position)) return old[position]!;
      return previous ? previous.values[position]! : UNCHANGED;
    });
    if (oldKey !== null && oldKey !== newKey) rows.set(oldKey, null);
    rows.set(newKey!, { values, published: true });
  }
  const expected = new Map<string, RowValues | null>();
  for (const [key, row] of rows) {
    expected.set(key, row?.published ? row.values : null);
    if (row?.published && row.values.includes(UNCHANGED)) unresolved.add(key);
  }
  return { expected, unresolved };
}
