import type { TableSize } from '../postgres/catalog/table-sizes.js';
import type { SubscribedTable } from '../postgres/catalog/subscriptions.js';
import { keyOf } from './copy-observations.js';
import { majorOf, PG14 } from '../shared/server-version.js';

/** How far the first copy of a table is. Null is unknown, and then `reason` says why. */
export interface CopyProgress {
  /** Read from the publisher so far, in the form they are sent in. */
  rows: number | null;
  bytes: number | null;
  /** Of the whole table on the publisher: rows as it estimates them, bytes on its disk. */
  totalRows: number | null;
  totalBytes: number | null;
  /** By rows. */
  percent: number | null;
  /** At the pace of this copy so far. */
  etaSeconds: number | null;
  reason: string | null;
}

/** How far the first copies of a subscription are, all its tables together. */
export interface SubscriptionCopyProgress {
  tables: number;
  /** Those whose copy is over. */
  tablesCopied: number;
  /** On the publisher's disk, of all tables. */
  totalBytes: number | null;
  /** By those bytes. */
  percent: number | null;
  etaSeconds: number | null;
  reason: string | null;
}

/** What the publisher said of the tables; or why it said nothing. */
export type KnownSizes = { sizes: ReadonlyMap<string, TableSize> } | { unknown: string };

export function knownSizes(sizes: readonly TableSize[] = []): KnownSizes {
  return { sizes: new Map(sizes.map((size) => [keyOf(size), size])) };
}

const UNCOPIED: ReadonlySet<SubscribedTable['state']> = new Set(['initializing', 'copying']);

export function isUncopied({ state }: Pick<SubscribedTable, 'state'>): boolean {
  return UNCOPIED.has(state);
}

/** Null for a table that is not being copied. */
export function copyProgressOf(table: SubscribedTable, known: KnownSizes, versionNum: number): CopyProgress | null {
  if (table.state !== 'copying') return null;
  const size = sizeOf(table, known);
  const done = table.copyProgress;
  const reasons: string[] = [];
  if (done === null) reasons.push(unseenCopy(versionNum));
  if ('unknown' in known) reasons.push(`the size is not known: ${known.unknown}`);
  else if (size === null) reasons.push('the publisher has no table of that name');
  else if (size.rows === null) reasons.push('the publisher cannot estimate the rows: the table was never analyzed');
  else if (size.filtered) reasons.push('a row filter lets only some of the rows through');
  // What was written since the tables were analyzed is in no estimate.
  const tooLow = done !== null && size !== null && size.rows !== null && done.rows > size.rows;
  if (tooLow && size?.filtered === false) reasons.push('more rows have arrived than the publisher estimates');
  const countable = size !== null && size.rows !== null && !size.filtered && !tooLow;
  const share = done !== null && countable ? shareOf(done.rows, size.rows!) : null;
  const seconds = done?.seconds ?? null;
  const eta = share === null || share === 0 || seconds === null ? null : (seconds / share) * (1 - share);
  if (share !== null && eta === null) {
    reasons.push(share === 0 ? 'no row has arrived yet' : 'the login may not see since when the copy runs');
  }
  return {
    rows: done?.rows ?? null,
    bytes: done?.bytes ?? null,
    totalRows: size?.rows === null || size === null ? null : Math.round(size.rows),
    totalBytes: size?.bytes ?? null,
    percent: share === null ? null : rounded(100 * share),
    etaSeconds: eta === null ? null : rounded(eta),
    reason: reasons.length > 0 ? reasons.join('; ') : null,
  };
}

/** Null where nothing is left to copy. */
export function overallProgress(
  tables: readonly SubscribedTable[],
  known: KnownSizes,
  versionNum: number,
): SubscriptionCopyProgress | null {
  const uncopied = tables.filter(isUncopied);
  if (uncopied.length === 0) return null;
  const counts = { tables: tables.length, tablesCopied: tables.length - uncopied.length };
  const unknown = (reason: string, totalBytes: number | null = null): SubscriptionCopyProgress => ({
    ...{ ...counts, totalBytes, percent: null, etaSeconds: null, reason },
  });
  if ('unknown' in known) return unknown(`the sizes are not known: ${known.unknown}`);
  let [totalBytes, doneBytes, pace] = [0, 0, 0];
  const unclear: string[] = [];
  for (const table of tables) {
    const size = sizeOf(table, known);
    if (size === null) {
      if (isUncopied(table)) return unknown(`the publisher has no table ${table.schema}.${table.name}`);
      continue;
    }
    totalBytes += size.bytes;
    const progress = copyProgressOf(table, known, versionNum);
    if (progress !== null && progress.percent === null) unclear.push(`${table.schema}.${table.name}`);
    const copied = !isUncopied(table) ? size.bytes : (size.bytes * (progress?.percent ?? 0)) / 100;
    doneBytes += copied;
    const seconds = table.copyProgress?.seconds ?? null;
    if (progress !== null && seconds !== null && seconds > 0) pace += copied / seconds;
  }
  if (unclear.length > 0) {
    return unknown(`how far the copy of ${unclear[0]} is, is not known${andMore(unclear.length)}`, totalBytes);
  }
  const percent = totalBytes === 0 ? null : rounded((100 * doneBytes) / totalBytes);
  const etaSeconds = pace > 0 ? rounded((totalBytes - doneBytes) / pace) : null;
  const reason =
    percent === null ? 'the tables hold no bytes' : etaSeconds === null ? 'no copy is under way to measure' : null;
  return { ...counts, totalBytes, percent, etaSeconds, reason };
}

function sizeOf(table: SubscribedTable, known: KnownSizes): TableSize | null {
  if ('unknown' in known) return null;
  return known.sizes.get(keyOf(table)) ?? null;
}

function unseenCopy(versionNum: number): string {
  if (versionNum < PG14) return `PostgreSQL ${majorOf(versionNum)} does not show how far a copy is`;
  return 'no copy of it is seen running: it waits for the publisher, a lock or a worker, or the login may not see it';
}

function shareOf(rows: number, totalRows: number): number {
  return totalRows <= 0 ? 0 : rows / totalRows;
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function andMore(count: number): string {
  return count > 1 ? `, nor of ${count - 1} more` : '';
}
