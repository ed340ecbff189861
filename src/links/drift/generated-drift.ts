import { PG17, PG18 } from '../../shared/server-version.js';
import type { GeneratedRule } from '../../postgres/catalog/table-rules.js';
import type { ColumnDefinition } from '../../postgres/catalog/table-definitions.js';
import type { TableName } from '../../postgres/catalog/tables.js';
import * as ddl from '../../postgres/ddl/table-change.ddl.js';
import { alteredTable, type Finding, type Mend, onSubscriber, PHASES, type TablePair } from './finding.js';
import { notTold, sameText } from './held.js';
import { newColumn } from './new-column.js';

/** Columns that each side computes for itself: they differ where the expressions do, and NOT NULL may refuse a row. */
export function generatedDrift(pair: TablePair): Finding[] {
  const computed = pair.subscriber.rules.generated.filter(({ name }) => !pair.sent.includes(name));
  return computed.flatMap((theirs) => [...expressionsDiffer(pair, theirs), ...nullRefused(pair, theirs.name)]);
}

/**
 * A column that the publisher computes and does not send, and that nothing computes on the subscriber. One that a column
 * list leaves out beside ordinary ones was not wanted.
 */
export function notGenerated(pair: TablePair, ours: ColumnDefinition, theirs: ColumnDefinition): Finding[] {
  const { publisher, subscriber, sent, versions } = pair;
  if (publisher.columns.some((column) => column.generated === null && !sent.includes(column.name))) return [];
  const rule = publisher.rules.generated.find((each) => each.name === ours.name);
  if (!rule) return [];
  const table = alteredTable(subscriber);
  const made = { ...newColumn(ours), default: null };
  const send =
    versions.publisher >= PG18 && ours.generated === 'stored'
      ? ' Or let the publications send it (publish_generated_columns = stored), and resync the table: then every subscriber needs it as a plain column.'
      : '';
  return [
    {
      ...{ kind: 'column-not-generated', table: nameOf(publisher), column: ours.name, side: 'subscriber' },
      impact: 'may-differ',
      detail: `the publisher computes the column ${quote(ours.name)} as ${rule.expression} and does not send it, and on the subscriber it is an ordinary one: it ${theirs.hasDefault ? 'gets its default' : 'stays NULL'} there`,
      advice: `Its values, and indexes, constraints and grants on it, go with the column: make them anew.${send}`,
      // Only with the finding: whoever fills it on the subscriber by other means may mean that.
      mends: onSubscriber(
        PHASES.optional,
        ddl.dropColumn(table, ours.name),
        ddl.addGenerated(table, made, rule.expression),
      ),
    },
  ];
}

function expressionsDiffer(pair: TablePair, { name, expression }: GeneratedRule): Finding[] {
  const { publisher, versions } = pair;
  const ours = publisher.rules.generated.find((other) => other.name === name);
  if (!ours) return [];
  const columns = publisher.columns.map((column) => column.name);
  const sameness = sameText(pair, 'subscriber', expression, ours.expression, columns);
  if (sameness === 'same') return [];
  const kind = 'generated-expression';
  const about = { table: nameOf(publisher), column: name, side: 'subscriber' as const };
  if (sameness === 'unknown') {
    const told = notTold(pair, `${quote(name)} ${expression}`, ours.expression);
    return [{ kind, ...about, impact: 'unknown', ...told, mends: [] }];
  }
  return [
    {
      ...{ kind, ...about, impact: 'may-differ', mends: mended(pair, name, ours.expression) },
      detail: `the column ${quote(name)} is computed on each side: as ${ours.expression} on the publisher, as ${expression} on the subscriber`,
      advice:
        versions.subscriber >= PG17
          ? null
          : 'Indexes, constraints and grants on the column go with it: make them anew.',
    },
  ];
}

function mended({ publisher, subscriber, versions }: TablePair, name: string, expression: string): Mend[] {
  const table = alteredTable(subscriber);
  if (versions.subscriber >= PG17) {
    return onSubscriber(PHASES.extendSubscriber, ddl.setExpression(table, name, expression));
  }
  const made = { ...newColumn(publisher.columns.find((column) => column.name === name)!), default: null };
  // Only with the finding: what is on the column goes with it.
  return onSubscriber(PHASES.optional, ddl.dropColumn(table, name), ddl.addGenerated(table, made, expression));
}

function nullRefused({ publisher, subscriber }: TablePair, name: string): Finding[] {
  const isNotNull = (table: TablePair['publisher']) =>
    table.columns.some((column) => column.name === name && column.generated !== null && column.notNull);
  if (!isNotNull(subscriber) || isNotNull(publisher)) return [];
  const inKey = subscriber.keys.some(
    ({ primary, identity, columns }) => (primary || identity) && columns.includes(name),
  );
  return [
    {
      ...{ kind: 'column-not-null', table: nameOf(publisher), column: name, side: 'subscriber' },
      impact: 'may-stop-apply',
      detail: `the column ${quote(name)}, which the subscriber computes, is NOT NULL there only`,
      advice: inKey ? 'It belongs to the subscriber’s key.' : null,
      mends: inKey ? [] : onSubscriber(PHASES.shrinkSubscriber, ddl.dropNotNull(alteredTable(subscriber), name)),
    },
  ];
}

function nameOf({ schema, name }: TableName): TableName {
  return { schema, name };
}

function quote(name: string): string {
  return JSON.stringify(name);
}
