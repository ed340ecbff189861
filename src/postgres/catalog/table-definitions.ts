import type { Session } from '../session.js';
import { decodeReplicaIdentity, type ReplicaIdentityKind } from './replica-identity.js';
import { KNOWN_NAMES, TABLE_DEFINITIONS, TABLES_FINGERPRINT } from './table-definitions.sql.js';
import { noRules, readTableRules, type TableRules } from './table-rules.js';
import type { TableName } from './tables.js';
import { variantFor } from './variant.js';

/** Of a composite type, or of the type of such an attribute. */
export interface Attribute {
  /** Its name, below the names of those it is in. */
  path: string[];
  /** As SQL writes it. */
  type: string;
}

export interface ColumnDefinition {
  name: string;
  /** pg_attribute.attnum: a rename keeps it, and no two columns of a table ever have the same. */
  position: number;
  /** As SQL writes it, e.g. `numeric(10,2)` or `sales.mood[]`. */
  type: string;
  /** The type below any domains. */
  base: string;
  /** Of `base`: it comes with PostgreSQL. */
  builtIn: boolean;
  /** Schema and name of its enum, or of the enum of its elements; null: it is none. */
  enumName: [string, string] | null;
  /** In their order. */
  labels: string[] | null;
  /** Schema and name of its composite type, or of that of its elements; null: it is none, or the row type of a table. */
  compositeName: [string, string] | null;
  /** Of its composite type, in their order, each before those of its own type; null: it is none. */
  attributes: Attribute[] | null;
  /** Qualified and quoted; null: the type's own. */
  collation: string | null;
  notNull: boolean;
  /** Rows get a value where none is given: a default, an identity, or that of a domain. */
  hasDefault: boolean;
  /** Of the column itself, as this server prints it. */
  default: string | null;
  generated: 'stored' | 'virtual' | null;
}

/** A valid unique index over columns alone and all rows. */
export interface KeyDefinition {
  name: string;
  columns: string[];
  primary: boolean;
  /** It was made the replica identity. */
  identity: boolean;
  /** False: deferrable, and so no replica identity. */
  immediate: boolean;
  /** It belongs to a constraint of its name. */
  constraint: boolean;
}

/** What logical replication needs to know of a relation. */
export interface TableDefinition extends TableName {
  /** pg_class.relkind; apply takes `r` (table) and `p` (partitioned). */
  kind: string;
  replicaIdentity: ReplicaIdentityKind;
  /** The topmost partitioned table above it, where its columns are changed; null: it is no partition. */
  root: TableName | null;
  columns: ColumnDefinition[];
  keys: KeyDefinition[];
  /** Columns that no row can be found by, as their types have no equality; of a table without a primary key. */
  withoutEquality: string[];
  rules: TableRules;
}

interface DefinitionRow {
  schema: string;
  name: string;
  kind: string;
  replica_identity: string;
  root_schema: string | null;
  root_name: string | null;
  columns: ColumnDefinition[];
  keys: KeyDefinition[];
  without_equality: string[];
}

/** Relations of those names, those there are. @param roles as `readTableRules` has them */
export async function readTableDefinitions(
  session: Session,
  names: readonly TableName[],
  roles: readonly string[] = [],
): Promise<TableDefinition[]> {
  const sql = variantFor(TABLE_DEFINITIONS, session.versionNum);
  const rows = await session.rows<DefinitionRow>(sql, pairs(names));
  const rules = await readTableRules(session, names, roles);
  return rows.map(({ schema, name, kind, columns, keys, ...row }) => ({
    ...{ schema, name, kind, columns, keys },
    replicaIdentity: decodeReplicaIdentity(row.replica_identity),
    root: row.root_schema === null ? null : { schema: row.root_schema, name: row.root_name! },
    withoutEquality: row.without_equality,
    rules: rules.get(JSON.stringify([schema, name])) ?? noRules(),
  }));
}

/**
 * A hash over their definitions, without reading them here. Equal schemas have equal ones on all versions; where they
 * differ, it need not matter. Null: none of them is there.
 */
export async function readTablesFingerprint(session: Session, names: readonly TableName[]): Promise<string | null> {
  const sql = variantFor(TABLES_FINGERPRINT, session.versionNum);
  return (await session.row<{ hash: string | null }>(sql, pairs(names))).hash;
}

/** What there is of the types (as SQL writes them) and schemas of those names. */
export async function readKnownNames(
  session: Session,
  types: readonly string[],
  schemas: readonly string[],
): Promise<{ types: Set<string>; schemas: Set<string> }> {
  const sql = variantFor(KNOWN_NAMES, session.versionNum);
  const found = await session.row<{ types: string[]; schemas: string[] }>(sql, [types, schemas]);
  return { types: new Set(found.types), schemas: new Set(found.schemas) };
}

function pairs(names: readonly TableName[]): [string[], string[]] {
  return [names.map(({ schema }) => schema), names.map(({ name }) => name)];
}
