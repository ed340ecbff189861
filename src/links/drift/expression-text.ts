import { majorOf, PG14 } from '../../shared/server-version.js';

/** An expression as the server of that version prints it. */
export interface PrintedExpression {
  text: string;
  versionNum: number;
}

export type Sameness = 'same' | 'differs' | 'unknown';

type Node = string | Node[];

const TOKEN =
  /\s+|((?:[eE]|[bBxX])?'(?:[^']|'')*')|("(?:[^"]|"")*")|([\p{L}_][\p{L}\p{N}_$]*)|(\d[\d.]*(?:e[+-]?\d+)?)|(::)|([-+*/<>=~!@#%^&|`?]+)|(.)/gsu;
const PLAIN_NAME = /^"[a-z_][a-z0-9_$]*"$/;
const STRING = /^(?:[eE]|[bBxX])?'/;
/** Printed in capitals, and alike by all versions. */
const STABLE_WORDS = new Set(
  `AND OR NOT IS NULL TRUE FALSE UNKNOWN CASE WHEN THEN ELSE END ANY ALL ARRAY ROW COLLATE DISTINCT FROM COALESCE
   GREATEST LEAST NULLIF CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP LOCALTIME LOCALTIMESTAMP CURRENT_USER SESSION_USER
   CURRENT_ROLE CURRENT_SCHEMA CURRENT_CATALOG VALUE OPERATOR WITH EXCLUDE USING WHERE ASC DESC NULLS FIRST LAST
   UNIQUE`.split(/\s+/),
);

/**
 * Whether both say the same. The text decides, rid of what versions print differently: needless quotes and parentheses,
 * and functions that have a syntax of their own since 14 (EXTRACT, SUBSTRING, TRIM, POSITION, OVERLAY, AT TIME ZONE).
 * `unknown` where only casts differ, which follow the types of columns and versions, or other syntax is in the way.
 */
export function sameExpression(one: PrintedExpression, other: PrintedExpression, typesDiffer: boolean): Sameness {
  const versionsDiffer = majorOf(one.versionNum) !== majorOf(other.versionNum);
  const beforeSyntax = one.versionNum < PG14 || other.versionNum < PG14;
  const [mine, theirs] = [one, other].map(({ text }) => canonical(parse(text), beforeSyntax));
  if (written(mine!) === written(theirs!)) return 'same';
  if ((typesDiffer || versionsDiffer) && loose(mine!) === loose(theirs!)) return 'unknown';
  return versionsDiffer && (hasOwnSyntax(mine!) || hasOwnSyntax(theirs!)) ? 'unknown' : 'differs';
}

function parse(text: string): Node[] {
  const stack: Node[][] = [[]];
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '(') stack.push([]);
    else if (token === ')' && stack.length > 1) {
      const group = stack.pop()!;
      stack.at(-1)!.push(group);
    } else if (token.trim() !== '') stack.at(-1)!.push(PLAIN_NAME.test(token) ? token.slice(1, -1) : token);
  }
  return stack[0]!;
}

/** @param asCalls functions with a syntax of their own are written as calls, as before 14 */
function canonical(nodes: readonly Node[], asCalls: boolean): Node[] {
  const inner = nodes.map((node) => (typeof node === 'string' ? node : canonical(node, asCalls)));
  const called = asCalls ? inner.flatMap((node, at) => asCall(node, inner[at - 1], inner[at + 1])) : inner;
  const zoned = asCalls ? inZone(called) : called;
  const bare = zoned.flatMap((node) => (typeof node !== 'string' && isNeedless(node) ? node : [node]));
  return bare.length === 1 && typeof bare[0] !== 'string' ? bare[0]! : bare;
}

/** Parentheses around one thing, or around one call. */
function isNeedless([first, second, ...more]: readonly Node[]): boolean {
  if (second === undefined) return first !== undefined;
  return typeof first === 'string' && /^[\p{Ll}_"]/u.test(first) && typeof second !== 'string' && more.length === 0;
}

function asCall(node: Node, before: Node | undefined, after: Node | undefined): Node[] {
  if (typeof node === 'string') {
    return Array.isArray(after) && callOf(node, after) !== null ? [] : [node];
  }
  return (typeof before === 'string' ? callOf(before, node) : null) ?? [node];
}

/** Name and arguments; null: it has no syntax of its own that we know. */
function callOf(word: string, group: readonly Node[]): Node[] | null {
  const parts = (...words: string[]) => splitAt(group, words);
  switch (word) {
    case 'EXTRACT': {
      const [field, from] = parts('FROM');
      return from ? ['date_part', [`'${String(field)}'`, '::', 'text', ',', ...from]] : null;
    }
    case 'POSITION': {
      const [part, whole] = parts('IN');
      return whole ? ['position', [...whole, ',', ...part!]] : null;
    }
    case 'SUBSTRING':
      return group.includes('FROM') ? ['substring', joined(parts('FROM', 'FOR'))] : null;
    case 'OVERLAY':
      return group.includes('PLACING') ? ['overlay', joined(parts('PLACING', 'FROM', 'FOR'))] : null;
    case 'TRIM': {
      const [which, ...first] = group;
      const name = { BOTH: 'btrim', LEADING: 'ltrim', TRAILING: 'rtrim' }[String(which)];
      const [characters, whole] = splitAt(first, ['FROM']);
      return name && whole ? [name, joined([whole, characters!].filter((part) => part.length > 0))] : null;
    }
    default:
      return null;
  }
}

function inZone(nodes: Node[]): Node[] {
  const at = nodes.findIndex(
    (node, index) => node === 'AT' && nodes[index + 1] === 'TIME' && nodes[index + 2] === 'ZONE',
  );
  return at < 0 ? nodes : ['timezone', [...nodes.slice(at + 3), ',', ...nodes.slice(0, at)]];
}

function splitAt(nodes: readonly Node[], words: readonly string[]): Node[][] {
  const parts: Node[][] = [[]];
  for (const node of nodes) {
    if (typeof node === 'string' && words.includes(node)) parts.push([]);
    else parts.at(-1)!.push(node);
  }
  return parts.map((part) => (part.length === 1 && typeof part[0] !== 'string' ? part[0]! : part));
}

function joined(parts: readonly Node[][]): Node[] {
  return parts.flatMap((part, index) => (index === 0 ? part : [',', ...part]));
}

function written(nodes: readonly Node[]): string {
  return nodes.map((node) => (typeof node === 'string' ? node : `( ${written(node)} )`)).join(' ');
}

/** Without casts and parentheses. */
function loose(nodes: readonly Node[]): string {
  const flat = flatten(nodes);
  const kept: string[] = [];
  for (let at = 0; at < flat.length; at += 1) {
    if (flat[at] !== '::') kept.push(flat[at]!);
    else while (/^(?:[a-z_"].*|\.|\[|\]|\d+)$/su.test(flat[at + 1] ?? '')) at += 1;
  }
  return kept.join(' ');
}

function flatten(nodes: readonly Node[]): string[] {
  return nodes.flatMap((node) => (typeof node === 'string' ? [node] : flatten(node)));
}

function hasOwnSyntax(nodes: readonly Node[]): boolean {
  return flatten(nodes).some(
    (token) => /^[A-Z][A-Z_]+$/.test(token) && !STRING.test(token) && !STABLE_WORDS.has(token),
  );
}
