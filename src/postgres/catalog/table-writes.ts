import type { Session } from '../session.js';
import { TABLE_WRITES } from './table-writes.sql.js';

/** Rows written to one table since `since`, as the server had counted them at a moment. */
export interface WriteCount {
  inserted: number;
  updated: number;
  deleted: number;
  /** When the database's statistics were last reset; null: never. */
  since: Date | null;
  /** The server's clock, in seconds. */
  readAt: number;
}

export type WriteCounts = { counts: Map<string, WriteCount>; unknown: null } | { counts: null; unknown: string };

interface WritesRow {
  table_oid: string;
  read_at: number;
  inserted: string;
  updated: string;
  deleted: string;
  reset_at: Date | null;
  counted: boolean;
  in_recovery: boolean;
}

/**
 * By the oid of the table. Sessions report what they wrote at most once a second, and when their transaction has ended;
 * rows of transactions that were rolled back count too.
 */
export async function readWriteCounts(session: Session, tableOids: string[]): Promise<WriteCounts> {
  const rows = tableOids.length === 0 ? [] : await session.rows<WritesRow>(TABLE_WRITES, [tableOids]);
  if (rows[0]?.in_recovery) return { counts: null, unknown: 'a standby counts no writes: ask its primary' };
  if (rows[0]?.counted === false) return { counts: null, unknown: 'track_counts is off: the server counts no writes' };
  const counts = rows.map((row): [string, WriteCount] => [
    row.table_oid,
    {
      inserted: Number(row.inserted),
      updated: Number(row.updated),
      deleted: Number(row.deleted),
      since: row.reset_at,
      readAt: row.read_at,
    },
  ]);
  return { counts: new Map(counts), unknown: null };
}
