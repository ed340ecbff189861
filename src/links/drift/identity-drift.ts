import type { SentTable } from '../../postgres/catalog/sent-tables.js';
import type { KeyDefinition, TableDefinition } from '../../postgres/catalog/table-definitions.js';
import * as ddl from '../../postgres/ddl/table-change.ddl.js';
import { setReplicaIdentity } from '../../postgres/ddl/replica-identity.ddl.js';
import { type Finding, type Mend, onPublisher, onSubscriber, PHASES, type TablePair } from './finding.js';

const MAX_NAME_BYTES = 63;

/** Whether updated and deleted rows are told by the publisher, and found by the subscriber. */
export function identityDrift(pair: TablePair, sent: SentTable): Finding[] {
  if (!sent.identified) return [];
  const broken = brokenOnPublisher(pair, sent);
  return broken.length > 0 ? broken : unfoundOnSubscriber(pair, sent);
}

function brokenOnPublisher({ publisher }: TablePair, { broken }: SentTable): Finding[] {
  return broken.map((relation) => {
    const mends = onPublisher(...ddl.mendIdentity(relation));
    const which = { schema: relation.schema, name: relation.name };
    const isTable = which.schema === publisher.schema && which.name === publisher.name;
    return {
      ...{ kind: 'replica-identity', table: nameOf(publisher), column: null, side: 'publisher', mends },
      impact: 'fails-writes',
      detail: `UPDATE and DELETE of ${isTable ? 'the table' : `its partition ${which.schema}.${which.name}`} fail on the publisher: ${reasonOf(relation)}`,
      advice:
        mends.length > 0
          ? null
          : relation.incomparable.length > 0
            ? `Give it a primary key, or a unique index on NOT NULL columns. Replica identity full would not do: the subscriber cannot compare ${relation.incomparable.map((name) => JSON.stringify(name)).join(', ')}.`
            : 'No replica identity would do with the publication as it is: change its column list or row filter, or what it publishes.',
    };
  });
}

function reasonOf(relation: SentTable['broken'][number]): string {
  if (relation.lacking) return 'it has no replica identity';
  if (relation.filterOutside) return 'the row filter uses columns outside the replica identity';
  if (relation.unlisted) return 'the column list leaves out columns of the replica identity';
  return 'a generated column of the replica identity is not sent';
}

/**
 * Apply looks rows up by the subscriber's own replica identity index or primary key, all of which must be sent, and else
 * by all columns that are, where these are told and can be compared.
 */
function unfoundOnSubscriber({ publisher, subscriber }: TablePair, sent: SentTable): Finding[] {
  const full = publisher.replicaIdentity === 'full';
  const told = full ? sent.columns : sent.identityColumns;
  const key = lookupKey(subscriber);
  const incomparable = subscriber.withoutEquality.filter((column) => sent.columns.includes(column));
  const byAll = full && incomparable.length === 0;
  if (key === null ? byAll : key.columns.every((column) => told.includes(column))) return [];
  const columns = keyOfPublisher(publisher, sent);
  const deferrable = subscriber.keys.some(({ primary, immediate }) => primary && !immediate);
  const mends = columns.length === 0 ? [] : identify(subscriber, columns, key !== null || deferrable);
  const list = (names: readonly string[]) => names.map((name) => JSON.stringify(name)).join(', ');
  const by = told.length === 0 ? 'nothing' : list(told);
  const lacks = `the subscriber's table has neither ${deferrable ? 'a primary key that is not deferrable' : 'primary key'} nor replica identity index`;
  const detail =
    key !== null
      ? `the subscriber finds rows by ${list(key.columns)}, and the publisher tells them by ${by}`
      : full
        ? `${lacks}, and cannot compare ${list(incomparable)} to find a row by all columns`
        : `${lacks}, and the publisher tells rows by ${by}`;
  return [
    {
      ...{ kind: 'replica-identity', table: nameOf(publisher), column: null, side: 'subscriber', mends },
      impact: 'may-stop-apply',
      detail: `${detail}: no UPDATE or DELETE can be applied`,
      advice:
        mends.length > 0
          ? 'Fails where rows are twice there, or have NULL in the key: verify and mend them first.'
          : full && key === null
            ? 'Give the table a primary key on both sides, or on the subscriber’s alone over columns that are sent.'
            : 'Give the subscriber’s table a replica identity over columns that are sent, once they are there.',
    },
  ];
}

/** A deferrable key finds no row: its values may be there twice for a while. */
function lookupKey({ replicaIdentity, keys }: TableDefinition): KeyDefinition | null {
  const chosen =
    replicaIdentity === 'index' ? keys.find(({ identity, immediate }) => identity && immediate) : undefined;
  return chosen ?? keys.find(({ primary, immediate }) => primary && immediate) ?? null;
}

/** In the order of the publisher's index. */
function keyOfPublisher(publisher: TableDefinition, sent: SentTable): string[] {
  const key = lookupKey(publisher);
  if (key?.columns.every((column) => sent.columns.includes(column))) return key.columns;
  return publisher.replicaIdentity === 'full' ? [] : sent.identityColumns;
}

function identify(subscriber: TableDefinition, columns: readonly string[], hasKey: boolean): Mend[] {
  const byName = new Map(subscriber.columns.map((column) => [column.name, column]));
  if (columns.some((column) => !byName.has(column))) return [];
  const { schema, name, keys } = subscriber;
  const fit = keys.find(
    (key) => key.immediate && key.columns.every((column) => columns.includes(column) && byName.get(column)!.notNull),
  );
  const phase = PHASES.keysOnSubscriber;
  if (fit) return onSubscriber(phase, ...setReplicaIdentity(schema, name, { kind: 'index', index: fit.name }));
  if (!hasKey) return onSubscriber(phase, ddl.addPrimaryKey(subscriber, columns));
  const nullable = columns.filter((column) => !byName.get(column)!.notNull);
  return onSubscriber(
    phase,
    ...nullable.map((column) => ddl.setNotNull(subscriber, column)),
    ...ddl.identifyBy(subscriber, indexName(name), columns),
  );
}

/**
 * Keys of the subscriber that the publisher does not hold its rows to, or only at the end of a transaction. A deferrable
 * one is not looked at in apply; one that excludes, or takes NULLs for alike, is among the rules of the table.
 */
export function uniqueDrift({ publisher, subscriber, sent }: TablePair): Finding[] {
  const implied = (columns: string[]) =>
    publisher.keys.some((key) => key.immediate && key.columns.every((column) => columns.includes(column)));
  const { uniques, exclusions } = subscriber.rules;
  const stricter = new Set([...uniques, ...exclusions].map(({ index }) => index));
  return subscriber.keys
    .filter(({ name, immediate, columns }) => {
      return immediate && !stricter.has(name) && columns.every((column) => sent.includes(column)) && !implied(columns);
    })
    .map((key) => {
      const identifies = key.primary || key.identity;
      return {
        ...{ kind: 'unique-key', table: nameOf(publisher), column: null, side: 'subscriber', impact: 'may-stop-apply' },
        detail: `rows are unique by ${key.columns.map((name) => JSON.stringify(name)).join(', ')} on the subscriber only (${key.name})`,
        advice: identifies
          ? 'The subscriber finds rows by it: make the same key on the publisher, rather than drop it.'
          : 'Or make the same key on the publisher.',
        mends: identifies ? [] : onSubscriber(PHASES.shrinkSubscriber, ddl.dropKey(subscriber, key)),
      } satisfies Finding;
    });
}

function indexName(table: string): string {
  const suffix = '_identity';
  let name = table;
  while (Buffer.byteLength(name + suffix) > MAX_NAME_BYTES) name = Array.from(name).slice(0, -1).join('');
  return name + suffix;
}

function nameOf({ schema, name }: TableDefinition) {
  return { schema, name };
}
