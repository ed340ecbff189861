export type Covered = 'yes' | 'no' | 'unknown';

type Bound =
  | { kind: 'default' }
  | { kind: 'list'; values: string[] }
  | { kind: 'range'; from: string[]; to: string[] }
  | { kind: 'hash'; modulus: number; remainder: number };

/** Types whose values compare here as they do there: integers by number, the others by how ISO writes them in UTC. */
const NUMBERS = new Set(['smallint', 'integer', 'bigint']);
const TIMES = /^(?:date|timestamp(?:\(\d\))? with(?:out)? time zone)$/;
const WRITTEN = /^\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d+)?(?:\+00)?)?$/;
const LEAST = 'MINVALUE';
const MOST = 'MAXVALUE';
const MOST_RESIDUES = 10_000;

/**
 * Whether the partitions of those bounds take every row that one of `bound` holds, under the same partition key. Bounds
 * are as servers print them.
 *
 * @param type of the key's only column, the same on both sides; null: it has several, or the types differ
 */
export function covers(bounds: readonly string[], bound: string, type: string | null): Covered {
  if (bounds.length === 0) return 'no';
  if (bounds.includes(bound)) return 'yes';
  const parsed = bounds.map(parse);
  const wanted = parse(bound);
  if (parsed.some((each) => each?.kind === 'default')) return 'yes';
  if (wanted === null || parsed.includes(null)) return 'unknown';
  if (wanted.kind === 'default') return 'no';
  if (wanted.kind === 'list') {
    const known = new Set(parsed.flatMap((each) => (each?.kind === 'list' ? each.values : [])));
    return wanted.values.every((value) => known.has(value)) ? 'yes' : 'no';
  }
  if (wanted.kind === 'hash') {
    const others = parsed.filter((each) => each?.kind === 'hash');
    return residuesCovered(others, wanted.modulus, wanted.remainder);
  }
  const ranges = parsed.filter((each) => each?.kind === 'range');
  return type === null ? 'unknown' : rangeCovered(ranges, wanted, type);
}

/** Whether partitions of those bounds take every row there can be. */
export function coversAll(bounds: readonly string[]): boolean {
  const parsed = bounds.map(parse);
  if (parsed.some((each) => each?.kind === 'default')) return true;
  const hashes = parsed.filter((each) => each?.kind === 'hash');
  return hashes.length > 0 && residuesCovered(hashes, 1, 0) === 'yes';
}

function residuesCovered(
  hashes: { modulus: number; remainder: number }[],
  modulus: number,
  remainder: number,
): Covered {
  const largest = [modulus, ...hashes.map((each) => each.modulus)].reduce(leastMultiple);
  if (largest > MOST_RESIDUES) return 'unknown';
  for (let residue = remainder; residue < largest; residue += modulus) {
    if (!hashes.some((each) => residue % each.modulus === each.remainder)) return 'no';
  }
  return 'yes';
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
function rangeCovered(ranges: Range[], { from, to }: Range, type: string): Covered {
  const all = [...ranges.flatMap((range) => [...range.from, ...range.to]), ...from, ...to];
  if (from.length !== 1 || !all.every((value) => isComparable(value, type))) return 'unknown';
  let reached = from[0]!;
  for (;;) {
    if (atMost(to[0]!, reached, type)) return 'yes';
    const next = ranges.find((range) => atMost(range.from[0]!, reached, type) && !atMost(range.to[0]!, reached, type));
    if (!next) return 'no';
    reached = next.to[0]!;
  }
}

function isComparable(value: string, type: string): boolean {
  if (value === LEAST || value === MOST) return true;
  return NUMBERS.has(type) ? /^-?\d+$/.test(value) : TIMES.test(type) && WRITTEN.test(value);
}

function atMost(one: string, other: string, type: string): boolean {
  if (one === other || one === LEAST || other === MOST) return true;
  if (one === MOST || other === LEAST) return false;
  return NUMBERS.has(type) ? BigInt(one) <= BigInt(other) : one <= other;
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
    // NULL and the string of that name are two values.
    found.push(match[1] === undefined ? match[2]! : match[1] === 'NULL' ? "'NULL'" : match[1]);
  }
  return found;
}
