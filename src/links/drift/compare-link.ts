import type { SentTable, SentTables } from '../../postgres/catalog/sent-tables.js';
import type { TableDefinition } from '../../postgres/catalog/table-definitions.js';
import type { TableName } from '../../postgres/catalog/tables.js';
import type { Statement } from '../../postgres/ddl/statement.js';
import { COMBINATION_RULES } from '../../postgres/ddl/options/combination-rules.js';
import { refreshSubscription } from '../../postgres/ddl/subscription.ddl.js';
import * as ddl from '../../postgres/ddl/table-change.ddl.js';
import { checkDrift, domainDrift } from './check-drift.js';
import { columnDrift } from './column-drift.js';
import { type Copies, type Finding, type Mend, onSubscriber, PHASES, type Side, type TablePair } from './finding.js';
import { generatedDrift } from './generated-drift.js';
import { identityDrift, uniqueDrift } from './identity-drift.js';
import { indexDrift } from './index-drift.js';
import { newColumn, typeObstacle, withItsType } from './new-column.js';
import { ownPartition, partitionDrift } from './partition-drift.js';
import { securityDrift } from './security-drift.js';
import { triggerDrift } from './trigger-drift.js';

/** Everything of both ends that is compared. */
export interface LinkSchema {
  subscription: string;
  binary: boolean;
  enabled: boolean;
  /** Whether two_phase is enabled by now: tables are then not taken up with a copy. */
  twoPhase: boolean;
  sent: SentTables;
  /** Of the tables that are sent, and of those that are subscribed to and not sent. */
  onPublisher: readonly TableDefinition[];
  /** Of the same names. */
  onSubscriber: readonly TableDefinition[];
  subscribed: readonly TableName[];
  /** Types and schemas of those the publisher uses that the subscriber has. */
  known: { types: ReadonlySet<string>; schemas: ReadonlySet<string> };
  /** `server_version_num` of both sides. */
  versions: Record<Side, number>;
  /** Of the subscription. */
  owner: string;
  runAsOwner: boolean | null;
  copies: Copies;
}

/** All differences between both ends, table by table. */
export function compareLink(schema: LinkSchema): Finding[] {
  const publisher = byKey(schema.onPublisher);
  const subscriber = byKey(schema.onSubscriber);
  const subscribed = new Set(schema.subscribed.map(keyOf));
  const renamed = renamedTables(schema);
  const findings: Finding[] = [];
  for (const sent of schema.sent.tables) {
    const ours = publisher.get(keyOf(sent));
    // Dropped between two of the questions: the next look sees the rest.
    if (!ours) continue;
    const theirs = subscriber.get(keyOf(sent));
    if (!theirs) {
      const from = renamed.get(keyOf(sent));
      findings.push(from ? renamedTable(sent, from) : missingTable(schema, sent, ours));
      continue;
    }
    if (theirs.kind !== 'r' && theirs.kind !== 'p') {
      findings.push(wrongKind(sent));
      continue;
    }
    findings.push(...tableDrift(schema, sent, ours, theirs));
    if (!subscribed.has(keyOf(sent))) findings.push(notSubscribed(schema, sent));
  }
  const sentKeys = new Set(schema.sent.tables.map(keyOf));
  const taken = new Set([...renamed.values()].map(keyOf));
  for (const table of schema.subscribed) {
    if (!sentKeys.has(keyOf(table)) && !taken.has(keyOf(table))) {
      findings.push(notPublished(schema, table, publisher.has(keyOf(table))));
    }
  }
  return findings;
}

function tableDrift(schema: LinkSchema, sent: SentTable, ours: TableDefinition, theirs: TableDefinition): Finding[] {
  const columns = ours.columns.filter(({ name }) => sent.columns.includes(name)).map(({ name }) => name);
  const pair: TablePair = {
    ...{ publisher: ours, subscriber: theirs, sent: columns, filtered: sent.filtered },
    ...{ binary: schema.binary, knownTypes: schema.known.types, versions: schema.versions },
    applies: { subscription: schema.subscription, owner: schema.owner, runAsOwner: schema.runAsOwner },
    copies: schema.copies,
  };
  return [
    ...[...unlikeLists(sent), ...columnDrift(pair), ...identityDrift(pair, sent), ...uniqueDrift(pair)],
    ...[...checkDrift(pair), ...domainDrift(pair), ...indexDrift(pair), ...generatedDrift(pair), ...triggerDrift(pair)],
    ...[...partitionDrift(pair), ...securityDrift(pair)],
  ];
}

/**
 * Tables that are sent and not there, by the one that they seem to have been: subscribed to, gone on the publisher, and
 * of the same columns, where there is only one such on each side.
 */
function renamedTables({ sent, onPublisher, onSubscriber, subscribed }: LinkSchema): Map<string, TableName> {
  const [ours, theirs] = [byKey(onPublisher), byKey(onSubscriber)];
  const known = new Set(sent.tables.map(keyOf));
  const missing = sent.tables.filter((table) => !theirs.has(keyOf(table)) && ours.has(keyOf(table)));
  const gone = subscribed.filter(
    (table) => !known.has(keyOf(table)) && !ours.has(keyOf(table)) && theirs.get(keyOf(table))?.root === null,
  );
  const formOf = (table: TableDefinition) =>
    JSON.stringify(table.columns.map(({ name, position, type }) => [position, name, type]));
  const alike = grouped(gone, (table) => formOf(theirs.get(keyOf(table))!));
  const found = new Map<string, TableName>();
  for (const [form, [table, ...rivals]] of grouped(missing, (each) => formOf(ours.get(keyOf(each))!))) {
    const [from, ...others] = alike.get(form) ?? [];
    if (from && rivals.length + others.length === 0) found.set(keyOf(table!), from);
  }
  return found;
}

function grouped<T>(items: readonly T[], by: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = by(item);
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(item);
  }
  return groups;
}

function unlikeLists(table: SentTable): Finding[] {
  if (table.unlike.length === 0) return [];
  const each = table.unlike.map(({ publication, columns }) => {
    return `${JSON.stringify(publication)} sends ${columns.map((name) => JSON.stringify(name)).join(', ')}`;
  });
  return [
    {
      ...{ kind: 'column-lists', table: nameOf(table), column: null, side: 'publisher', impact: 'stops-apply' },
      detail: `the publications send different columns of it, which the walsender refuses: ${each.join('; ')}`,
      advice: `${COMBINATION_RULES['same-columns-everywhere'].says} ${COMBINATION_RULES['same-columns-everywhere'].instead}`,
      mends: [],
    },
  ];
}

function renamedTable(table: SentTable, from: TableName): Finding {
  return {
    ...{ kind: 'table-renamed', table: nameOf(table), column: null, side: 'subscriber', impact: 'stops-apply' },
    detail: `the subscriber has no such table, but ${from.schema}.${from.name} of the same columns, which the publisher has not any more`,
    advice: 'Rename it only if it is that table renamed. If it is another one, create it and refresh the subscription.',
    mends: onSubscriber(PHASES.optional, ...ddl.renameTable(from, nameOf(table))),
  };
}

function missingTable(schema: LinkSchema, sent: SentTable, ours: TableDefinition): Finding {
  const { types, schemas } = schema.known;
  const columns = ours.columns.filter(({ name }) => sent.columns.includes(name));
  const obstacles = columns.map((column) => typeObstacle(column, types)).filter((each) => each !== null);
  const key = ours.keys.find(({ primary }) => primary)?.columns ?? [];
  const tells = key.every((column) => sent.columns.includes(column));
  // In the table's own order, as far as it is sent.
  const inOrder = [...columns].sort((one, other) => one.position - other.position);
  const made = inOrder.map((column) => ({ ...newColumn(column), notNull: column.notNull }));
  const asPartition = partitionThere(schema, ours);
  const mends: Mend[] = [
    ...(schemas.has(ours.schema) ? [] : onSubscriber(PHASES.namesOnSubscriber, ddl.createSchema(ours.schema))),
    ...columns.flatMap((column) => withItsType(column, types)),
    ...onSubscriber(PHASES.extendSubscriber, asPartition ?? ddl.createTable(ours, made, tells ? key : [])),
    ...(schema.twoPhase ? [] : refresh(schema, true)),
  ];
  return {
    ...{ kind: 'table-missing', table: nameOf(sent), column: null, side: 'subscriber', impact: 'stops-apply' },
    detail: 'the subscriber has no such table: a refresh of the subscription fails, and changes of it stop apply',
    advice:
      obstacles[0] ??
      lostPublications(schema) ??
      uncopied(schema) ??
      (asPartition === null
        ? null
        : 'It gets the columns, keys and constraints of the table that it is a partition of.') ??
      'The statement makes columns and primary key only. For indexes, constraints and the rest use pg_dump --schema-only --table.',
    mends: obstacles.length > 0 ? [] : mends,
  };
}

/** As a partition, where another one of the same table is there as such; null: it is none here, or that is not known. */
function partitionThere({ onSubscriber: theirs }: LinkSchema, ours: TableDefinition): Statement | null {
  const own = ownPartition(ours);
  if (own === null) return null;
  const { parent, parentKey, bound } = own;
  const beside = theirs.some((table) => {
    const other = ownPartition(table);
    return other !== null && keyOf(other.parent) === keyOf(parent) && other.parentKey === parentKey;
  });
  return beside ? ddl.createPartition(ours, parent, bound, own.key) : null;
}

function wrongKind(table: SentTable): Finding {
  return {
    ...{ kind: 'table-kind', table: nameOf(table), column: null, side: 'subscriber', impact: 'stops-apply', mends: [] },
    detail: 'the subscriber has something of that name that is no table',
    advice: 'Rename or drop it, and create the table.',
  };
}

function notSubscribed(schema: LinkSchema, table: SentTable): Finding {
  return {
    ...{ kind: 'table-not-subscribed', table: nameOf(table), column: null, side: 'subscriber', impact: 'may-differ' },
    detail: 'it is published, and the subscription has not taken it up: none of its changes is applied',
    advice:
      lostPublications(schema) ??
      uncopied(schema) ??
      'Rows that are there already on the subscriber are copied once more.',
    mends: schema.twoPhase ? [] : refresh(schema, true),
  };
}

function notPublished(schema: LinkSchema, table: TableName, onPublisher: boolean): Finding {
  return {
    ...{ kind: 'table-not-published', table: nameOf(table), column: null, side: 'subscriber', impact: 'may-differ' },
    detail: `the subscription still has it, and ${onPublisher ? 'no publication sends it' : 'the publisher has no such table'}`,
    advice: lostPublications(schema) ?? 'A refresh takes it out of the subscription. Its rows stay.',
    mends: refresh(schema, !schema.twoPhase),
  };
}

/** What comes before any refresh: null where the publisher has all publications. */
function lostPublications({ sent: { missing } }: LinkSchema): string | null {
  if (missing.length === 0) return null;
  const names = missing.map((name) => JSON.stringify(name)).join(', ');
  return `The publisher has no publication ${names}: create it, or take it out of the subscription. A refresh before would give up the tables that only it sent.`;
}

/** Why a refresh takes up no table with its rows; null: it does. */
function uncopied({ twoPhase }: LinkSchema): string | null {
  const { says, instead } = COMBINATION_RULES['no-copy-with-two-phase'];
  return twoPhase ? `${says} ${instead}` : null;
}

/**
 * None while a publication is missing: a refresh passes it over and takes its tables out, their changes are skipped from
 * then on, and another refresh copies into tables that are full.
 */
function refresh({ subscription, enabled, sent }: LinkSchema, copyData: boolean): Mend[] {
  return enabled && sent.missing.length === 0
    ? onSubscriber(PHASES.refresh, ...refreshSubscription(subscription, { copyData }))
    : [];
}

function byKey(tables: readonly TableDefinition[]): Map<string, TableDefinition> {
  return new Map(tables.map((table) => [keyOf(table), table]));
}

function nameOf({ schema, name }: TableName): TableName {
  return { schema, name };
}

function keyOf({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}
