import type { Session } from '../session.js';
import { PUBLISHED_TABLES } from './published-tables-effective.sql.js';
import { decodeReplicaIdentity, type ReplicaIdentityKind } from './replica-identity.js';
import type { TablePage } from './tables.js';
import { variantFor } from './variant.js';

/** A relation that holds rows, whose UPDATEs and DELETEs fail while they are published, and what would mend it. */
export interface BrokenIdentity {
  schema: string;
  name: string;
  /** It has no replica identity. */
  lacking: boolean;
  /** The row filter uses columns outside the replica identity. */
  filterOutside: boolean;
  /** The column list leaves out columns of the replica identity. */
  unlisted: boolean;
  /** A generated column of the replica identity is not sent (18). */
  unpublished: boolean;
  /** The name of an index that would do as replica identity, with the filter and column list as they are; null: none. */
  index: string | null;
  /** That index is the primary key; null without one. */
  primaryKey: boolean | null;
  /** Replica identity full would do. */
  full: boolean;
  /** Columns whose values a subscriber cannot compare, so that full would let apply fail there. */
  incomparable: string[];
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
  /** The table, or those of its partitions, whose UPDATEs and DELETEs fail while they are published. */
  broken: BrokenIdentity[];
  /** Its replica identity, or a partition's, is full without a primary key, and subscribers cannot compare these columns. */
  fullIncomparable: string[];
}

interface PublishedTableRow {
  publication: string;
  schema: string;
  name: string;
  columns: string[] | null;
  where: string | null;
  replica_identity: string;
  identity_columns: string[];
  broken: BrokenIdentity[];
  full_incomparable: string[][];
}

/** The tables the publication really publishes, by schema and name; empty also when there is no such publication. */
export async function readPublishedTables(
  session: Session,
  publication: string,
  { after, limit }: TablePage = {},
): Promise<PublishedTable[]> {
  const sql = variantFor(PUBLISHED_TABLES, session.versionNum);
  const parameters = [[publication], after?.schema ?? null, after?.name ?? null, limit ?? null];
  return (await session.rows<PublishedTableRow>(sql, parameters)).map(decodeTable);
}

/** The same of several publications, by publication. One that publishes nothing, or is not there, is left out. */
export async function readTablesPublishedBy(
  session: Session,
  publications: readonly string[],
): Promise<Map<string, PublishedTable[]>> {
  const sql = variantFor(PUBLISHED_TABLES, session.versionNum);
  const tables = new Map<string, PublishedTable[]>();
  for (const row of await session.rows<PublishedTableRow>(sql, [publications, null, null, null])) {
    const known = tables.get(row.publication) ?? [];
    tables.set(row.publication, known);
    known.push(decodeTable(row));
  }
  return tables;
}

function decodeTable(row: PublishedTableRow): PublishedTable {
  return {
    schema: row.schema,
    name: row.name,
    columns: row.columns ?? [],
    where: row.where,
    replicaIdentity: decodeReplicaIdentity(row.replica_identity),
    replicaIdentityUsable: !row.broken.some(({ lacking }) => lacking),
    identityColumns: row.identity_columns,
    broken: row.broken,
    fullIncomparable: [...new Set(row.full_incomparable.flat())],
  };
}
