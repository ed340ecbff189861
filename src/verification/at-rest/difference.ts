import type { Lsn } from '../../shared/lsn.js';
import type { TableShape } from './table-shape.js';
import { cutAt } from '../../shared/cut-text.js';

export type DifferenceKind = 'missing' | 'extra' | 'different';

export interface ColumnDifference {
  name: string;
  /** Output text; null is SQL NULL or, for a row that one side lacks, no value. Long values are cut, and say so. */
  publisher: string | null;
  subscriber: string | null;
}

/** One row that the sides do not agree on, at `publisherLsn`. */
export interface Difference {
  schema: string;
  table: string;
  /** `missing`: on the publisher only; `extra`: on the subscriber only. */
  kind: DifferenceKind;
  /** Column name to output text; null for a table without a usable key, whose row is then in `columns`. */
  key: Record<string, string | null> | null;
  columns: ColumnDifference[];
  /** How many equal rows it stands for; above 1 only without a key. */
  count: number;
  publisherLsn: Lsn;
}

export interface DifferenceCounts {
  missing: number;
  extra: number;
  different: number;
}

/** Differences of one table: the first ones in full, all of them counted. */
export class Differences {
  readonly counts: DifferenceCounts = { missing: 0, extra: 0, different: 0 };
  readonly listed: Difference[] = [];

  constructor(
    private readonly shape: TableShape,
    private readonly publisherLsn: Lsn,
    /** How many are kept in full; the rest is only counted. */
    readonly limit: number,
  ) {}

  get found(): boolean {
    return this.counts.missing + this.counts.extra + this.counts.different > 0;
  }

  get full(): boolean {
    return this.listed.length >= this.limit;
  }

  /** Counts a difference, and lists it unless the limit is reached. */
  add(
    kind: DifferenceKind,
    key: readonly (string | null)[] | null,
    publisher: readonly (string | null)[] | null,
    subscriber: readonly (string | null)[] | null,
    count = 1,
  ): void {
    this.counts[kind] += count;
    if (this.full) return;
    const names = this.shape.key?.map((column) => column.name) ?? [];
    this.listed.push({
      schema: this.shape.schema,
      table: this.shape.name,
      kind,
      key: key && Object.fromEntries(names.map((name, index) => [name, key[index] ?? null])),
      columns: this.columns(publisher, subscriber),
      count,
      publisherLsn: this.publisherLsn,
    });
  }

  /** Counts differences that are not listed. */
  countOnly(kind: DifferenceKind, count: number): void {
    this.counts[kind] += count;
  }

  private columns(
    publisher: readonly (string | null)[] | null,
    subscriber: readonly (string | null)[] | null,
  ): ColumnDifference[] {
    return this.shape.columns.flatMap((column, position) => {
      const ours = publisher?.[position] ?? null;
      const theirs = subscriber?.[position] ?? null;
      if (publisher && subscriber && ours === theirs) return [];
      return [{ name: column.name, ...excerpts(ours, theirs) }];
    });
  }
}

const EXCERPT = 1000;

/** Long values are cut around the first place where they differ, so that the difference can be seen. */
function excerpts(publisher: string | null, subscriber: string | null): Omit<ColumnDifference, 'name'> {
  let start = 0;
  if (publisher !== null && subscriber !== null && Math.max(publisher.length, subscriber.length) > EXCERPT) {
    while (publisher[start] === subscriber[start]) start++;
    start = Math.max(0, start - 100);
  }
  return { publisher: excerpt(publisher, start), subscriber: excerpt(subscriber, start) };
}

function excerpt(value: string | null, start: number): string | null {
  if (value === null || (start === 0 && value.length <= EXCERPT)) return value;
  const from = cutAt(value, start);
  const to = cutAt(value, Math.min(start + EXCERPT, value.length));
  return `${value.slice(from, to)} [characters ${from + 1} to ${to} of ${value.length}]`;
}
