import { identifier } from '../quoting.js';
import { refusal } from './options/combination-rules.js';
import { requireOption } from './options/option-rule.js';
import { PUBLICATION_OPTIONS } from './options/publication-options.js';
import { invalidInput, requireIdentifier } from './option-rules.js';
import type { PublicationTableSpec, PublicationTargetSpec } from './publication-spec.js';
import { requireSelfContainedExpression } from './row-filter.js';

/** Throws INVALID_INPUT or OPTION_NOT_SUPPORTED for a target that the server would refuse whatever is in it. */
export function checkTarget(target: PublicationTargetSpec, versionNum: number): void {
  if (target.kind === 'allTables') return;
  if (target.kind === 'schemas') {
    requireOption(PUBLICATION_OPTIONS.schemas, versionNum, '/target/kind');
    checkSchemas(target.schemas, '/target/schemas');
    if (target.schemas.length === 0) throw invalidInput('/target/schemas', 'at least one schema is needed');
  }
  const tables = target.tables ?? [];
  checkTables(tables, '/target/tables', versionNum);
  const listed = tables.findIndex(({ columns }) => (columns ?? null) !== null);
  if (target.kind !== 'schemas' || listed < 0) return;
  const detail = 'column lists and schemas exclude each other in one publication';
  const pointer = `#/target/tables/${listed}/columns`;
  throw refusal('columns-exclude-schemas', 'INVALID_INPUT', detail, [{ pointer, detail }]);
}

export function checkSchemas(schemas: readonly string[], pointer: string): void {
  schemas.forEach((schema, index) => requireIdentifier(schema, `${pointer}/${index}`));
}

/** Checks each table by itself, and that none is listed twice. */
export function checkTables(tables: readonly PublicationTableSpec[], pointer: string, versionNum: number): void {
  const seen = new Set<string>();
  tables.forEach((table, index) => {
    const place = `${pointer}/${index}`;
    requireIdentifier(table.schema, `${place}/schema`);
    requireIdentifier(table.name, `${place}/name`);
    const key = identifier(table.schema, table.name);
    if (seen.has(key)) throw invalidInput(place, 'the table is listed twice');
    seen.add(key);
    checkColumns(table, place, versionNum);
    if (table.where === undefined || table.where === null) return;
    requireOption(PUBLICATION_OPTIONS.where, versionNum, `${place}/where`);
    requireSelfContainedExpression(table.where, `${place}/where`);
  });
}

function checkColumns({ columns = null }: PublicationTableSpec, place: string, versionNum: number): void {
  if (columns === null) return;
  requireOption(PUBLICATION_OPTIONS.columns, versionNum, `${place}/columns`);
  if (columns.length === 0) throw invalidInput(`${place}/columns`, 'a column list needs a column');
  columns.forEach((column, index) => requireIdentifier(column, `${place}/columns/${index}`));
  if (new Set(columns).size < columns.length) throw invalidInput(`${place}/columns`, 'a column is listed twice');
}
