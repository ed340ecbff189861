import { Problem } from '../../problems/problem.js';
import { PG15, PG18 } from '../../shared/server-version.js';
import type {
  GeneratedColumns,
  Publication,
  PublicationTable,
  PublicationTarget,
  PublishOperation,
} from '../catalog/publications.js';
import { identifier, literal } from '../quoting.js';
import { invalidInput, onOff, requireIdentifier, requireVersion } from './option-rules.js';
import { requireSelfContainedExpression } from './row-filter.js';
import { statement, type Statement } from './statement.js';

/** A table to publish: `columns` absent or null for all, `where` absent or null for every row. */
export interface PublicationTableSpec {
  schema: string;
  name: string;
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

/** What a PATCH may change; a target replaces the list, and tables that stay the same are not touched. */
export interface PublicationPatch extends PublicationOptions {
  name?: string;
  owner?: string;
  target?: PublicationTargetSpec;
}

const TABLE_LOCK = 'SHARE UPDATE EXCLUSIVE on each listed table: does not block reads or writes';
const CATALOG_LOCK = 'no table lock; the publication is locked against other changes';

/** CREATE PUBLICATION. `FOR TABLE ONLY`: exactly the tables named; inheritance children are named themselves. */
export function createPublication(spec: PublicationSpec, versionNum: number): Statement[] {
  requireIdentifier(spec.name, '/name');
  checkTarget(spec.target, versionNum);
  const options = withClause(spec, versionNum);
  const target = createTarget(spec.target);
  const sql = ['create publication', identifier(spec.name), target, options].filter(Boolean).join(' ');
  return [statement(sql, spec.target.kind === 'allTables' ? CATALOG_LOCK : TABLE_LOCK)];
}

/**
 * The statements that turn `current` into what `patch` asks for, all of them fit for one transaction: none when
 * nothing differs. Throws CONFLICT where only dropping and creating anew would do it: that would break subscribers.
 */
export function alterPublication(current: Publication, patch: PublicationPatch, versionNum: number): Statement[] {
  const subject = `alter publication ${identifier(current.name)}`;
  const statements: Statement[] = [];
  if (patch.target !== undefined) {
    checkTarget(patch.target, versionNum);
    statements.push(...alterTarget(subject, current.target, patch.target));
  }
  const options = changedOptions(current, patch);
  if (Object.keys(options).length > 0) {
    statements.push(statement(`${subject} set ${optionList(options, versionNum)}`, CATALOG_LOCK));
  }
  if (patch.owner !== undefined && patch.owner !== current.owner) {
    requireIdentifier(patch.owner, '/owner');
    statements.push(statement(`${subject} owner to ${identifier(patch.owner)}`, CATALOG_LOCK));
  }
  if (patch.name !== undefined && patch.name !== current.name) {
    requireIdentifier(patch.name, '/name');
    statements.push(statement(`${subject} rename to ${identifier(patch.name)}`, CATALOG_LOCK));
  }
  return statements;
}

/**
 * Takes everything out of a publication that is to be dropped; see `emptyPublications` for why. Nothing can be taken
 * out of one for all tables.
 */
export function emptyPublication({ name, target }: Pick<Publication, 'name' | 'target'>): Statement[] {
  if (target.kind === 'allTables') return [];
  return alterTarget(`alter publication ${identifier(name)}`, target, { kind: 'tables', tables: [] });
}

/** As `emptyPublication`, for one whose list of tables is known. */
export function takeTablesOut(name: string, tables: readonly { schema: string; name: string }[]): Statement[] {
  if (tables.length === 0) return [];
  const listed = tables.map((table) => ({ schema: table.schema, name: table.name, columns: null, where: null }));
  return emptyPublication({ name, target: { kind: 'tables', tables: listed } });
}

export function dropPublication(name: string): Statement[] {
  return [statement(`drop publication ${identifier(name)}`, 'ACCESS EXCLUSIVE on the publication; no table lock')];
}

function createTarget(target: PublicationTargetSpec): string {
  if (target.kind === 'allTables') return 'for all tables';
  const objects = [tableList(target.tables ?? []), target.kind === 'schemas' ? schemaList(target.schemas) : ''];
  const listed = objects.filter(Boolean).join(', ');
  return listed === '' ? '' : `for ${listed}`;
}

function tableList(tables: PublicationTableSpec[]): string {
  return tables.length === 0 ? '' : `table ${tables.map(tableClause).join(', ')}`;
}

function schemaList(schemas: string[]): string {
  return schemas.length === 0 ? '' : `tables in schema ${schemas.map((schema) => identifier(schema)).join(', ')}`;
}

function tableClause(table: PublicationTableSpec): string {
  const columns = table.columns ? ` (${table.columns.map((column) => identifier(column)).join(', ')})` : '';
  const where = table.where ? ` where (${table.where})` : '';
  return `only ${identifier(table.schema, table.name)}${columns}${where}`;
}

function alterTarget(subject: string, current: PublicationTarget, wanted: PublicationTargetSpec): Statement[] {
  if (current.kind === 'allTables' || wanted.kind === 'allTables') {
    if (current.kind === wanted.kind) return [];
    throw new Problem('CONFLICT', 'a publication cannot be changed to or from all tables', {
      hint: 'Create a second publication with the other target, add it to the subscriptions, then remove this one.',
      errors: [{ pointer: '#/target/kind', detail: `is ${current.kind} and stays so` }],
    });
  }
  const before = new Map(current.tables.map((table) => [key(table), table]));
  const wantedTables = wanted.tables ?? [];
  const after = new Map(wantedTables.map((table) => [key(table), table]));
  const stays = (id: string) => after.has(id) && sameTable(before.get(id)!, after.get(id)!);
  const leaving = current.tables.filter((table) => !stays(key(table)));
  const joining = wantedTables.filter((table) => !before.has(key(table)) || !stays(key(table)));
  const schemasBefore = current.kind === 'schemas' ? current.schemas : [];
  const schemasAfter = wanted.kind === 'schemas' ? wanted.schemas : [];
  const schemasLeaving = schemasBefore.filter((schema) => !schemasAfter.includes(schema));
  const schemasJoining = schemasAfter.filter((schema) => !schemasBefore.includes(schema));
  const dropped = leaving.map((table) => `only ${identifier(table.schema, table.name)}`).join(', ');
  // Leaving goes first: a column list and a schema must not meet in one publication, not even for a moment.
  return [
    ...(leaving.length > 0 ? [`${subject} drop table ${dropped}`] : []),
    ...(schemasLeaving.length > 0 ? [`${subject} drop ${schemaList(schemasLeaving)}`] : []),
    ...(joining.length > 0 ? [`${subject} add ${tableList(joining)}`] : []),
    ...(schemasJoining.length > 0 ? [`${subject} add ${schemaList(schemasJoining)}`] : []),
  ].map((sql) => statement(sql, TABLE_LOCK));
}

function key(table: { schema: string; name: string }): string {
  return identifier(table.schema, table.name);
}

function sameTable(before: PublicationTable, after: PublicationTableSpec): boolean {
  const columns = after.columns ?? null;
  const sameColumns =
    before.columns === null || columns === null
      ? before.columns === columns
      : before.columns.length === columns.length && before.columns.every((column) => columns.includes(column));
  return sameColumns && before.where === (after.where ?? null);
}

function changedOptions(current: Publication, patch: PublicationPatch): PublicationOptions {
  const { publish, viaPartitionRoot, generatedColumns } = patch;
  const samePublish =
    publish?.length === current.publish.length && publish.every((operation) => current.publish.includes(operation));
  return {
    ...(publish !== undefined && !samePublish ? { publish } : {}),
    ...(viaPartitionRoot !== undefined && viaPartitionRoot !== current.viaPartitionRoot ? { viaPartitionRoot } : {}),
    ...(generatedColumns !== undefined && generatedColumns !== current.generatedColumns ? { generatedColumns } : {}),
  };
}

function withClause(options: PublicationOptions, versionNum: number): string {
  const list = optionList(options, versionNum);
  return list === '' ? '' : `with ${list}`;
}

function optionList(options: PublicationOptions, versionNum: number): string {
  const entries: string[] = [];
  if (options.publish !== undefined) entries.push(`publish = ${literal(options.publish.join(', '))}`);
  if (options.viaPartitionRoot !== undefined) {
    entries.push(`publish_via_partition_root = ${onOff(options.viaPartitionRoot)}`);
  }
  if (options.generatedColumns === 'stored') {
    const instead = 'Leave it out: before 18 generated columns are computed on the subscriber.';
    requireVersion(versionNum, PG18, 'publishing generated columns', '/generatedColumns', instead);
  }
  // Before 18 "none" is what every server does, so there is nothing to say.
  if (options.generatedColumns !== undefined && versionNum >= PG18) {
    entries.push(`publish_generated_columns = ${options.generatedColumns}`);
  }
  return entries.length === 0 ? '' : `(${entries.join(', ')})`;
}

function checkTarget(target: PublicationTargetSpec, versionNum: number): void {
  if (target.kind === 'allTables') return;
  if (target.kind === 'schemas') {
    const instead = 'List the tables instead, or publish all tables.';
    requireVersion(versionNum, PG15, 'publishing tables in a schema', '/target/kind', instead);
    target.schemas.forEach((schema, index) => requireIdentifier(schema, `/target/schemas/${index}`));
    if (target.schemas.length === 0) throw invalidInput('/target/schemas', 'at least one schema is needed');
  }
  const seen = new Set<string>();
  (target.tables ?? []).forEach((table, index) => {
    const pointer = `/target/tables/${index}`;
    requireIdentifier(table.schema, `${pointer}/schema`);
    requireIdentifier(table.name, `${pointer}/name`);
    if (seen.has(key(table))) throw invalidInput(pointer, 'the table is listed twice');
    seen.add(key(table));
    checkColumns(table, pointer, target.kind === 'schemas', versionNum);
    if (table.where === undefined || table.where === null) return;
    const instead = 'Leave the row filter out: this server sends every row.';
    requireVersion(versionNum, PG15, 'a row filter', `${pointer}/where`, instead);
    requireSelfContainedExpression(table.where, `${pointer}/where`);
  });
}

function checkColumns(table: PublicationTableSpec, pointer: string, withSchemas: boolean, versionNum: number): void {
  if (table.columns === undefined || table.columns === null) return;
  const instead = 'Leave the column list out: this server sends every column.';
  requireVersion(versionNum, PG15, 'a column list', `${pointer}/columns`, instead);
  if (table.columns.length === 0) throw invalidInput(`${pointer}/columns`, 'a column list needs a column');
  table.columns.forEach((column, index) => requireIdentifier(column, `${pointer}/columns/${index}`));
  if (new Set(table.columns).size < table.columns.length) {
    throw invalidInput(`${pointer}/columns`, 'a column is listed twice');
  }
  if (!withSchemas) return;
  const hint = 'Publish the schema and the tables with column lists in two publications.';
  throw invalidInput(`${pointer}/columns`, 'column lists and schemas exclude each other in one publication', hint);
}
