import type { BindMethod } from '../../postgres/replication/bound-pair.js';
import { formatLsn, type Lsn, parseLsn } from '../../shared/lsn.js';
import { type Chunk, expectedRows, type Remaining } from './chunk-plan.js';
import type { TableFinding, TableTask } from './compare-tables.js';
import type { Difference, DifferenceCounts } from './difference.js';
import {
  overallVerdict,
  type LinkVerification,
  type VerificationProgress,
  type Verdict,
  type VerifiedTable,
} from './link-verification.js';
import type { LinkTables } from './read-shapes.js';
import { tableId, type TableName, type TableShape } from './table-shape.js';

/** Keys in the publisher's form, by quoted table name. */
export type KeysByTable = ReadonlyMap<string, readonly string[][]>;

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

interface Entry {
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
  /** Chunks that are being compared, in order, and what was found in those that are done. */
  running: { chunk: Chunk; finding: TableFinding | null }[];
  /** Binds since it last got on. */
  inVain: number;
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

/** What has been found about each table so far, over however many binds it takes. */
export class TableLedger {
  private readonly entries = new Map<string, Entry>();
  /** At which anything was compared. */
  private readonly lsns = new Set<Lsn>();
  private method: BindMethod | null = null;
  private obstacle: { verdict: 'stalled' | 'pending'; reason: string } | null = null;

  constructor(
    private readonly methodReason: string | null,
    /** Differences listed per table. */
    private readonly listLimit: number,
  ) {}

  /** `keys` (by quoted table name, in the publisher's form) narrows the comparison to those rows. */
  begin({ comparable, notComparable }: LinkTables, keys: KeysByTable | null): void {
    for (const shape of comparable) {
      const { estimatedRows, bytes } = shape;
      this.entries.set(tableId(shape), entry(shape, estimatedRows, bytes, keys?.get(tableId(shape)) ?? null));
    }
    for (const table of notComparable)
      this.entries.set(tableId(table), { ...entry(table, 0, 0, null), refusal: table.reason, changed: true });
  }

  /** What an earlier process has found, of tables that are still to be compared; returns the rows it compared. */
  restore(records: readonly TableRecord[], method: BindMethod | null): number {
    let kept = 0;
    for (const { schema, name, lsn, refusal, ...record } of records) {
      const found = this.entries.get(tableId({ schema, name }));
      if (!found || found.refusal !== null || refusal !== null || lsn === null) continue;
      Object.assign(found, record, { lsn: parseLsn(lsn), changed: false });
      this.lsns.add(found.lsn!);
      kept += found.rows ?? 0;
    }
    if (kept > 0) this.method = method;
    return kept;
  }

  /** Tables that need a bind: not compared yet, or with keys in doubt. */
  open(): TableName[] {
    return [...this.entries.values()].filter(isOpen).map(({ table }) => table);
  }

  /** Of the open ones those to be bound next: so many that what is compared of them comes to about `rows` rows, and no more than `tables`. */
  nextUnit(rows: number, tables: number): TableName[] {
    const unit: TableName[] = [];
    let [expected, company] = [0, tables];
    for (const found of [...this.entries.values()].filter(isOpen).sort((a, b) => a.turn - b.turn)) {
      company = Math.min(company, found.company);
      if (unit.length > 0 && (expected >= rows || unit.length >= company)) break;
      unit.push(found.table);
      if (found.remaining !== null) expected += expectedRows(found);
    }
    return unit;
  }

  /** The keys an earlier bind left in doubt; null when the whole table is to be compared. */
  doubtfulKeys(table: TableName): readonly string[][] | null {
    const found = this.entries.get(tableId(table));
    return found === undefined || found.remaining !== null ? null : found.doubtful;
  }

  /** What is open of a table, once its definition is seen under lock. One that is another than before begins anew. */
  openOf(shape: TableShape): { remaining: Remaining | null; doubtful: readonly string[][] } {
    const found = this.entries.get(tableId(shape))!;
    const definition = definitionOf(shape);
    if (found.definition !== null && found.definition !== definition) {
      this.beginAnew(found, 'the definition of the table changed while it was being compared');
    }
    found.definition = definition;
    return found;
  }

  /** Differences that may still be listed of it. */
  listRoom(table: TableName): number {
    return this.listLimit - this.entries.get(tableId(table))!.listed;
  }

  /** Chunks of one table that are compared side by side, in their order: they count as done in that order. */
  run(table: TableName, chunks: readonly Chunk[]): void {
    this.entries.get(tableId(table))!.running = chunks.map((chunk) => ({ chunk, finding: null }));
  }

  refuse(table: TableName, reason: string): void {
    const found = this.entries.get(tableId(table));
    if (found) Object.assign(found, { refusal: reason, changed: true });
  }

  record(finding: TableFinding, method: BindMethod): void {
    this.method = method;
    const found = this.entries.get(tableId(finding.shape))!;
    found.changed = true;
    found.refusal = finding.refusal;
    found.waitsFor = finding.moved;
    if (finding.refusal !== null) return;
    if (finding.moved !== null) {
      // Chunks that are done are true of where they were compared.
      found.running = [];
      return;
    }
    if (finding.task.only !== null) return this.take(found, finding, finding.task);
    const run = found.running.find(({ chunk }) => chunk === finding.task);
    if (!run) return;
    run.finding = finding;
    for (let first = found.running[0]; first?.finding; first = found.running[0]) {
      this.take(found, first.finding, first.chunk);
      found.remaining = first.chunk.leaves;
      found.inVain = 0;
      found.running.shift();
    }
  }

  /** Ends a bind of these tables; those that it brought no further are given up some day. */
  ended(tables: readonly TableName[]): void {
    for (const table of tables) {
      const found = this.entries.get(tableId(table))!;
      found.running = [];
      found.inVain++;
    }
  }

  /** One of these tables was locked: they are bound in smaller company. */
  apart(tables: readonly TableName[], reason: string): void {
    // After the others: the lock may be gone by then.
    const turn = Math.max(...[...this.entries.values()].map((each) => each.turn)) + 1;
    for (const table of tables) {
      const found = this.entries.get(tableId(table))!;
      found.turn = turn;
      if (tables.length === 1) Object.assign(found, { waitsFor: reason, inVain: found.inVain + 1 });
      else found.company = Math.ceil(tables.length / 2);
    }
  }

  /** No further bind was possible: open tables get that verdict. */
  giveUp(obstacle: { verdict: 'stalled' | 'pending'; reason: string }): void {
    this.obstacle = obstacle;
  }

  /** What changed since this was last asked; differences that were given are forgotten. */
  changes(): TableProgress[] {
    return [...this.entries.values()]
      .filter(({ changed }) => changed)
      .map((found) => {
        const { table, rows, lsn, counts, listed, remaining, doubtful, waitsFor, refusal, definition } = found;
        const record = {
          ...{ ...table, rows, counts, listed, remaining, doubtful, waitsFor, refusal, definition },
          lsn: lsn === null ? null : formatLsn(lsn),
        };
        const { differences, anew } = found;
        Object.assign(found, { differences: [], changed: false, anew: false });
        return { record, differences, anew };
      });
  }

  progress(): VerificationProgress {
    const progress = { rowsDone: 0, rowsTotal: 0, bytesDone: 0, bytesTotal: 0 };
    for (const { rows, lsn, refusal, remaining, estimatedRows, bytes } of this.entries.values()) {
      if (refusal !== null) continue;
      const isDone = remaining === null && lsn !== null;
      const done = lsn === null ? 0 : (rows ?? estimatedRows);
      const total = isDone ? done : Math.max(done, estimatedRows);
      progress.rowsTotal += total;
      progress.bytesTotal += bytes;
      progress.rowsDone += done;
      progress.bytesDone += isDone ? bytes : total === 0 ? 0 : Math.round((bytes * done) / total);
    }
    return progress;
  }

  conclude(): LinkVerification {
    const entries = [...this.entries.values()];
    const tables = entries.map((found) => this.verified(found));
    const verdict = overallVerdict(tables);
    const lsns = tables.map(({ verifiedLsn }) => verifiedLsn);
    const complete = lsns.length > 0 && lsns.every((lsn) => lsn !== null);
    return {
      verdict,
      reason:
        tables.length === 0
          ? 'the subscription carries no tables'
          : (tables.find((table) => table.verdict === verdict)?.reason ?? null),
      verifiedLsn: complete ? lsns.reduce((lowest, lsn) => (lsn < lowest ? lsn : lowest)) : null,
      atOneLsn: this.lsns.size === 0 ? null : this.lsns.size === 1,
      method: this.method,
      methodReason: this.methodReason,
      tables,
      differences: entries.flatMap(({ differences }) => differences),
    };
  }

  private take(found: Entry, finding: TableFinding, task: TableTask): void {
    this.lsns.add(finding.lsn);
    if (finding.rows !== null) found.rows = (found.rows ?? 0) + finding.rows;
    found.lsn ??= finding.lsn;
    const decided = new Set(task.only);
    found.doubtful = [...found.doubtful.filter((key) => !decided.has(key)), ...finding.doubtful];
    const { counts, listed } = finding.differences;
    for (const kind of ['missing', 'extra', 'different'] as const) found.counts[kind] += counts[kind];
    const room = listed.slice(0, this.listLimit - found.listed);
    found.differences.push(...room);
    found.listed += room.length;
  }

  /** What earlier binds found of it stands only for the rows they judged; all of it is read again. */
  private beginAnew(found: Entry, waitsFor: string): void {
    const { table, estimatedRows, bytes, asked, inVain, company, turn } = found;
    const fresh = entry(table, estimatedRows, bytes, asked);
    Object.assign(found, fresh, { waitsFor, inVain, company, turn, changed: true, anew: true });
  }

  private verified(found: Entry): VerifiedTable {
    const { verdict, reason } = this.judge(found);
    return {
      ...found.table,
      verdict,
      reason,
      rows: found.rows,
      verifiedLsn: verdict === 'equal' || (verdict === 'different' && !isUnread(found)) ? found.lsn : null,
      differences: found.counts,
    };
  }

  private judge(found: Entry): { verdict: Verdict; reason: string | null } {
    const { missing, extra, different } = found.counts;
    if (missing + extra + different > 0) return { verdict: 'different', reason: null };
    if (found.refusal !== null) return { verdict: 'not-comparable', reason: found.refusal };
    if (!isUndecided(found)) return { verdict: 'equal', reason: null };
    if (this.obstacle) return this.obstacle;
    const { length } = found.doubtful;
    const keys = length > 0 ? `whether ${length} keys agree could not be told yet` : null;
    return { verdict: 'pending', reason: found.waitsFor ?? keys };
  }
}

function isOpen(found: Entry): boolean {
  return isUndecided(found) && found.inVain <= MOST_BINDS_IN_VAIN;
}

function isUndecided({ refusal, remaining, doubtful }: Entry): boolean {
  return refusal === null && (remaining !== null || doubtful.length > 0);
}

/** Some of it was not compared. */
function isUnread({ remaining }: Entry): boolean {
  return remaining !== null;
}

/** A change of any of it makes rows that were compared before another matter. */
function definitionOf({ columns, key, rowFilter, transcode }: TableShape): string {
  return JSON.stringify([columns, key?.map(({ name }) => name) ?? null, rowFilter, transcode]);
}

function entry(table: TableName, estimatedRows: number, bytes: number, asked: readonly string[][] | null): Entry {
  const { schema, name } = table;
  return {
    ...{ table: { schema, name }, estimatedRows, bytes, rows: null, lsn: null },
    ...{ counts: { missing: 0, extra: 0, different: 0 }, differences: [], listed: 0 },
    ...{ asked, remaining: asked === null ? { kind: 'all' } : null, doubtful: asked ?? [] },
    ...{ running: [], inVain: 0, company: Infinity, turn: 0, waitsFor: null, refusal: null, definition: null },
    ...{ changed: false, anew: false },
  };
}
