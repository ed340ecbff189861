import type { BindMethod } from '../../postgres/replication/bound-pair.js';
import type { Lsn } from '../../shared/lsn.js';
import type { TableFinding } from './compare-tables.js';
import type { Difference, DifferenceCounts } from './difference.js';
import {
  overallVerdict,
  type LinkVerification,
  type VerificationProgress,
  type Verdict,
  type VerifiedTable,
} from './link-verification.js';
import type { LinkTables } from './read-shapes.js';
import { tableId, type TableName } from './table-shape.js';

/** Keys in the publisher's form, by quoted table name. */
export type KeysByTable = ReadonlyMap<string, readonly string[][]>;

interface Entry {
  table: TableName;
  estimatedRows: number;
  bytes: number;
  rows: number | null;
  /** Where the whole table was compared first. */
  lsn: Lsn | null;
  counts: DifferenceCounts;
  differences: Difference[];
  /** The rows to be compared, by key; null: all of them. */
  asked: readonly string[][] | null;
  /** Keys still to be compared; null: the whole table. */
  doubtful: readonly string[][] | null;
  /** Why the table waits for another bind. */
  waitsFor: string | null;
  refusal: string | null;
}

/** What has been found about each table so far, over however many binds it takes. */
export class TableLedger {
  private readonly entries = new Map<string, Entry>();
  /** At which anything was compared. */
  private readonly lsns = new Set<Lsn>();
  private method: BindMethod | null = null;
  private obstacle: { verdict: 'stalled' | 'pending'; reason: string } | null = null;

  constructor(private readonly methodReason: string | null) {}

  /** `keys` (by quoted table name, in the publisher's form) narrows the comparison to those rows. */
  begin({ comparable, notComparable }: LinkTables, keys: KeysByTable | null): void {
    for (const shape of comparable) {
      this.entries.set(
        tableId(shape),
        entry(shape, shape.estimatedRows, shape.bytes, keys?.get(tableId(shape)) ?? null),
      );
    }
    for (const table of notComparable)
      this.entries.set(tableId(table), { ...entry(table, 0, 0, null), refusal: table.reason });
  }

  /** Tables that need a bind: not compared yet, or with keys in doubt. */
  open(): TableName[] {
    return [...this.entries.values()].filter(isOpen).map(({ table }) => table);
  }

  /** The keys an earlier bind left in doubt; null when the whole table is to be compared. */
  doubtfulKeys(table: TableName): readonly string[][] | null {
    return this.entries.get(tableId(table))?.doubtful ?? null;
  }

  refuse(table: TableName, reason: string): void {
    const found = this.entries.get(tableId(table));
    if (found) found.refusal = reason;
  }

  record(finding: TableFinding, method: BindMethod): void {
    this.method = method;
    const found = this.entries.get(tableId(finding.shape))!;
    found.refusal = finding.refusal;
    found.waitsFor = finding.moved;
    if (finding.refusal !== null) return;
    if (finding.moved !== null) {
      // What earlier binds found of it still stands only for the rows they judged; all of it is read again.
      const { table, estimatedRows, bytes, asked } = found;
      Object.assign(found, entry(table, estimatedRows, bytes, asked), { waitsFor: finding.moved });
      return;
    }
    this.lsns.add(finding.lsn);
    found.rows = finding.rows ?? found.rows;
    found.lsn ??= finding.lsn;
    found.doubtful = finding.doubtful;
    const { counts, listed } = finding.differences;
    for (const kind of ['missing', 'extra', 'different'] as const) found.counts[kind] += counts[kind];
    found.differences.push(...listed);
  }

  /** No further bind was possible: open tables get that verdict. */
  giveUp(obstacle: { verdict: 'stalled' | 'pending'; reason: string }): void {
    this.obstacle = obstacle;
  }

  progress(): VerificationProgress {
    const progress = { rowsDone: 0, rowsTotal: 0, bytesDone: 0, bytesTotal: 0 };
    for (const { rows, lsn, refusal, estimatedRows, bytes } of this.entries.values()) {
      if (refusal !== null) continue;
      progress.rowsTotal += rows ?? estimatedRows;
      progress.bytesTotal += bytes;
      if (lsn === null) continue;
      progress.rowsDone += rows ?? estimatedRows;
      progress.bytesDone += bytes;
    }
    return progress;
  }

  conclude(): LinkVerification {
    const tables = [...this.entries.values()].map((found) => this.verified(found));
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
      differences: [...this.entries.values()].flatMap(({ differences }) => differences),
    };
  }

  private verified(found: Entry): VerifiedTable {
    const { verdict, reason } = this.judge(found);
    return {
      ...found.table,
      verdict,
      reason,
      rows: found.rows,
      verifiedLsn: verdict === 'equal' || verdict === 'different' ? found.lsn : null,
      differences: found.counts,
    };
  }

  private judge(found: Entry): { verdict: Verdict; reason: string | null } {
    const { missing, extra, different } = found.counts;
    if (missing + extra + different > 0) return { verdict: 'different', reason: null };
    if (found.refusal !== null) return { verdict: 'not-comparable', reason: found.refusal };
    if (!isOpen(found)) return { verdict: 'equal', reason: null };
    if (this.obstacle) return this.obstacle;
    const keys = found.doubtful ? `whether ${found.doubtful.length} keys agree could not be told yet` : null;
    return { verdict: 'pending', reason: found.waitsFor ?? keys };
  }
}

function isOpen({ refusal, doubtful }: Entry): boolean {
  return refusal === null && (doubtful === null || doubtful.length > 0);
}

function entry(table: TableName, estimatedRows: number, bytes: number, asked: readonly string[][] | null): Entry {
  const { schema, name } = table;
  return {
    ...{ table: { schema, name }, estimatedRows, bytes, rows: null, lsn: null },
    ...{ counts: { missing: 0, extra: 0, different: 0 }, differences: [] },
    ...{ asked, doubtful: asked, waitsFor: null, refusal: null },
  };
}
