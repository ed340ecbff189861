import type { ColumnDefinition } from '../../postgres/catalog/table-definitions.js';
import * as ddl from '../../postgres/ddl/table-change.ddl.js';
import { alteredTable, type Finding, onPublisher, onSubscriber, PHASES, type TablePair } from './finding.js';
import { notGenerated } from './generated-drift.js';
import { newColumn, typeObstacle, withItsType } from './new-column.js';
import { typeDrift } from './type-drift.js';

/** Differences of columns that matter to what is sent. Their order never does, nor what a column list leaves out. */
export function columnDrift(pair: TablePair): Finding[] {
  const { publisher, subscriber, sent } = pair;
  const ours = byName(publisher.columns);
  const theirs = byName(subscriber.columns);
  const renamed = renames(pair);
  const findings: Finding[] = [];
  for (const name of sent) {
    const column = ours.get(name);
    if (!column) continue;
    const other = theirs.get(name);
    if (!other) findings.push(renamed.has(name) ? renameOf(pair, column, renamed.get(name)!) : missing(pair, column));
    else if (other.generated) findings.push(generated(pair, column, other));
    else findings.push(...typeDrift(pair, column, other), ...nullability(pair, column, other));
  }
  const known = new Set([...sent, ...renamed.values()]);
  for (const column of subscriber.columns) {
    if (!known.has(column.name) && !column.generated) findings.push(...extra(pair, column, ours.get(column.name)));
  }
  return findings;
}

/**
 * Columns that are sent and not there, by the name that they seem to have there: a column of the same type in the same
 * place, which the publisher does not have. One that was dropped and made anew has another place.
 */
function renames({ publisher, subscriber, sent }: TablePair): Map<string, string> {
  const ours = byName(publisher.columns);
  const theirs = byName(subscriber.columns);
  const found = new Map<string, string>();
  for (const name of sent) {
    const column = ours.get(name);
    if (!column || theirs.has(name)) continue;
    const same = subscriber.columns.find(
      (other) => other.position === column.position && other.type === column.type && !other.generated,
    );
    if (same && !ours.has(same.name)) found.set(name, same.name);
  }
  return found;
}

/** A guess: renamed, a column of the subscriber's own would get the publisher's values over its own. */
function renameOf({ publisher, subscriber, knownTypes }: TablePair, column: ColumnDefinition, from: string): Finding {
  const add = ddl.addColumn(alteredTable(subscriber), newColumn(column));
  return {
    ...{ kind: 'column-renamed', table: nameOf(publisher), column: column.name, side: 'subscriber' },
    impact: 'stops-apply',
    detail: `the subscriber has no column ${quote(column.name)}, but ${quote(from)} of the same type in the same place, which the publisher has not`,
    advice: `Rename it only if ${quote(column.name)} is ${quote(from)} renamed. If it is a new column: ${typeObstacle(column, knownTypes) ?? add.redactedSql}`,
    mends: onSubscriber(PHASES.optional, ddl.renameColumn(alteredTable(subscriber), from, column.name)),
  };
}

function missing({ publisher, subscriber, knownTypes }: TablePair, column: ColumnDefinition): Finding {
  const made = newColumn(column);
  const obstacle = typeObstacle(column, knownTypes);
  const lost = column.hasDefault && made.default === null;
  const rows = lost
    ? 'Rows that are there get NULL, where the publisher gave its own a value: resync the table then.'
    : 'Where rows on the publisher have other values in it already that were never sent, resync the table then.';
  return {
    ...{ kind: 'column-missing', table: nameOf(publisher), column: column.name, side: 'subscriber' },
    impact: 'stops-apply',
    detail: `the subscriber has no column ${quote(column.name)} (${column.type})`,
    advice: obstacle ?? rows,
    mends:
      obstacle !== null
        ? []
        : [
            ...withItsType(column, knownTypes),
            ...onSubscriber(PHASES.extendSubscriber, ddl.addColumn(alteredTable(subscriber), made)),
          ],
  };
}

function generated({ publisher, subscriber }: TablePair, ours: ColumnDefinition, theirs: ColumnDefinition): Finding {
  const table = alteredTable(subscriber);
  const statements =
    theirs.generated === 'stored'
      ? [ddl.dropExpression(table, theirs.name)]
      : [ddl.dropColumn(table, theirs.name), ddl.addColumn(table, newColumn({ ...ours, default: null }))];
  return {
    ...{ kind: 'column-generated', table: nameOf(publisher), column: ours.name, side: 'subscriber' },
    impact: 'stops-apply',
    detail: `the column ${quote(ours.name)} is sent, and generated on the subscriber, where nothing can be written to it`,
    advice: theirs.generated === 'virtual' ? 'Rows that are there get NULL: resync the table then.' : null,
    mends: onSubscriber(PHASES.extendSubscriber, ...statements),
  };
}

function nullability(
  { publisher, subscriber }: TablePair,
  ours: ColumnDefinition,
  theirs: ColumnDefinition,
): Finding[] {
  if (!theirs.notNull || ours.notNull) return [];
  const inKey = isKeyColumn(subscriber, ours.name);
  return [
    {
      ...{ kind: 'column-not-null', table: nameOf(publisher), column: ours.name },
      side: inKey ? 'publisher' : 'subscriber',
      impact: 'may-stop-apply',
      detail: `the column ${quote(ours.name)} is NOT NULL on the subscriber only`,
      advice: inKey
        ? `It belongs to the subscriber's key, so it must be NOT NULL on the publisher too; rows with NULL are to be mended first.`
        : null,
      mends: inKey
        ? onPublisher(ddl.setNotNull(alteredTable(publisher), ours.name))
        : onSubscriber(PHASES.extendSubscriber, ddl.dropNotNull(alteredTable(subscriber), ours.name)),
    },
  ];
}

function extra(pair: TablePair, column: ColumnDefinition, ours: ColumnDefinition | undefined): Finding[] {
  const { publisher, subscriber } = pair;
  const onPublisherToo = ours !== undefined;
  const table = alteredTable(subscriber);
  const about = { table: nameOf(publisher), column: column.name, side: 'subscriber' as const };
  const why = onPublisherToo ? 'the publications do not send' : 'the publisher does not have';
  if (column.notNull && !column.hasDefault) {
    const inKey = isKeyColumn(subscriber, column.name);
    return [
      {
        ...{ kind: 'column-extra-not-null', ...about, impact: 'stops-apply' },
        detail: `the column ${quote(column.name)}, which ${why}, is NOT NULL and has no default: no row can be inserted`,
        advice: inKey ? 'It belongs to a key: give it a default, or identity.' : null,
        mends: inKey ? [] : onSubscriber(PHASES.extendSubscriber, ddl.dropNotNull(table, column.name)),
      },
    ];
  }
  if (ours?.generated) return notGenerated(pair, ours, column);
  if (onPublisherToo) return [];
  return [
    {
      ...{ kind: 'column-extra', ...about, impact: 'none' },
      detail: `the publisher does not have the column ${quote(column.name)}`,
      advice:
        'Drop it only if the publisher has given it up: its values are lost. A column of the subscriber’s own may stay.',
      mends: onSubscriber(PHASES.optional, ddl.dropColumn(table, column.name)),
    },
  ];
}

function isKeyColumn(table: TablePair['subscriber'], name: string): boolean {
  return table.keys.some(({ primary, identity, columns }) => (primary || identity) && columns.includes(name));
}

function nameOf({ schema, name }: TablePair['publisher']) {
  return { schema, name };
}

function byName(columns: readonly ColumnDefinition[]): Map<string, ColumnDefinition> {
  return new Map(columns.map((column) => [column.name, column]));
}

function quote(name: string): string {
  return JSON.stringify(name);
}
