import type { TableName } from '../../postgres/catalog/tables.js';
import { majorOf } from '../../shared/server-version.js';
import { sameExpression, type Sameness } from './expression-text.js';
import type { Side, TablePair } from './finding.js';

/** A rule of one side: what it says, what it reads, and where it is declared. */
export interface Said {
  texts: readonly string[];
  columns: readonly string[];
  on: TableName;
  whole: boolean;
}

/**
 * Whether the other side holds rows to the same: to one of `others` that is of all its rows, or of a table of the same
 * name. Unknown only where one over the same columns is there.
 */
export function heldBy<T extends Said>(
  pair: TablePair,
  side: Side,
  rule: Said,
  others: readonly T[],
): { sameness: Sameness; other: T | null } {
  const around = others.filter(
    (other) => sameNames(other.columns, rule.columns) && (other.whole || sameTable(other.on, rule.on)),
  );
  let unclear: T | null = null;
  for (const other of around) {
    const sameness = sameTexts(pair, side, rule, other);
    if (sameness === 'same') return { sameness, other };
    if (sameness === 'unknown') unclear = other;
  }
  return { sameness: unclear === null ? 'differs' : 'unknown', other: unclear };
}

/** All of `rule`'s texts, each by each. */
function sameTexts(pair: TablePair, side: Side, rule: Said, other: Said): Sameness {
  if (rule.texts.length !== other.texts.length) return 'differs';
  const each = rule.texts.map((text, at) => sameText(pair, side, text, other.texts[at]!, rule.columns));
  return each.includes('differs') ? 'differs' : each.includes('unknown') ? 'unknown' : 'same';
}

/** @param side of the first text */
export function sameText(
  { publisher, subscriber, versions }: TablePair,
  side: Side,
  text: string,
  other: string,
  columns: readonly string[],
): Sameness {
  const [here, there] =
    side === 'publisher' ? (['publisher', 'subscriber'] as const) : (['subscriber', 'publisher'] as const);
  const typeOf = (table: TablePair['publisher'], name: string) =>
    table.columns.find((column) => column.name === name)?.type;
  const typesDiffer = columns.some((name) => typeOf(publisher, name) !== typeOf(subscriber, name));
  return sameExpression(
    { text, versionNum: versions[here] },
    { text: other, versionNum: versions[there] },
    typesDiffer,
  );
}

/** What is said of a rule that cannot be compared. */
export function notTold(
  { versions }: TablePair,
  subscriber: string,
  publisher: string,
): { detail: string; advice: string } {
  const printed = (side: Side, text: string) => `${text} (${side}, ${majorOf(versions[side])})`;
  return {
    detail: `${printed('subscriber', subscriber)} and ${printed('publisher', publisher)} cannot be compared: versions and types print one expression differently`,
    advice: 'Compare them by eye. If they are not the same, the subscriber’s may refuse what the publisher takes.',
  };
}

function sameNames(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name) => other.includes(name));
}

function sameTable(one: TableName, other: TableName): boolean {
  return one.schema === other.schema && one.name === other.name;
}
