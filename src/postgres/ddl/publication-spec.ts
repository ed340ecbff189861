import type { GeneratedColumns, PublishOperation } from '../catalog/publications.js';

export interface PublicationTableName {
  schema: string;
  name: string;
}

/** A table to publish: `columns` absent or null for all, `where` absent or null for every row. */
export interface PublicationTableSpec extends PublicationTableName {
  columns?: string[] | null;
  where?: string | null;
}

export type PublicationTargetSpec =
  | { kind: 'allTables' }
  | { kind: 'schemas'; schemas: string[]; tables?: PublicationTableSpec[] }
  | { kind: 'tables'; tables: PublicationTableSpec[] };

export interface PublicationOptions {
  publish?: PublishOperation[];
  viaPartitionRoot?: boolean;
  generatedColumns?: GeneratedColumns;
}

export interface PublicationSpec extends PublicationOptions {
  name: string;
  target: PublicationTargetSpec;
}

/**
 * What a PATCH may change. Either `target`, which replaces the list, or edits of it; tables that stay the same are
 * not touched either way.
 */
export interface PublicationPatch extends PublicationOptions {
  name?: string;
  owner?: string;
  target?: PublicationTargetSpec;
  /** Not listed yet, or listed exactly so. */
  addTables?: PublicationTableSpec[];
  /** Listed or not: from now on with these columns and this filter. */
  setTables?: PublicationTableSpec[];
  removeTables?: PublicationTableName[];
  addSchemas?: string[];
  removeSchemas?: string[];
}

/** A table named in a request, and where. */
export interface NamedTable extends PublicationTableSpec {
  /** JSON pointer without `#`. */
  pointer: string;
}

/** The tables a request wants published, with their places in it. */
export function wantedTables(request: Partial<PublicationSpec> & PublicationPatch): NamedTable[] {
  const listed =
    request.target !== undefined && request.target.kind !== 'allTables' ? request.target.tables : undefined;
  return [
    ...at('/target/tables', listed),
    ...at('/addTables', request.addTables),
    ...at('/setTables', request.setTables),
  ];
}

/** The schemas a request wants published, with their places in it. */
export function wantedSchemas(
  request: Partial<PublicationSpec> & PublicationPatch,
): { schema: string; pointer: string }[] {
  const listed = request.target?.kind === 'schemas' ? request.target.schemas : [];
  return [
    ...listed.map((schema, index) => ({ schema, pointer: `/target/schemas/${index}` })),
    ...(request.addSchemas ?? []).map((schema, index) => ({ schema, pointer: `/addSchemas/${index}` })),
  ];
}

function at(pointer: string, tables: readonly PublicationTableSpec[] = []): NamedTable[] {
  return tables.map((table, index) => ({ ...table, pointer: `${pointer}/${index}` }));
}
