import type { Session } from '../session.js';
import { decodeReplicaIdentity, type ReplicaIdentityKind } from './replica-identity.js';
import { INCOMPARABLE_COLUMNS } from './equality.sql.js';
import { TABLES } from './tables.sql.js';
import { variantFor } from './variant.js';

export type TableKind = 'table' | 'partitioned' | 'foreign' | 'materialized-view';

export interface TableName {
  schema: string;
  name: string;
}

export interface ReplicaIdentity {
  kind: ReplicaIdentityKind;
  /** The index that identifies rows: the primary key for `default`; null when there is none that can. */
  index: string | null;
  /** False: UPDATE and DELETE fail on the publisher once a publication publishes them. */
  usable: boolean;
}

/** A relation with rows of its own or of its partitions, and whether logical replication can carry it. */
export interface Table extends TableName {
  oid: string;
  kind: TableKind;
  persistence: 'permanent' | 'unlogged';
  /** The partitioned table this one is a direct partition of. */
  partitionOf: TableName | null;
  replicaIdentity: ReplicaIdentity;
  /** Name of the primary key's index, also of one too weak to be a replica identity (deferrable). */
  primaryKey: string | null;
  /** The planner's estimate; null when the table was never analyzed. */
  rowsEstimate: number | null;
  /** With indexes and TOAST; 0 for a partitioned table (its partitions are listed); null while the table is locked. */
  totalBytes: number | null;
  /** Of `totalBytes`, the rows with their TOAST. */
  tableBytes: number | null;
  /** Of `totalBytes`, the indexes. */
  indexBytes: number | null;
  /** Belongs to an extension, which brings it along on the other side. */
  ofExtension: boolean;
  /** Whether it can be published at all. */
  replicable: boolean;
  /** What is in the way: of replicating at all, or of replicating UPDATE and DELETE; null when nothing is. */
  reason: string | null;
}

interface TableRow {
  oid: string;
  schema: string;
  name: string;
  kind: string;
  persistence: string;
  replica_identity: string;
  replica_identity_index: string | null;
  replica_identity_usable: boolean;
  primary_key: string | null;
  rows_estimate: number | null;
  total_bytes: string | null;
  table_bytes: string | null;
  index_bytes: string | null;
  parent_schema: string | null;
  parent_name: string | null;
  of_extension: boolean;
  columns_without_equality: string[] | null;
}

export interface TablePage {
  /** Only tables after this one, in order of schema and name. */
  after?: TableName | undefined;
  limit?: number | undefined;
}

const KINDS: Record<string, TableKind> = { r: 'table', p: 'partitioned', f: 'foreign', m: 'materialized-view' };

/** Tables of the session's database by schema and name, without PostgreSQL's and Lockstep's own. */
export async function readTables(session: Session, page: TablePage = {}): Promise<Table[]> {
  const parameters = [page.after?.schema ?? null, page.after?.name ?? null, page.limit ?? null, null, null];
  const rows = await session.rows<TableRow>(variantFor(TABLES, session.versionNum), parameters);
  return rows.map(decodeTable);
}

export async function readTable(session: Session, table: TableName): Promise<Table | null> {
  const parameters = [null, null, null, table.schema, table.name];
  const rows = await session.rows<TableRow>(variantFor(TABLES, session.versionNum), parameters);
  return rows[0] ? decodeTable(rows[0]) : null;
}

/** Columns of the table with that oid by which a subscriber cannot find a row: their types have no equality. */
export async function readIncomparableColumns(session: Session, oid: string): Promise<string[]> {
  const sql = variantFor(INCOMPARABLE_COLUMNS, session.versionNum);
  return (await session.row<{ columns: string[] }>(sql, [oid])).columns;
}

function decodeTable(row: TableRow): Table {
  const kind = KINDS[row.kind]!;
  const persistence = row.persistence === 'u' ? 'unlogged' : 'permanent';
  const replicaIdentity = {
    kind: decodeReplicaIdentity(row.replica_identity),
    index: row.replica_identity_index,
    usable: row.replica_identity_usable,
  };
  const barrier = replicationBarrier(kind, persistence);
  return {
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    kind,
    persistence,
    partitionOf: row.parent_schema === null ? null : { schema: row.parent_schema, name: row.parent_name! },
    replicaIdentity,
    primaryKey: row.primary_key,
    rowsEstimate: row.rows_estimate,
    totalBytes: bytes(row.total_bytes),
    tableBytes: bytes(row.table_bytes),
    indexBytes: bytes(row.index_bytes),
    ofExtension: row.of_extension,
    replicable: barrier === null,
    reason: barrier ?? identityGap(kind, replicaIdentity, row),
  };
}

function bytes(text: string | null): number | null {
  return text === null ? null : Number(text);
}

function replicationBarrier(kind: TableKind, persistence: Table['persistence']): string | null {
  if (kind === 'foreign') return 'foreign tables are not replicated: their rows live elsewhere';
  if (kind === 'materialized-view') return 'materialized views are not replicated: refresh them on the subscriber';
  if (persistence === 'unlogged') return 'unlogged tables write no WAL, so there is nothing to replicate';
  return null;
}

function identityGap(kind: TableKind, identity: ReplicaIdentity, row: TableRow): string | null {
  // What an UPDATE of a partition needs is the partition's own replica identity.
  if (kind === 'partitioned') return null;
  const incomparable = row.columns_without_equality ?? [];
  if (incomparable.length > 0) {
    const columns = incomparable.map((column) => JSON.stringify(column)).join(', ');
    // With a key of its own the subscriber looks the row up by that, and compares nothing else.
    return `replica identity is full, but values of ${columns} cannot be compared: UPDATE and DELETE fail on a subscriber whose table has no primary key or replica identity index`;
  }
  if (identity.usable) return null;
  const consequence = 'UPDATE and DELETE fail once they are published';
  if (identity.kind === 'nothing') return `replica identity is set to nothing: ${consequence}`;
  if (identity.kind === 'index') return `the replica identity index is gone or invalid: ${consequence}`;
  if (row.primary_key !== null)
    return `the primary key is deferrable or invalid, so no replica identity: ${consequence}`;
  return `no primary key, so no replica identity: ${consequence}`;
}
