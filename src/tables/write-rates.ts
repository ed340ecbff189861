import type { Table } from '../postgres/catalog/tables.js';
import type { WriteCount, WriteCounts } from '../postgres/catalog/table-writes.js';

/** Rows per second between two readings of the server's counters. */
export interface WriteRate {
  inserted: number;
  updated: number;
  deleted: number;
  /** The time between the readings, by the server's clock. */
  overSeconds: number;
}

/** What was written to a table. Null is unknown, never none; `reason` says why. */
export interface TableWrites {
  inserted: number | null;
  updated: number | null;
  deleted: number | null;
  /** Counted from here on; null: since the server has counted, or not known. */
  since: Date | null;
  perSecond: WriteRate | null;
  reason: string | null;
}

const ONE_READING = 'a rate takes two readings: ask with rateSeconds';

/** @param earlier a reading before `later`; null when only one was taken */
export function writesOf(
  table: Pick<Table, 'kind' | 'oid'>,
  earlier: WriteCounts | null,
  later: WriteCounts,
): TableWrites {
  if (table.kind !== 'table') return unknownWrites(NOT_WRITTEN[table.kind]);
  if (later.counts === null) return unknownWrites(later.unknown);
  const count = later.counts.get(table.oid);
  if (!count) return unknownWrites('the table was not there at the last reading');
  const { inserted, updated, deleted, since } = count;
  const rate = earlier === null ? ONE_READING : rateOf(earlier.counts?.get(table.oid), count);
  const [perSecond, reason] = typeof rate === 'string' ? [null, rate] : [rate, null];
  return { inserted, updated, deleted, since, perSecond, reason };
}

const NOT_WRITTEN: Record<Exclude<Table['kind'], 'table'>, string> = {
  partitioned: 'its rows are written to its partitions',
  foreign: 'its rows live elsewhere',
  'materialized-view': 'it is refreshed, not written to',
};

function unknownWrites(reason: string): TableWrites {
  return { inserted: null, updated: null, deleted: null, since: null, perSecond: null, reason };
}

/** The rate, or why there is none. */
function rateOf(earlier: WriteCount | undefined, later: WriteCount): WriteRate | string {
  if (!earlier) return 'there is no earlier reading of the table';
  const overSeconds = later.readAt - earlier.readAt;
  if (overSeconds <= 0) return "the server's clock went back between the two readings";
  const written = {
    inserted: later.inserted - earlier.inserted,
    updated: later.updated - earlier.updated,
    deleted: later.deleted - earlier.deleted,
  };
  // A reset that is not dated (the server crashed) shows only where the counters had got further before it.
  const reset = later.since?.getTime() !== earlier.since?.getTime() || Object.values(written).some((rows) => rows < 0);
  if (reset) return 'the statistics were reset between the two readings';
  return {
    inserted: written.inserted / overSeconds,
    updated: written.updated / overSeconds,
    deleted: written.deleted / overSeconds,
    overSeconds,
  };
}
