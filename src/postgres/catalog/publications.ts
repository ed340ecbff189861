import type { Session } from '../session.js';
import { PUBLICATION_OPERATIONS, PUBLICATIONS } from './publications.sql.js';
import { variantFor } from './variant.js';

export const PUBLISH_OPERATIONS = ['insert', 'update', 'delete', 'truncate'] as const;
export type PublishOperation = (typeof PUBLISH_OPERATIONS)[number];
export type GeneratedColumns = 'none' | 'stored';

/** A table named in a publication. `columns` null: all columns; `where` null: all rows. */
export interface PublicationTable {
  schema: string;
  name: string;
  columns: string[] | null;
  /** As the server prints it, in parentheses. */
  where: string | null;
}

export type PublicationTarget =
  | { kind: 'allTables' }
  | { kind: 'schemas'; schemas: string[]; tables: PublicationTable[] }
  | { kind: 'tables'; tables: PublicationTable[] };

/** A publication as defined (pg_publication, pg_publication_rel, pg_publication_namespace). */
export interface Publication {
  name: string;
  owner: string;
  target: PublicationTarget;
  publish: PublishOperation[];
  viaPartitionRoot: boolean;
  /** Always `none` before 18: older servers never publish generated columns. */
  generatedColumns: GeneratedColumns;
}

type OperationsRow = Pick<PublicationRow, 'name' | `publishes_${PublishOperation}`>;

export interface PublicationRow {
  name: string;
  owner: string;
  all_tables: boolean;
  publishes_insert: boolean;
  publishes_update: boolean;
  publishes_delete: boolean;
  publishes_truncate: boolean;
  via_partition_root: boolean;
  generated_columns: GeneratedColumns;
  schemas: string[];
  tables: PublicationTable[];
}

export interface PublicationPage {
  /** Only those after this name. */
  after?: string | undefined;
  limit?: number | undefined;
}

/** Publications of the session's database, by name; only the one of that name where given. */
export async function readPublications(
  session: Session,
  name: string | null = null,
  { after, limit }: PublicationPage = {},
): Promise<Publication[]> {
  const parameters = [name, after ?? null, limit ?? null];
  const rows = await session.rows<PublicationRow>(variantFor(PUBLICATIONS, session.versionNum), parameters);
  return rows.map(decodePublication);
}

/** What the publication publishes; null: there is none of that name in the session's database. */
export async function readPublishedOperations(session: Session, name: string): Promise<PublishOperation[] | null> {
  return (await readOperationsOf(session, [name])).get(name) ?? null;
}

/** The same of several, by name, without those that are not there. */
export async function readOperationsOf(
  session: Session,
  names: readonly string[],
): Promise<Map<string, PublishOperation[]>> {
  const sql = variantFor(PUBLICATION_OPERATIONS, session.versionNum);
  const rows = await session.rows<OperationsRow>(sql, [names]);
  return new Map(rows.map((row) => [row.name, operationsOf(row)]));
}

function operationsOf(row: Omit<OperationsRow, 'name'>): PublishOperation[] {
  return PUBLISH_OPERATIONS.filter((operation) => row[`publishes_${operation}`]);
}

function decodePublication(row: PublicationRow): Publication {
  return {
    name: row.name,
    owner: row.owner,
    target: decodeTarget(row),
    publish: operationsOf(row),
    viaPartitionRoot: row.via_partition_root,
    generatedColumns: row.generated_columns,
  };
}

function decodeTarget(row: PublicationRow): PublicationTarget {
  if (row.all_tables) return { kind: 'allTables' };
  // jsonb has an order of its own.
  const tables = row.tables.map(({ schema, name, columns, where }) => ({ schema, name, columns, where }));
  if (row.schemas.length > 0) return { kind: 'schemas', schemas: row.schemas, tables };
  return { kind: 'tables', tables };
}
