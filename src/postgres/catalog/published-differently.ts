import type { Session } from '../session.js';
import { PUBLISHED_DIFFERENTLY } from './published-differently.sql.js';
import type { TableName } from './tables.js';
import { variantFor } from './variant.js';

/** Tables that publications of one subscription do not send alike. */
export interface PublishedDifferently {
  /** With other columns: the publisher refuses to send them at all. */
  columns: TableName[];
  /** With other row filters: a row is sent where any of them lets it through. */
  filters: TableName[];
}

interface Row extends TableName {
  columns_differ: boolean;
  filters_differ: boolean;
}

export async function readPublishedDifferently(
  session: Session,
  publications: readonly string[],
): Promise<PublishedDifferently> {
  if (publications.length < 2) return { columns: [], filters: [] };
  const rows = await session.rows<Row>(variantFor(PUBLISHED_DIFFERENTLY, session.versionNum), [publications]);
  const named = (fitting: Row[]) => fitting.map(({ schema, name }) => ({ schema, name }));
  return {
    columns: named(rows.filter((row) => row.columns_differ)),
    filters: named(rows.filter((row) => row.filters_differ)),
  };
}
