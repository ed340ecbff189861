import type { ColumnDefinition } from '../../postgres/catalog/table-definitions.js';
import { createEnum, type NewColumn } from '../../postgres/ddl/table-change.ddl.js';
import { type Mend, onSubscriber, PHASES } from './finding.js';

/** What every server reads alike: anything else may use what the subscriber does not have. */
const CONSTANT =
  /^(?:null|true|false|\(?-?\d+(?:\.\d+)?\)?|'(?:[^']|'')*')(?:::[a-z ]+(?:\(\d+(?:,\d+)?\))?(?:\[\])?)?$/i;

/** The publisher's column as it is made on the subscriber: without NOT NULL, with its default only if that is a constant. */
export function newColumn({ name, type, collation, default: value }: ColumnDefinition): NewColumn {
  const constant = value !== null && CONSTANT.test(value) ? value : null;
  return { name, type, collation, notNull: false, default: constant };
}

/** Names by which a subscriber is asked whether it has what the columns need. */
export function typesToLookUp(columns: readonly ColumnDefinition[]): string[] {
  return [...new Set(columns.filter((column) => !isBuiltIn(column)).map(({ type }) => type))];
}

/** Why a column of that type cannot be made on the subscriber; null: it can, `withItsType` first. */
export function typeObstacle(column: ColumnDefinition, knownTypes: ReadonlySet<string>): string | null {
  if (isBuiltIn(column) || knownTypes.has(column.type) || isEnum(column)) return null;
  return `The subscriber has no type ${column.type}: create it first, for example from pg_dump --schema-only of the publisher, or with the extension it comes from.`;
}

/** Makes the enum of the column where the subscriber has none. */
export function withItsType(column: ColumnDefinition, knownTypes: ReadonlySet<string>): Mend[] {
  if (!isEnum(column) || knownTypes.has(column.type)) return [];
  return onSubscriber(PHASES.namesOnSubscriber, createEnum(column.enumName!, column.labels ?? []));
}

/** Below no domain, nor elements of one. */
function isEnum({ enumName, type, base }: ColumnDefinition): boolean {
  return enumName !== null && type === base;
}

function isBuiltIn({ builtIn, type, base, enumName }: ColumnDefinition): boolean {
  return builtIn && type === base && enumName === null;
}
