import type { ColumnDefinition } from '../../postgres/catalog/table-definitions.js';

export type Covered = 'yes' | 'no' | 'unknown';

type Bound =
  | { kind: 'default' }
  | { kind: 'list'; values: string[] }
  | { kind: 'range'; from: string[]; to: string[] }
  | { kind: 'hash'; modulus: number; remainder: number };

/**
 * How values compare by the text that servers print: integers by number, times as ISO writes them in UTC. `text`: they
 * are equal where their texts are and only there, and nothing is known of their order.
 */
export type Comparison = 'number' | 'time' | 'text';

const NUMBERS = new Set(['smallint', 'integer', 'bigint']);
const TIMES = /^(?:date|timestamp(?:\(\d\))? with(?:out)? time zone)$/;
const TEXTS = /^(?:text|uuid|boolean|character varying(?:\(\d+\))?)$/;
const WRITTEN = /^\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d+)?(?:\+00)?)?$/;
const MOST_RESIDUES = 10_000;
/** Not in quotes: the string of that name is another value. */
const NULL = 'NULL';

/** Null: not known, as of what prints equal values differently (numeric, float, citext, collations that are not exact). */
export function comparisonOf({ type, base, collation, enumName }: ColumnDefinition): Comparison | null {
  if (NUMBERS.has(base)) return 'number';
  if (TIMES.test(base)) return 'time';
  if (enumName !== null && !base.endsWith('[]')) return 'text';
  // Collations that come with PostgreSQL are deterministic; a domain may have one of its own.
  return TEXTS.test(type) && (collation === null || collation.startsWith('pg_catalog.')) ? 'text' : null;
}

/**
 * What partitions of those bounds take together: to be asked for whether they take every row that one of another bound
 * holds, under the same partition key. Bounds are as servers print them, of partitions of one table.
 *
 * @param comparison of the key's only column on both sides; null: it has several, or they are not to be compared
 */
export function coverage(bounds: readonly string[], comparison: Comparison | null): (bound: string) => Covered {
  if (bounds.length === 0) return () => 'no';
  const known = new Set(bounds);
  const parsed = bounds.map(parse);
  if (parsed.some((each) => each?.kind === 'default')) return () => 'yes';
  const unclear = parsed.includes(null);
  const values = new Set(parsed.flatMap((each) => (each?.kind === 'list' ? each.values : [])));
  const residues = residueCoverage(parsed.filter((each) => each?.kind === 'hash'));
  const ranges = rangeCoverage(
    parsed.filter((each) => each?.kind === 'range'),
    comparison,
  );
  return (bound) => {
    if (known.has(bound)) return 'yes';
    const wanted = parse(bound);
    if (wanted === null || unclear) return 'unknown';
    if (wanted.kind === 'default') return 'no';
    if (wanted.kind === 'hash') return residues(wanted);
    if (wanted.kind === 'range') return ranges(wanted);
    const others = wanted.values.filter((value) => !values.has(value));
    if (others.length === 0) return 'yes';
    return comparison !== null || others.includes(NULL) ? 'no' : 'unknown';
  };
}

/** Whether partitions of those bounds take every row there can be. */
export function coversAll(bounds: readonly string[]): boolean {
  const parsed = bounds.map(parse);
  if (parsed.some((each) => each?.kind === 'default')) return true;
  const hashes = parsed.filter((each) => each?.kind === 'hash');
  return residueCoverage(hashes)({ modulus: 1, remainder: 0 }) === 'yes';
}

interface Residue {
  modulus: number;
  remainder: number;
}

function residueCoverage(hashes: readonly Residue[]): (wanted: Residue) => Covered {
  const period = hashes.map(({ modulus }) => modulus).reduce(leastMultiple, 1);
  if (period > MOST_RESIDUES) return () => 'unknown';
  const taken = new Set<number>();
  for (const { modulus, remainder } of hashes) {
    for (let residue = remainder; residue < period; residue += modulus) taken.add(residue);
  }
  return ({ modulus, remainder }) => {
    const most = leastMultiple(period, modulus);
    if (most > MOST_RESIDUES) return 'unknown';
    for (let residue = remainder; residue < most; residue += modulus) {
      if (!taken.has(residue % period)) return 'no';
    }
    return 'yes';
  };
}

function leastMultiple(one: number, other: number): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  return (one / divisor(one, other)) * other;
}

interface Range {
  from: string[];
  to: string[];
}

/** Of one column: walks from the lower bound up, as far as the ranges go without a gap. */
function rangeCoverage(ranges: readonly Range[], comparison: Comparison | null): (wanted: Range) => Covered {
  const unordered = comparison === null || comparison === 'text';
  const found = unordered ? [] : ranges.map((range) => intervalOf(range, comparison));
  if (unordered || found.includes(null)) return () => 'unknown';
  const inOrder = found.filter((each) => each !== null).sort((one, other) => (one.from < other.from ? -1 : 1));
  return (range) => {
    const wanted = intervalOf(range, comparison);
    if (wanted === null) return 'unknown';
    let reached = wanted.from;
    for (let at = lastFrom(inOrder, reached); reached < wanted.to; at++) {
      const next = inOrder[at];
      if (next === undefined || next.from > reached || next.to <= reached) return 'no';
      reached = next.to;
    }
    return 'yes';
  };
}

type Point = number | bigint | string;

interface Interval {
  from: Point;
  to: Point;
}

/** Where the last one of them is that begins at `reached` or below; -1: there is none. */
function lastFrom(inOrder: readonly Interval[], reached: Point): number {
  let [low, high] = [0, inOrder.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (inOrder[middle]!.from <= reached) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Null: it is of several columns, or of values that do not compare as they are written. */
function intervalOf({ from, to }: Range, comparison: 'number' | 'time'): Interval | null {
  if (from.length !== 1) return null;
  const [first, last] = [pointOf(from[0]!, comparison), pointOf(to[0]!, comparison)];
  return first === null || last === null ? null : { from: first, to: last };
}

function pointOf(value: string, comparison: 'number' | 'time'): Point | null {
  const numbers = comparison === 'number';
  if (value === 'MINVALUE') return numbers ? -Infinity : '';
  if (value === 'MAXVALUE') return numbers ? Infinity : '~';
  if (numbers) return /^-?\d+$/.test(value) ? BigInt(value) : null;
  return WRITTEN.test(value) ? value : null;
}

function parse(text: string): Bound | null {
  if (text === 'DEFAULT') return { kind: 'default' };
  const hash = /^FOR VALUES WITH \(modulus (\d+), remainder (\d+)\)$/.exec(text);
  if (hash) return { kind: 'hash', modulus: Number(hash[1]), remainder: Number(hash[2]) };
  const list = /^FOR VALUES IN \((.*)\)$/s.exec(text);
  if (list) {
    const values = literals(list[1]!);
    return values === null ? null : { kind: 'list', values };
  }
  const range = /^FOR VALUES FROM \((.*)\) TO \((.*)\)$/s.exec(text);
  if (!range) return null;
  const [from, to] = [literals(range[1]!), literals(range[2]!)];
  return from === null || to === null ? null : { kind: 'range', from, to };
}

/** Constants between commas, each without the quotes around it; null: there is something else. */
function literals(text: string): string[] | null {
  const found: string[] = [];
  const each = /\s*(?:'((?:[^']|'')*)'|([A-Za-z0-9.+-]+))\s*(,|$)/y;
  while (each.lastIndex < text.length) {
    const match = each.exec(text);
    if (!match) return null;
    found.push(match[1] === undefined ? match[2]! : match[1] === NULL ? `'${NULL}'` : match[1]);
  }
  return found;
}
