import type { Session } from '../../postgres/session.js';
import { LOCATOR } from './drill-down.js';
import { textArray } from './point-read.js';
import { fromItem, type Side, type TableShape } from './table-shape.js';

/** A row as one side has it, in the subscriber's form; without a key the key is empty. */
export interface LocatedRow {
  key: (string | null)[];
  values: (string | null)[];
}

/** Rows read at once, whole, before their values are cut. */
export const ROWS_AT_ONCE = 50;

/**
 * The rows at those places, by place. No operator of a type is involved, so it does not matter what a type or a
 * collation takes for equal; and within a snapshot a row does not move.
 */
export async function readLocated(
  session: Session,
  shape: TableShape,
  side: Side,
  locators: readonly string[],
): Promise<Map<string, LocatedRow>> {
  if (locators.length === 0) return new Map();
  const rows = await session.rows<LocatedRow & { locator: string }>(
    `select ${LOCATOR} as locator, ${textArray(shape.key ?? [], side)} as key, ` +
      `${textArray(shape.columns, side)} as "values" from ${fromItem(shape, side)} ` +
      `where t.ctid = any ($1::tid[]) and ${LOCATOR} = any ($2::text[])`,
    [locators.map((locator) => locator.slice(locator.indexOf(' ') + 1)), locators],
  );
  return new Map(rows.map(({ locator, key, values }) => [locator, { key, values }]));
}
