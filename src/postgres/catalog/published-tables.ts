import type { Session } from '../session.js';
import { PUBLISHED_TABLES } from './published-tables-effective.sql.js';
import { decodeReplicaIdentity, type ReplicaIdentityKind } from './replica-identity.js';
import type { TablePage } from './tables.js';
import { variantFor } from './variant.js';

/** A relation that holds rows and has no replica identity, and what could be one. */
export interface LackingIdentity {
  schema: string;
  name: string;
  /** The index that could be it is the primary key; null when no index could be. */
  primaryKey: boolean | null;
  /** Unique, immediate, complete and on NOT NULL columns. */
  index: string | null;
}

/** A table that a publication really publishes (pg_publication_tables). */
export interface PublishedTable {
  schema: string;
  name: string;
  /** Every column that is sent. */
  columns: string[];
  where: string | null;
  replicaIdentity: ReplicaIdentityKind;
  /** False: the server refuses UPDATE and DELETE of the table while a publication publishes them. */
  replicaIdentityUsable: boolean;
  /** The columns an UPDATE or DELETE that is sent tells the row by; for a partitioned table those of any partition. */
  identityColumns: string[];
  /** The table, or its partitions, without a replica identity. */
  lacking: LackingIdentity[];
  /** The row filter uses columns outside the replica identity. */
  filterOutside: boolean;
  /** The column list leaves out columns of the replica identity. */
  identityUnlisted: boolean;
  /** A generated column of the replica identity is not sent (18). */
  identityUnpublished: boolean;
}

interface PublishedTableRow {
  schema: string;
  name: string;
  columns: string[] | null;
  where: string | null;
  replica_identity: string;
  identity_columns: string[];
  lacking: LackingIdentity[];
  filter_outside: boolean;
  identity_unlisted: boolean;
  identity_unpublished: boolean;
}

/** The tables the publication really publishes, by schema and name; empty also when there is no such publication. */
export async function readPublishedTables(
  session: Session,
  publication: string,
  { after, limit }: TablePage = {},
): Promise<PublishedTable[]> {
  const sql = variantFor(PUBLISHED_TABLES, session.versionNum);
  const parameters = [publication, after?.schema ?? null, after?.name ?? null, limit ?? null];
  const rows = await session.rows<PublishedTableRow>(sql, parameters);
  return rows.map((row) => ({
    schema: row.schema,
    name: row.name,
    columns: row.columns ?? [],
    where: row.where,
    replicaIdentity: decodeReplicaIdentity(row.replica_identity),
    replicaIdentityUsable: row.lacking.length === 0,
    identityColumns: row.identity_columns,
    lacking: row.lacking,
    filterOutside: row.filter_outside,
    identityUnlisted: row.identity_unlisted,
    identityUnpublished: row.identity_unpublished,
  }));
}
