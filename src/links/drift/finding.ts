import type { TableDefinition } from '../../postgres/catalog/table-definitions.js';
import type { TableName } from '../../postgres/catalog/tables.js';
import type { Statement } from '../../postgres/ddl/statement.js';

export const DRIFT_KINDS = [
  'table-missing',
  'table-renamed',
  'table-not-subscribed',
  'table-not-published',
  'table-kind',
  'column-lists',
  'column-missing',
  'column-renamed',
  'column-generated',
  'column-not-generated',
  'column-extra',
  'column-extra-not-null',
  'column-not-null',
  'column-type',
  'column-collation',
  'enum-labels',
  'type-attributes',
  'replica-identity',
  'unique-key',
  'check-constraint',
  'domain-constraint',
  'unique-index',
  'exclusion-constraint',
  'generated-expression',
  'trigger',
  'partition-missing',
  'partition-bound',
  'row-security',
] as const;
export type DriftKind = (typeof DRIFT_KINDS)[number];

/**
 * What a difference does. `stops-apply`: the next change of the table does; `may-stop-apply`: some changes do;
 * `fails-writes`: UPDATE and DELETE fail on the publisher; `may-differ`: all is applied, yet the sides need not hold or
 * compare the same; `unknown`: whether there is a difference cannot be told; `none`: it is legal and without effect.
 * The last two are not counted as drift.
 */
export const IMPACTS = ['stops-apply', 'may-stop-apply', 'fails-writes', 'may-differ', 'unknown', 'none'] as const;
export type Impact = (typeof IMPACTS)[number];

/**
 * When a statement may run, ascending: what only adds goes to the subscriber first, what takes away goes to the publisher
 * first, so that at no time the publisher sends what the subscriber cannot take.
 */
export const PHASES = {
  /** Schemas, types and labels, which tables need. */
  namesOnSubscriber: 1,
  extendSubscriber: 2,
  keysOnSubscriber: 3,
  publisher: 4,
  /** What only the subscriber holds its rows to. */
  shrinkSubscriber: 5,
  /** Tables are taken up and left once all else is in place. */
  refresh: 6,
  /** Right only if what is dropped or renamed is the publisher's, and not the subscriber's own. */
  optional: 7,
} as const;

export type Side = 'publisher' | 'subscriber';

export interface Mend {
  side: Side;
  /** Of `PHASES`. */
  phase: number;
  statement: Statement;
}

/** One difference between both sides of a link. */
export interface Finding {
  kind: DriftKind;
  table: TableName;
  /** Null: it is about the whole table. */
  column: string | null;
  /** Where it is to be mended. */
  side: Side;
  impact: Impact;
  detail: string;
  /** What else to know, or to do where there are no statements; null: nothing. */
  advice: string | null;
  mends: Mend[];
}

/** Both sides of a table that is sent and is there. */
export interface TablePair {
  publisher: TableDefinition;
  subscriber: TableDefinition;
  /** Columns that are sent, in the publisher's order. */
  sent: readonly string[];
  /** Every publication that sends it has a row filter. */
  filtered: boolean;
  /** The subscription is binary: types must be the same. */
  binary: boolean;
  /** Types that the subscriber has, of those that `typesToLookUp` names. */
  knownTypes: ReadonlySet<string>;
  /** `server_version_num` of both sides. */
  versions: Record<Side, number>;
  applies: Applies;
  copies: Copies;
}

/** By whose rights the publisher lets rows be copied: those of the subscription's connection. */
export interface Copies {
  /** Null: its connection string does not say. */
  login: string | null;
  /** It turns row_security off: a copy that policies would hide rows from fails. */
  complete: boolean;
}

/** By whose rights changes are applied. */
export interface Applies {
  subscription: string;
  /** The subscription's. */
  owner: string;
  /** From 16 on: it is the subscription's owner who does, and not the table's. Null: not an option of the version. */
  runAsOwner: boolean | null;
}

export function onSubscriber(phase: number, ...statements: Statement[]): Mend[] {
  return statements.map((statement) => ({ side: 'subscriber', phase, statement }));
}

export function onPublisher(...statements: Statement[]): Mend[] {
  return statements.map((statement) => ({ side: 'publisher', phase: PHASES.publisher, statement }));
}

/** Where a table's columns are changed: a partition has those of its root. */
export function alteredTable(table: TableDefinition): TableName {
  return table.root ?? { schema: table.schema, name: table.name };
}
