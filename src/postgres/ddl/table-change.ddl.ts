import type { BrokenIdentity } from '../catalog/published-tables.js';
import { identifier, literal } from '../quoting.js';
import { setReplicaIdentity } from './replica-identity.ddl.js';
import { statement, type Statement } from './statement.js';

/** Names of a table, or of a type. */
export interface QualifiedName {
  schema: string;
  name: string;
}

/** A column to be made. `type` and `collation` are as SQL writes them. */
export interface NewColumn {
  name: string;
  type: string;
  collation: string | null;
  notNull: boolean;
  /** SQL of a constant; null: none. */
  default: string | null;
}

const INSTANT = 'ACCESS EXCLUSIVE on the table, for an instant: waits for, and meanwhile blocks, reads and writes';
const REWRITE = 'ACCESS EXCLUSIVE on the table, as long as its rows are checked or rewritten: blocks reads and writes';
const SCAN = 'ACCESS EXCLUSIVE on the table while its rows are read: blocks reads and writes';
const BUILD = 'ACCESS EXCLUSIVE on the table while the index is built: blocks reads and writes';
const TRIGGER = 'SHARE ROW EXCLUSIVE on the table, for an instant: waits for, and meanwhile blocks, writes';
const OF_TYPE = 'ACCESS EXCLUSIVE on the type; no table lock';
const OF_LABELS = 'EXCLUSIVE on the type; no table lock';
const OF_DOMAIN = 'no table lock; the domain is locked against other changes';
const NONE = 'none on existing tables';

export function createSchema(name: string): Statement {
  return statement(`create schema ${identifier(name)}`, NONE);
}

export function createEnum([schema, name]: readonly [string, string], labels: readonly string[]): Statement {
  const list = labels.map((label) => literal(label)).join(', ');
  return statement(`create type ${identifier(schema, name)} as enum (${list})`, NONE);
}

/** @param after the label before it; null: it becomes the first, before `first` */
export function addEnumLabel(
  [schema, name]: readonly [string, string],
  label: string,
  { after, first }: { after: string | null; first: string | null },
): Statement {
  const place = after !== null ? ` after ${literal(after)}` : first !== null ? ` before ${literal(first)}` : '';
  return statement(`alter type ${identifier(schema, name)} add value ${literal(label)}${place}`, OF_LABELS);
}

/** As the last one. @param type as SQL writes it */
export function addAttribute([schema, name]: readonly [string, string], attribute: string, type: string): Statement {
  return statement(`alter type ${identifier(schema, name)} add attribute ${identifier(attribute)} ${type}`, OF_TYPE);
}

export function createTable(
  table: QualifiedName,
  columns: readonly NewColumn[],
  primaryKey: readonly string[],
): Statement {
  const parts = columns.map((column) => `${columnDefinition(column)}${column.notNull ? ' not null' : ''}`);
  if (primaryKey.length > 0) parts.push(`primary key (${names(primaryKey)})`);
  return statement(`create table ${named(table)} (${parts.join(', ')})`, NONE);
}

/** @param bound as a server prints it @param key by which it is partitioned itself; null: it holds rows */
export function createPartition(
  table: QualifiedName,
  parent: QualifiedName,
  bound: string,
  key: string | null,
): Statement {
  const by = key === null ? '' : ` partition by ${key}`;
  return statement(
    `create table ${named(table)} partition of ${named(parent)} ${bound}${by}`,
    'ACCESS EXCLUSIVE on the partitioned table, for an instant; as long as its rows are read on the default partition, if there is one',
  );
}

export function detachPartition(parent: QualifiedName, partition: QualifiedName): Statement {
  return change(parent, `detach partition ${named(partition)}`, INSTANT);
}

export function noForceRowSecurity(table: QualifiedName): Statement {
  return change(table, 'no force row level security', INSTANT);
}

export function bypassRowSecurity(role: string): Statement {
  return statement(`alter role ${identifier(role)} bypassrls`, 'no table lock');
}

export function renameTable(table: QualifiedName, to: QualifiedName): Statement[] {
  const moves: Statement[] = [];
  if (table.schema !== to.schema) {
    moves.push(statement(`alter table ${named(table)} set schema ${identifier(to.schema)}`, INSTANT));
  }
  if (table.name !== to.name) {
    const from = identifier(to.schema, table.name);
    moves.push(statement(`alter table ${from} rename to ${identifier(to.name)}`, INSTANT));
  }
  return moves;
}

/** Without NOT NULL: rows that are there already get no value. */
export function addColumn(table: QualifiedName, column: NewColumn): Statement {
  return change(table, `add column ${columnDefinition(column)}`, INSTANT);
}

export function dropColumn(table: QualifiedName, column: string): Statement {
  return change(table, `drop column ${identifier(column)}`, INSTANT);
}

export function renameColumn(table: QualifiedName, column: string, to: string): Statement {
  return change(table, `rename column ${identifier(column)} to ${identifier(to)}`, INSTANT);
}

/** @param throughText where there may be no cast from the old type to the new one */
export function changeColumnType(
  table: QualifiedName,
  { name, type, collation }: Pick<NewColumn, 'name' | 'type' | 'collation'>,
  throughText: boolean,
): Statement {
  const collate = collation === null ? '' : ` collate ${collation}`;
  const using = throughText ? ` using ${identifier(name)}::text::${type}` : '';
  return change(table, `alter column ${identifier(name)} type ${type}${collate}${using}`, REWRITE);
}

export function dropNotNull(table: QualifiedName, column: string): Statement {
  return change(table, `alter column ${identifier(column)} drop not null`, INSTANT);
}

export function setNotNull(table: QualifiedName, column: string): Statement {
  return change(table, `alter column ${identifier(column)} set not null`, SCAN);
}

/** A stored generated column becomes an ordinary one with the values that it has. */
export function dropExpression(table: QualifiedName, column: string): Statement {
  return change(table, `alter column ${identifier(column)} drop expression`, INSTANT);
}

export function addPrimaryKey(table: QualifiedName, columns: readonly string[]): Statement {
  return change(table, `add primary key (${names(columns)})`, BUILD);
}

/** With a plain unique index of that name. */
export function identifyBy(table: QualifiedName, index: string, columns: readonly string[]): Statement[] {
  return [
    statement(
      `create unique index ${identifier(index)} on ${named(table)} (${names(columns)})`,
      'SHARE on the table while the index is built: blocks writes',
    ),
    ...setReplicaIdentity(table.schema, table.name, { kind: 'index', index }),
  ];
}

export function dropKey(table: QualifiedName, key: { name: string; constraint: boolean }): Statement {
  if (key.constraint) return change(table, `drop constraint ${identifier(key.name)}`, INSTANT);
  return statement(`drop index ${identifier(table.schema, key.name)}`, INSTANT);
}

export function dropConstraint(table: QualifiedName, constraint: string): Statement {
  return change(table, `drop constraint ${identifier(constraint)}`, INSTANT);
}

/** New rows are held to it from then on; those there are not looked at. @param expression as a server prints it */
export function addCheck(table: QualifiedName, constraint: string, expression: string): Statement {
  return change(table, `add constraint ${identifier(constraint)} check (${expression}) not valid`, INSTANT);
}

/** @param definition as a server prints it */
export function addConstraint(table: QualifiedName, constraint: string, definition: string): Statement {
  return change(table, `add constraint ${identifier(constraint)} ${definition}`, BUILD);
}

/** @param definition the whole statement, as a server prints it */
export function createIndex(definition: string): Statement {
  return statement(definition, 'SHARE on the table while the index is built: blocks writes');
}

export function dropDomainConstraint(domain: QualifiedName, constraint: string | null): Statement {
  const what = constraint === null ? 'not null' : `constraint ${identifier(constraint)}`;
  return statement(`alter domain ${named(domain)} drop ${what}`, OF_DOMAIN);
}

/** It fires for the writes of this server's own clients from then on, and not while changes are applied. */
export function fireForOwnWrites(table: QualifiedName, trigger: string): Statement {
  return change(table, `enable trigger ${identifier(trigger)}`, TRIGGER);
}

export function disableTrigger(table: QualifiedName, trigger: string): Statement {
  return change(table, `disable trigger ${identifier(trigger)}`, TRIGGER);
}

/** From 17. @param expression as a server prints it */
export function setExpression(table: QualifiedName, column: string, expression: string): Statement {
  return change(table, `alter column ${identifier(column)} set expression as (${expression})`, REWRITE);
}

/** @param expression as a server prints it */
export function addGenerated(table: QualifiedName, column: NewColumn, expression: string): Statement {
  return change(table, `add column ${columnDefinition(column)} generated always as (${expression}) stored`, REWRITE);
}

/** Makes UPDATE and DELETE of a published table work again; empty where no replica identity would do. */
export function mendIdentity({ schema, name, primaryKey, index, full }: BrokenIdentity): Statement[] {
  if (index === null) return full ? setReplicaIdentity(schema, name, { kind: 'full' }) : [];
  return setReplicaIdentity(schema, name, primaryKey === true ? { kind: 'default' } : { kind: 'index', index });
}

function change(table: QualifiedName, action: string, lock: string): Statement {
  return statement(`alter table ${named(table)} ${action}`, lock);
}

function columnDefinition({ name, type, collation, default: value }: NewColumn): string {
  const collate = collation === null ? '' : ` collate ${collation}`;
  return `${identifier(name)} ${type}${collate}${value === null ? '' : ` default ${value}`}`;
}

function named({ schema, name }: QualifiedName): string {
  return identifier(schema, name);
}

function names(columns: readonly string[]): string {
  return columns.map((column) => identifier(column)).join(', ');
}
