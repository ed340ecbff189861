import type { InputError } from '../../problems/problem.js';
import type { PublicationTable, PublicationTarget } from '../catalog/publications.js';
import { identifier } from '../quoting.js';
import { refusal } from './options/combination-rules.js';
import { requireOption } from './options/option-rule.js';
import { PUBLICATION_OPTIONS } from './options/publication-options.js';
import { invalidInput } from './option-rules.js';
import { checkSchemas, checkTables, checkTarget } from './publication-checks.js';
import type {
  PublicationPatch,
  PublicationTableName,
  PublicationTableSpec,
  PublicationTargetSpec,
} from './publication-spec.js';

const EDITS = ['addTables', 'setTables', 'removeTables', 'addSchemas', 'removeSchemas'] as const;

/**
 * Throws INVALID_INPUT or OPTION_NOT_SUPPORTED for what no publication could be changed to, whatever is in it now.
 */
export function checkPatch(patch: PublicationPatch, versionNum: number): void {
  const edits = EDITS.filter((edit) => patch[edit] !== undefined);
  if (patch.target !== undefined) {
    if (edits.length > 0) throw invalidInput(`/${edits[0]}`, 'excludes target, which is the whole list');
    checkTarget(patch.target, versionNum);
  }
  if (patch.generatedColumns === 'stored') {
    requireOption(PUBLICATION_OPTIONS.generatedColumns, versionNum, '/generatedColumns');
  }
  for (const edit of ['addTables', 'setTables'] as const) checkTables(patch[edit] ?? [], `/${edit}`, versionNum);
  checkTables(patch.removeTables ?? [], '/removeTables', versionNum);
  for (const edit of ['addSchemas', 'removeSchemas'] as const) {
    if (patch[edit] !== undefined) requireOption(PUBLICATION_OPTIONS.schemas, versionNum, `/${edit}`);
    checkSchemas(patch[edit] ?? [], `/${edit}`);
  }
  requireOnce(
    EDITS.slice(0, 3).map((edit) => [edit, (patch[edit] as PublicationTableName[] | undefined)?.map(tableKey) ?? []]),
  );
  requireOnce([
    ['addSchemas', patch.addSchemas ?? []],
    ['removeSchemas', patch.removeSchemas ?? []],
  ]);
}

/** The target that `patch` asks for; null when it leaves the target alone. Throws CONFLICT where `current` is in the way. */
export function editedTarget(
  current: PublicationTarget,
  patch: PublicationPatch,
  versionNum: number,
): PublicationTargetSpec | null {
  checkPatch(patch, versionNum);
  if (patch.target !== undefined) return patch.target;
  const edits = EDITS.filter((edit) => patch[edit] !== undefined);
  if (edits.length === 0) return null;
  if (current.kind === 'allTables') {
    const errors = edits.map((edit) => ({ pointer: `#/${edit}`, detail: 'the publication is of all tables' }));
    throw refusal('all-tables-stays', 'CONFLICT', 'a publication of all tables has no list to change', errors);
  }
  const tables = editedTables(current.tables, patch);
  const schemas = editedSchemas(current.kind === 'schemas' ? current.schemas : [], patch);
  if (schemas.length === 0) return { kind: 'tables', tables };
  requireNoColumns(tables, patch);
  return { kind: 'schemas', schemas, tables };
}

export function tableKey(table: PublicationTableName): string {
  return identifier(table.schema, table.name);
}

export function sameTable(before: PublicationTable, after: PublicationTableSpec): boolean {
  const columns = after.columns ?? null;
  const sameColumns =
    before.columns === null || columns === null
      ? before.columns === columns
      : before.columns.length === columns.length && before.columns.every((column) => columns.includes(column));
  return sameColumns && before.where === (after.where ?? null);
}

function editedTables(current: readonly PublicationTable[], patch: PublicationPatch): PublicationTableSpec[] {
  const listed = new Map(current.map((table) => [tableKey(table), table]));
  const tables = new Map<string, PublicationTableSpec>(listed);
  const errors: InputError[] = [];
  (patch.removeTables ?? []).forEach((table, index) => {
    if (!tables.delete(tableKey(table))) errors.push({ pointer: `#/removeTables/${index}`, detail: 'is not listed' });
  });
  (patch.addTables ?? []).forEach((table, index) => {
    const before = listed.get(tableKey(table));
    if (before === undefined) tables.set(tableKey(table), table);
    else if (!sameTable(before, table)) {
      errors.push({ pointer: `#/addTables/${index}`, detail: `is listed already, with ${described(before)}` });
    }
  });
  for (const table of patch.setTables ?? []) tables.set(tableKey(table), table);
  refuseAny(errors);
  return [...tables.values()];
}

function editedSchemas(
  current: readonly string[],
  { addSchemas = [], removeSchemas = [] }: PublicationPatch,
): string[] {
  refuseAny(
    removeSchemas.flatMap((schema, index) =>
      current.includes(schema) ? [] : [{ pointer: `#/removeSchemas/${index}`, detail: 'is not listed' }],
    ),
  );
  return [...new Set([...current, ...addSchemas])].filter((schema) => !removeSchemas.includes(schema));
}

function refuseAny(errors: InputError[]): void {
  if (errors.length === 0) return;
  throw refusal('table-listed', 'CONFLICT', 'the list of the publication is not what the request takes it for', errors);
}

function requireNoColumns(tables: readonly PublicationTableSpec[], patch: PublicationPatch): void {
  const withColumns = tables.filter(({ columns }) => (columns ?? null) !== null);
  if (withColumns.length === 0) return;
  const names = withColumns.map(tableKey).join(', ');
  const pointer = patch.addSchemas === undefined ? '#/setTables' : '#/addSchemas';
  throw refusal('columns-exclude-schemas', 'CONFLICT', `the publication would have schemas beside column lists`, [
    { pointer, detail: `column lists: ${names}` },
  ]);
}

function requireOnce(lists: [string, string[]][]): void {
  const seen = new Map<string, string>();
  for (const [edit, names] of lists) {
    for (const [index, name] of names.entries()) {
      const before = seen.get(name);
      if (before !== undefined) throw invalidInput(`/${edit}/${index}`, `is in ${before} as well`);
      seen.set(name, edit);
    }
  }
}

function described({ columns, where }: PublicationTable): string {
  return `${columns === null ? 'all columns' : `the columns ${columns.join(', ')}`} and ${where ?? 'no filter'}`;
}
