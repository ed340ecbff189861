import { PG18 } from '../../shared/server-version.js';
import type { Publication, PublicationTarget } from '../catalog/publications.js';
import { identifier, literal } from '../quoting.js';
import { refusal } from './options/combination-rules.js';
import { requireOption } from './options/option-rule.js';
import { PUBLICATION_OPTIONS } from './options/publication-options.js';
import { onOff, requireIdentifier } from './option-rules.js';
import { checkTarget } from './publication-checks.js';
import { editedTarget, sameTable, tableKey } from './publication-edit.js';
import type {
  PublicationOptions,
  PublicationPatch,
  PublicationSpec,
  PublicationTableSpec,
  PublicationTargetSpec,
} from './publication-spec.js';
import { statement, type Statement } from './statement.js';

const TABLE_LOCK = 'SHARE UPDATE EXCLUSIVE on each listed table: does not block reads or writes';
const LIST_LOCK = `${TABLE_LOCK}; from 15 on ACCESS EXCLUSIVE on the publication`;
const OBJECT_LOCK = 'ACCESS EXCLUSIVE on the publication; no table lock';
const CATALOG_LOCK = 'no table lock; the publication is locked against other changes';

/** CREATE PUBLICATION. `FOR TABLE ONLY`: exactly the tables named; inheritance children are named themselves. */
export function createPublication(spec: PublicationSpec, versionNum: number): Statement[] {
  requireIdentifier(spec.name, '/name');
  checkTarget(spec.target, versionNum);
  const options = withClause(spec, versionNum);
  const target = createTarget(spec.target);
  const sql = ['create publication', identifier(spec.name), target, options].filter(Boolean).join(' ');
  const lock = spec.target.kind === 'allTables' ? CATALOG_LOCK : TABLE_LOCK;
  return [
    statement(sql, lock, { effect: `${extentOf(spec.target)} can be subscribed to; nothing is sent before that.` }),
  ];
}

/**
 * The statements that turn `current` into what `patch` asks for, all of them fit for one transaction: none when
 * nothing differs. Throws CONFLICT where only dropping and creating anew would do it: that would break subscribers.
 */
export function alterPublication(current: Publication, patch: PublicationPatch, versionNum: number): Statement[] {
  const subject = `alter publication ${identifier(current.name)}`;
  const statements: Statement[] = [];
  const target = editedTarget(current.target, patch, versionNum);
  const lists = target === null ? [] : alterTarget(subject, current.target, target);
  const changed = changedOptions(current, patch);
  const options =
    Object.keys(changed).length === 0
      ? []
      : [
          statement(`${subject} set ${optionList(changed, versionNum)}`, CATALOG_LOCK, {
            effect: 'Holds for changes that are sent from then on; what subscribers have stays as it is.',
          }),
        ];
  // Lists of partitioned tables are taken only while their root is what is published.
  statements.push(...(changed.viaPartitionRoot === true ? [...options, ...lists] : [...lists, ...options]));
  if (patch.owner !== undefined && patch.owner !== current.owner) {
    requireIdentifier(patch.owner, '/owner');
    statements.push(
      statement(`${subject} owner to ${identifier(patch.owner)}`, CATALOG_LOCK, {
        effect: 'Nothing is sent differently.',
      }),
    );
  }
  if (patch.name !== undefined && patch.name !== current.name) {
    requireIdentifier(patch.name, '/name');
    statements.push(
      statement(`${subject} rename to ${identifier(patch.name)}`, OBJECT_LOCK, {
        effect: 'Subscriptions to the old name stop with an error until they are given the new one.',
      }),
    );
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
  return [
    statement(`drop publication ${identifier(name)}`, OBJECT_LOCK, {
      effect: 'Subscriptions to it stop with an error.',
      needs: { kind: 'owner', type: 'publication', name },
    }),
  ];
}

function extentOf(target: PublicationTargetSpec): string {
  if (target.kind === 'allTables') return 'All tables, those to come as well,';
  const tables = count(target.tables ?? [], 'table');
  return target.kind === 'tables' ? tables : `The tables of ${count(target.schemas, 'schema')}, and ${tables},`;
}

function count(list: readonly unknown[], noun: string): string {
  return `${list.length} ${noun}${list.length === 1 ? '' : 's'}`;
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
    throw refusal('all-tables-stays', 'CONFLICT', 'a publication cannot be changed to or from all tables', [
      { pointer: '#/target/kind', detail: `is ${current.kind} and stays so` },
    ]);
  }
  const before = new Map(current.tables.map((table) => [tableKey(table), table]));
  const wantedTables = wanted.tables ?? [];
  const after = new Map(wantedTables.map((table) => [tableKey(table), table]));
  const stays = (id: string) => after.has(id) && sameTable(before.get(id)!, after.get(id)!);
  const leaving = current.tables.filter((table) => !stays(tableKey(table)));
  const joining = wantedTables.filter((table) => !before.has(tableKey(table)) || !stays(tableKey(table)));
  const schemasBefore = current.kind === 'schemas' ? current.schemas : [];
  const schemasAfter = wanted.kind === 'schemas' ? wanted.schemas : [];
  const schemasLeaving = schemasBefore.filter((schema) => !schemasAfter.includes(schema));
  const schemasJoining = schemasAfter.filter((schema) => !schemasBefore.includes(schema));
  const dropped = leaving.map((table) => `only ${identifier(table.schema, table.name)}`).join(', ');
  // Leaving goes first: a column list and a schema must not meet in one publication, not even for a moment.
  const lost = (what: string) =>
    `No longer sent: ${what}; subscribers keep their rows, and are rid of them when refreshed.`;
  const gained = (what: string) => `Sent to subscribers once these are refreshed: ${what}.`;
  return [
    ...(leaving.length > 0 ? [[`${subject} drop table ${dropped}`, lost(count(leaving, 'table'))] as const] : []),
    ...(schemasLeaving.length > 0
      ? [
          [
            `${subject} drop ${schemaList(schemasLeaving)}`,
            lost(`the tables of ${count(schemasLeaving, 'schema')}`),
          ] as const,
        ]
      : []),
    ...(joining.length > 0 ? [[`${subject} add ${tableList(joining)}`, gained(count(joining, 'table'))] as const] : []),
    ...(schemasJoining.length > 0
      ? [
          [
            `${subject} add ${schemaList(schemasJoining)}`,
            gained(`the tables of ${count(schemasJoining, 'schema')}`),
          ] as const,
        ]
      : []),
  ].map(([sql, effect]) => statement(sql, LIST_LOCK, { effect }));
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
  if (options.publish !== undefined)
    entries.push(`${PUBLICATION_OPTIONS.publish.keyword} = ${literal(options.publish.join(', '))}`);
  if (options.viaPartitionRoot !== undefined) {
    entries.push(`${PUBLICATION_OPTIONS.viaPartitionRoot.keyword} = ${onOff(options.viaPartitionRoot)}`);
  }
  if (options.generatedColumns === 'stored') {
    requireOption(PUBLICATION_OPTIONS.generatedColumns, versionNum, '/generatedColumns');
  }
  // Before 18 "none" is what every server does, so there is nothing to say.
  if (options.generatedColumns !== undefined && versionNum >= PG18) {
    entries.push(`${PUBLICATION_OPTIONS.generatedColumns.keyword} = ${options.generatedColumns}`);
  }
  return entries.length === 0 ? '' : `(${entries.join(', ')})`;
}
