import type { TableDefinition } from '../../postgres/catalog/table-definitions.js';
import type { IndexRule } from '../../postgres/catalog/table-rules.js';
import type { TableName } from '../../postgres/catalog/tables.js';
import type { Statement } from '../../postgres/ddl/statement.js';
import * as ddl from '../../postgres/ddl/table-change.ddl.js';
import { type Finding, onSubscriber, PHASES, type TablePair } from './finding.js';
import { heldBy, notTold, type Said, sameText } from './held.js';
import type { Sameness } from './expression-text.js';

type Kind = 'unique-index' | 'exclusion-constraint';
type Told = { sameness: Sameness; other: IndexRule | null };

/** Unique indexes beyond plain keys, and exclusion constraints, including keys WITHOUT OVERLAPS. */
export function indexDrift(pair: TablePair): Finding[] {
  const { publisher, subscriber } = pair;
  const [ours, theirs] = [publisher.rules, subscriber.rules];
  const excludes = ours.exclusions.filter(({ valid }) => valid).map(saidByExclusion);
  return [
    ...refusing(pair, 'unique-index', theirs.uniques, (rule) => impliedUnique(pair, rule)),
    ...refusing(pair, 'exclusion-constraint', theirs.exclusions, (rule) =>
      heldBy(pair, 'subscriber', saidByExclusion(rule), excludes),
    ),
    ...lacking(pair, 'unique-index', ours.uniques, (rule) =>
      theirs.uniques.some((other) => impliesUnique(pair, other, rule) !== 'differs'),
    ),
    ...lacking(pair, 'exclusion-constraint', ours.exclusions, (rule) => {
      const others = theirs.exclusions.map(saidByExclusion);
      return heldBy(pair, 'publisher', saidByExclusion(rule), others).sameness !== 'differs';
    }),
  ];
}

/** Over columns that are sent alone: others are filled by the subscriber. */
function refusing(
  pair: TablePair,
  kind: Kind,
  rules: readonly IndexRule[],
  tell: (rule: IndexRule) => Told,
): Finding[] {
  return rules
    .filter(({ columns, immediate }) => immediate && columns.every((name) => pair.sent.includes(name)))
    .flatMap((rule) => {
      const { sameness, other } = tell(rule);
      if (sameness === 'same') return [];
      return [other === null ? onlyThere(pair, kind, rule) : unclear(pair, kind, rule, other)];
    });
}

function lacking(
  pair: TablePair,
  kind: Kind,
  rules: readonly IndexRule[],
  there: (rule: IndexRule) => boolean,
): Finding[] {
  return rules
    .filter(
      (rule) => rule.whole && rule.valid && rule.columns.every((name) => pair.sent.includes(name)) && !there(rule),
    )
    .map((rule) => ({
      ...{ kind, table: nameOf(pair.publisher), column: null, side: 'subscriber', impact: 'none' },
      detail: `only the publisher has ${quote(rule.name)}: ${rule.definition}`,
      advice: 'Nothing is refused for it. The subscriber needs it once it has writers of its own.',
      mends: onSubscriber(PHASES.optional, made(rule)),
    }));
}

function made({ on, constraint, definition }: IndexRule): Statement {
  if (constraint !== null) return ddl.addConstraint(on, constraint, definition);
  return ddl.createIndex(definition.replace(/ ON ONLY /, ' ON '));
}

/** By a key of the publisher over some of its columns, or by another such index. */
function impliedUnique(pair: TablePair, rule: IndexRule): Told {
  const { publisher } = pair;
  const byKey = publisher.keys.some(
    ({ immediate, columns }) =>
      immediate &&
      columns.every((column) => rule.plain.includes(column)) &&
      (!rule.nullsNotDistinct || columns.every((column) => isNotNull(publisher, column))),
  );
  if (byKey) return { sameness: 'same', other: null };
  const others = publisher.rules.uniques.filter(
    ({ valid, immediate, whole, on }) => valid && immediate && (whole || sameTable(on, rule.on)),
  );
  let found: Told = { sameness: 'differs', other: null };
  for (const other of others) {
    const sameness = impliesUnique(pair, other, rule);
    if (sameness === 'same') return { sameness, other };
    if (sameness === 'unknown') found = { sameness, other };
  }
  return found;
}

/** Whether rows that are unique by `one`, of the other side than `rule`, are unique by `rule` as well. */
function impliesUnique(pair: TablePair, one: IndexRule, rule: IndexRule): Sameness {
  const side = pair.subscriber.rules.uniques.includes(rule) ? 'subscriber' : 'publisher';
  if (rule.nullsNotDistinct && !one.nullsNotDistinct) return 'differs';
  const compared = one.elements.map((element) => {
    const each = rule.elements.map((other) => sameText(pair, side, other, element, rule.columns));
    return each.includes('same') ? 'same' : each.includes('unknown') ? 'unknown' : 'differs';
  });
  if (one.predicate !== null) {
    compared.push(
      rule.predicate === null ? 'differs' : sameText(pair, side, rule.predicate, one.predicate, rule.columns),
    );
  }
  return compared.includes('differs') ? 'differs' : compared.includes('unknown') ? 'unknown' : 'same';
}

/** A primary key WITHOUT OVERLAPS excludes what a unique one does. */
function saidByExclusion(rule: IndexRule): IndexRule & Said {
  const text = rule.definition
    .replace(/^PRIMARY KEY /, 'UNIQUE ')
    .replace(/(?: NOT)? DEFERRABLE(?: INITIALLY (?:DEFERRED|IMMEDIATE))?$/, '');
  return { ...rule, texts: [text] };
}

function onlyThere({ publisher, subscriber }: TablePair, kind: Kind, rule: IndexRule): Finding {
  const identifies = subscriber.keys.some(
    ({ name, primary, identity }) => name === rule.index && (primary || identity),
  );
  const drop = ddl.dropKey(rule.on, { name: rule.constraint ?? rule.name, constraint: rule.constraint !== null });
  const invalid = rule.valid ? '' : ' (it is not valid, and held to all the same)';
  return {
    ...{ kind, table: nameOf(publisher), column: null, side: 'subscriber', impact: 'may-stop-apply' },
    detail: `only the subscriber holds rows to ${quote(rule.name)}${invalid}: ${rule.definition}`,
    advice: identifies
      ? 'The subscriber finds rows by it: make the same on the publisher, rather than drop it.'
      : 'Or make the same on the publisher.',
    mends: identifies ? [] : onSubscriber(PHASES.shrinkSubscriber, drop),
  };
}

function unclear(pair: TablePair, kind: Kind, rule: IndexRule, other: IndexRule): Finding {
  return {
    ...{ kind, table: nameOf(pair.publisher), column: null, side: 'subscriber', impact: 'unknown', mends: [] },
    ...notTold(pair, `${quote(rule.name)} ${rule.definition}`, `${quote(other.name)} ${other.definition}`),
  };
}

function isNotNull({ columns }: TableDefinition, column: string): boolean {
  return columns.some(({ name, notNull }) => name === column && notNull);
}

function sameTable(one: TableName, other: TableName): boolean {
  return one.schema === other.schema && one.name === other.name;
}

function nameOf({ schema, name }: TableName): TableName {
  return { schema, name };
}

function quote(name: string): string {
  return JSON.stringify(name);
}
