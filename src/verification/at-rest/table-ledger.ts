import type { BindMethod } from '../../postgres/replication/bound-pair.js';
import { formatLsn, type Lsn, parseLsn } from '../../shared/lsn.js';
import { type Chunk, expectedRows, type Remaining } from './chunk-plan.js';
import type { TableFinding, TableTask } from './compare-tables.js';
import {
  overallVerdict,
  type LinkVerification,
  type VerificationProgress,
  type Verdict,
  type VerifiedTable,
} from './link-verification.js';
import type { KeyMove } from './key-moves.js';
import {
  definitionOf,
  distinct,
  type Entry,
  entry,
  isOpen,
  isUndecided,
  isUnread,
  type TableProgress,
  type TableRecord,
} from './ledger-entry.js';
import type { LinkTables } from './read-shapes.js';
import { keyText } from './row-changes.js';
import { tableId, type TableName, type TableShape } from './table-shape.js';

/** Keys in the publisher's form, by quoted table name. */
export type KeysByTable = ReadonlyMap<string, readonly string[][]>;

/** After which a table is left `pending`, with the reason. */
const MOST_RESTARTS = 3;

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
      const id = tableId({ schema, name });
      const gone = 'the subscription does not carry the table any more';
      const found = this.entries.get(id) ?? { ...entry({ schema, name }, 0, 0, null), refusal: gone };
      this.entries.set(id, found);
      if (lsn === null) continue;
      if (refusal !== null && found.refusal === null) {
        // It may be compared again: from the beginning.
        Object.assign(found, { changed: true, anew: true });
        continue;
      }
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
      this.restart(found, 'the definition of the table changed while it was being compared');
    }
    Object.assign(found, { definition, waitsFor: null });
    return found;
  }

  /** Whether anything was compared. */
  get hasBegun(): boolean {
    return this.lsns.size > 0;
  }

  /** Tables that are begun and not done: what moves in them must be known. */
  begun(): TableName[] {
    return [...this.entries.values()].filter((found) => isOpen(found) && found.lsn !== null).map(({ table }) => table);
  }

  /**
   * Rows that got other keys since this was last told, in the order they did; null: that is not known. While chunks are
   * left the new keys are kept, to be compared once all are done: any of them may lie where it was compared before. Later
   * only keys in doubt are followed.
   */
  follow(table: TableName, moves: readonly KeyMove[] | null): void {
    const found = this.entries.get(tableId(table))!;
    if (found.lsn === null || moves?.length === 0) return;
    const isDivided = found.remaining !== null && found.remaining.kind !== 'all';
    if (moves === null) {
      if (isDivided || found.doubtful.length > 0)
        this.restart(found, 'more keys were changed in it than can be followed');
      return;
    }
    found.changed = true;
    if (isDivided) {
      found.moved = distinct([...found.moved, ...moves.map(({ to }) => to)]);
      return;
    }
    const followed = new Map(found.doubtful.map((key) => [keyText(key), key]));
    for (const { from, to } of moves) if (followed.has(keyText(from))) followed.set(keyText(to), to);
    found.doubtful = [...followed.values()];
  }

  /** Whether nothing of it was compared yet. */
  isUnbegun(table: TableName): boolean {
    const { remaining, lsn } = this.entries.get(tableId(table))!;
    return remaining?.kind === 'all' && lsn === null;
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
    // What was said of one of its chunks stands, whatever others found beside it.
    found.refusal ??= finding.refusal;
    found.waitsFor ??= finding.moved;
    if (found.refusal !== null) return;
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
      if (found.remaining === null && found.moved.length > 0) {
        found.doubtful = distinct([...found.doubtful, ...found.moved]);
        found.moved = [];
      }
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
        const { table, rows, lsn, counts, listed, remaining, doubtful, moved, waitsFor, refusal, definition } = found;
        const record = {
          ...{ ...table, rows, counts, listed, remaining, doubtful, moved, waitsFor, refusal, definition },
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
    const unknown = listed.filter(({ kind, key }) => {
      const id = key === null ? null : `${kind} ${JSON.stringify(key)}`;
      if (id !== null && found.known.has(id)) {
        found.counts[kind]--;
        return false;
      }
      if (id !== null) found.known.add(id);
      return true;
    });
    const room = unknown.slice(0, this.listLimit - found.listed);
    found.differences.push(...room);
    found.listed += room.length;
  }

  /** Not for ever: what makes it necessary may come again and again. */
  private restart(found: Entry, waitsFor: string): void {
    const { restarts } = found;
    this.beginAnew(found, waitsFor);
    found.restarts = restarts + 1;
    if (found.restarts > MOST_RESTARTS) found.inVain = Infinity;
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
