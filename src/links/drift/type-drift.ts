import type { ColumnDefinition } from '../../postgres/catalog/table-definitions.js';
import type { Statement } from '../../postgres/ddl/statement.js';
import { addEnumLabel, changeColumnType } from '../../postgres/ddl/table-change.ddl.js';
import { attributesDiffer } from './attribute-drift.js';
import { alteredTable, type Finding, onPublisher, onSubscriber, PHASES, type TablePair } from './finding.js';
import { typeObstacle, withItsType } from './new-column.js';
import { widens } from './widening.js';

/** Differences of type, attributes, labels and collation of a column that both sides have. Types compare by name. */
export function typeDrift(pair: TablePair, ours: ColumnDefinition, theirs: ColumnDefinition): Finding[] {
  if (ours.type !== theirs.type) return [typesDiffer(pair, ours, theirs)];
  if (ours.base !== theirs.base) return [domainsDiffer(pair, ours, theirs)];
  return [
    ...attributesDiffer(pair, ours, theirs),
    ...labelsDiffer(pair, ours, theirs),
    ...collationsDiffer(pair, ours, theirs),
  ];
}

function typesDiffer(pair: TablePair, ours: ColumnDefinition, theirs: ColumnDefinition): Finding {
  const { publisher, subscriber, binary, knownTypes } = pair;
  const about = {
    ...{ kind: 'column-type' as const, table: nameOf(pair), column: ours.name },
    detail: `the column ${quote(ours.name)} is ${ours.type} on the publisher and ${theirs.type} on the subscriber`,
  };
  const wider = widens(ours.type, theirs.type);
  const harmless = wider || ours.base === theirs.base;
  const impact = binary ? 'stops-apply' : harmless ? 'may-differ' : 'may-stop-apply';
  if (wider) {
    const statement = changeColumnType(alteredTable(publisher), { ...theirs, name: ours.name }, false);
    const advice = 'The subscriber is the wider one, so it is the publisher’s turn.';
    return { ...about, impact, side: 'publisher', advice, mends: onPublisher(statement) };
  }
  const obstacle = typeObstacle(ours, knownTypes);
  const throughText = !widens(theirs.type, ours.type);
  const advice = throughText
    ? 'Values that the new type does not take make it fail, and its default may have to be dropped first.'
    : 'The publisher is the wider one already: nothing is lost.';
  const statement = changeColumnType(alteredTable(subscriber), ours, throughText);
  return {
    ...{ ...about, impact, side: 'subscriber', advice: obstacle ?? advice },
    mends:
      obstacle !== null ? [] : [...withItsType(ours, knownTypes), ...onSubscriber(PHASES.extendSubscriber, statement)],
  };
}

/** Of one name, and of different types: ALTER DOMAIN cannot change that. */
function domainsDiffer(pair: TablePair, ours: ColumnDefinition, theirs: ColumnDefinition): Finding {
  return {
    ...{ kind: 'column-type', table: nameOf(pair), column: ours.name, side: 'subscriber', mends: [] },
    impact: widens(ours.base, theirs.base) ? 'may-differ' : 'may-stop-apply',
    detail: `the domain ${ours.type} of the column ${quote(ours.name)} is ${ours.base} on the publisher and ${theirs.base} on the subscriber`,
    advice: `Create a domain over ${ours.base} under another name, change the columns to it, and rename it.`,
  };
}

/** Labels that only the subscriber has do no harm: they were added there first. */
function labelsDiffer(pair: TablePair, ours: ColumnDefinition, theirs: ColumnDefinition): Finding[] {
  const [labels, known] = [ours.labels ?? [], theirs.labels ?? []];
  const lacking = labels.filter((label) => !known.includes(label));
  if (lacking.length === 0 || ours.enumName === null) return [];
  const statements: Statement[] = lacking.map((label) => {
    const at = labels.indexOf(label);
    return addEnumLabel(ours.enumName!, label, { after: labels[at - 1] ?? null, first: known[0] ?? null });
  });
  return [
    {
      ...{ kind: 'enum-labels', table: nameOf(pair), column: ours.name, side: 'subscriber', impact: 'may-stop-apply' },
      detail: `the subscriber's enum ${ours.enumName.join('.')} of the column ${quote(ours.name)} has no ${lacking.map(quote).join(', ')}`,
      advice: null,
      mends: onSubscriber(PHASES.namesOnSubscriber, ...statements),
    },
  ];
}

function collationsDiffer(pair: TablePair, ours: ColumnDefinition, theirs: ColumnDefinition): Finding[] {
  if (ours.collation === theirs.collation) return [];
  const [one, other] = [ours, theirs].map(({ collation }) => collation ?? 'the default collation');
  const collation = ours.collation ?? 'pg_catalog."default"';
  return [
    {
      ...{ kind: 'column-collation', table: nameOf(pair), column: ours.name, side: 'subscriber', impact: 'may-differ' },
      detail: `the column ${quote(ours.name)} has ${one} on the publisher and ${other} on the subscriber: order and, by some, equality differ`,
      advice: 'Indexes on the column are built anew. The collation must be there on the subscriber under that name.',
      mends: onSubscriber(
        PHASES.extendSubscriber,
        changeColumnType(alteredTable(pair.subscriber), { ...ours, collation }, false),
      ),
    },
  ];
}

function nameOf({ publisher: { schema, name } }: TablePair) {
  return { schema, name };
}

function quote(name: string): string {
  return JSON.stringify(name);
}
