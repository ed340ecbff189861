import type { Lsn } from '../../shared/lsn.js';
import type { Chunk, Remaining } from './chunk-plan.js';
import type { TableFinding } from './compare-tables.js';
import type { Difference, DifferenceCounts } from './difference.js';
import { keyText } from './row-changes.js';
import type { TableName, TableShape } from './table-shape.js';

/** Binds that bring a table no further, after which what is open of it stays `pending`. */
const MOST_BINDS_IN_VAIN = 10;

/** What is known of a table, as it is kept for a process that goes on with it. */
export interface TableRecord extends TableName {
  /** Of the publisher, compared so far; null when unknown. */
  rows: number | null;
  /** Where the first of it was compared. */
  lsn: string | null;
  counts: DifferenceCounts;
  /** Differences that are listed. */
  listed: number;
  remaining: Remaining | null;
  doubtful: readonly string[][];
  /** Keys that rows got while it was compared in chunks: compared once more when all chunks are done. */
  moved: readonly string[][];
  waitsFor: string | null;
  refusal: string | null;
  /** What its columns, key and filter were when it was begun; null: it was not. */
  definition: string | null;
}

/** What changed of a table since it was last asked for. */
export interface TableProgress {
  record: TableRecord;
  /** Further ones. */
  differences: Difference[];
  /** What was known of it before is void, its differences too. */
  anew: boolean;
}

/** What the ledger knows of one table. */
export interface Entry {
  table: TableName;
  estimatedRows: number;
  bytes: number;
  rows: number | null;
  lsn: Lsn | null;
  counts: DifferenceCounts;
  /** Of `listed`, those that were not taken yet. */
  differences: Difference[];
  listed: number;
  /** The rows to be compared, by key; null: all of them. */
  asked: readonly string[][] | null;
  /** What is to be compared as a whole. */
  remaining: Remaining | null;
  /** Keys still to be compared besides. */
  doubtful: readonly string[][];
  moved: readonly string[][];
  /** Kinds and keys of differences that are listed, by which one that is found twice is told. */
  known: Set<string>;
  /** Chunks that are being compared, in order, and what was found in those that are done. */
  running: { chunk: Chunk; finding: TableFinding | null }[];
  /** Binds since it last got on. */
  inVain: number;
  /** How often it had to begin anew for what happened to it. */
  restarts: number;
  /** At most so many tables are bound together with it: one of them was locked. */
  company: number;
  /** Those with a lower one are bound first. */
  turn: number;
  /** Why the table waits for another bind. */
  waitsFor: string | null;
  refusal: string | null;
  definition: string | null;
  changed: boolean;
  anew: boolean;
}

export function isOpen(found: Entry): boolean {
  return isUndecided(found) && found.inVain <= MOST_BINDS_IN_VAIN;
}

export function isUndecided({ refusal, remaining, doubtful }: Entry): boolean {
  return refusal === null && (remaining !== null || doubtful.length > 0);
}

/** Some of it was not compared. */
export function isUnread({ remaining }: Entry): boolean {
  return remaining !== null;
}

/** A change of any of it makes rows that were compared before another matter; a table made anew is another one. */
export function definitionOf({ columns, key, rowFilter, transcode, oids }: TableShape): string {
  return JSON.stringify([columns, key?.map(({ name }) => name) ?? null, rowFilter, transcode, oids]);
}

export function distinct(keys: readonly string[][]): string[][] {
  return [...new Map(keys.map((key) => [keyText(key), key])).values()];
}

export function entry(
  table: TableName,
  estimatedRows: number,
  bytes: number,
  asked: readonly string[][] | null,
): Entry {
  const { schema, name } = table;
  return {
    ...{ table: { schema, name }, estimatedRows, bytes, rows: null, lsn: null },
    ...{ counts: { missing: 0, extra: 0, different: 0 }, differences: [], listed: 0 },
    ...{ asked, remaining: asked === null ? { kind: 'all' } : null, doubtful: asked ?? [] },
    ...{ moved: [], known: new Set() },
    ...{
      running: [],
      inVain: 0,
      restarts: 0,
      company: Infinity,
      turn: 0,
      waitsFor: null,
      refusal: null,
      definition: null,
    },
    ...{ changed: false, anew: false },
  };
}
