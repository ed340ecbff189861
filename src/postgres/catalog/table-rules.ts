import type { Session } from '../session.js';
import { RULES_FINGERPRINT, TABLE_RULES } from './table-rules.sql.js';
import type { TableName } from './tables.js';
import { variantFor } from './variant.js';

/** A CHECK that new rows are held to. */
export interface CheckRule {
  name: string;
  /** Where it is declared: the table, or the topmost one that it comes from. */
  on: TableName;
  /** As this server prints it. */
  expression: string;
  /** Those it reads. */
  columns: string[];
  /** It is one of the table itself, and not of some of its partitions only. */
  whole: boolean;
  /** It comes from a table that is inherited from, where alone it can be dropped. */
  inherited: boolean;
}

/** A unique index that is partial, on expressions, without distinct NULLs or not valid; or one that excludes. */
export interface IndexRule {
  /** Of the index where it is declared. */
  name: string;
  /** Of the table's own index. */
  index: string;
  on: TableName;
  /** Of its constraint; null: it has none. */
  constraint: string | null;
  /** The constraint, or the statement that makes the index, as this server prints it. */
  definition: string;
  /** Its columns and expressions, each with its collation where that is not deterministic. */
  elements: string[];
  /** Those of its elements that are columns. */
  plain: string[];
  /** Null: it is over all rows. */
  predicate: string | null;
  /** All that it reads. */
  columns: string[];
  /** As in `CheckRule`. */
  whole: boolean;
  nullsNotDistinct: boolean;
  /** False: deferrable. */
  immediate: boolean;
  /** False: rows that are there were never all checked; new ones are. */
  valid: boolean;
}

/** A trigger that fires while changes are applied. */
export interface TriggerRule {
  name: string;
  /** The table, or a partition of it. */
  on: TableName;
  /** ALWAYS or REPLICA. */
  enabled: 'A' | 'R';
  /** pg_trigger.tgtype. */
  type: number;
  /** Schema and name, not quoted. */
  function: string;
  /** It is a constraint trigger. */
  constraint: boolean;
  /** The foreign key that it belongs to; null: it is somebody's own. */
  foreignKey: string | null;
  /** Of a foreign key: this table is the one that references. */
  referencing: boolean | null;
}

export interface GeneratedRule {
  /** Of the column. */
  name: string;
  stored: boolean;
  expression: string;
}

/** What a domain holds the values of a column to. */
export interface DomainRule {
  /** Of the constraint; null: it is NOT NULL. */
  name: string | null;
  /** The domain. */
  on: TableName;
  column: string;
  /** Over VALUE; null: it is NOT NULL. */
  expression: string | null;
}

/** A partitioned table, or a partition. */
export interface PartitionRule {
  table: TableName;
  /** Directly above it; null: it is no partition. */
  parent: TableName | null;
  /** By which the parent is partitioned. */
  parentKey: string | null;
  /** So that its rows are held to the bounds of that as well. */
  parentIsPartition: boolean;
  /** As this server prints it, e.g. `FOR VALUES FROM (0) TO (10)` or `DEFAULT`. */
  bound: string | null;
  /** By which it is partitioned itself, e.g. `RANGE (id)`; null: it holds rows. */
  key: string | null;
  /** Of the table itself, not of its partitions: what rows are held to that are written to it directly; null: nothing. */
  constraint: string | null;
}

/** Row security that is enabled. */
export interface SecurityRule {
  /** The table, or a partition of it. */
  on: TableName;
  /** False: it is partitioned, so that single changes are never applied to itself. */
  holdsRows: boolean;
  /** Its owner is held to it, too. */
  forced: boolean;
  owner: string;
  /** Of the topmost table, who applies to it from 16 on. */
  tableOwner: string;
  /** Those of `tableOwner`, the owners of subscriptions and the roles that were asked for that its policies hold. */
  held: string[];
}

/** What holds or changes a table's rows besides its columns and plain keys. */
export interface TableRules {
  checks: CheckRule[];
  uniques: IndexRule[];
  exclusions: IndexRule[];
  triggers: TriggerRule[];
  generated: GeneratedRule[];
  domains: DomainRule[];
  partitions: PartitionRule[];
  security: SecurityRule[];
}

type RuleRow = { schema: string; name: string } & (
  | { kind: 'check'; rule: CheckRule }
  | { kind: 'unique'; rule: IndexRule }
  | { kind: 'exclusion'; rule: IndexRule }
  | { kind: 'trigger'; rule: TriggerRule }
  | { kind: 'generated'; rule: GeneratedRule }
  | { kind: 'domain'; rule: DomainRule }
  | { kind: 'partition'; rule: PartitionRule }
  | { kind: 'security'; rule: SecurityRule }
);

export function noRules(): TableRules {
  return {
    checks: [],
    uniques: [],
    exclusions: [],
    triggers: [],
    generated: [],
    domains: [],
    partitions: [],
    security: [],
  };
}

/**
 * Of tables of those names, by `[schema, name]` as JSON; one without any has no entry.
 *
 * @param roles of which row security is to tell as well whether it holds them
 */
export async function readTableRules(
  session: Session,
  names: readonly TableName[],
  roles: readonly string[] = [],
): Promise<Map<string, TableRules>> {
  const sql = variantFor(TABLE_RULES, session.versionNum);
  const rows = await session.rows<RuleRow>(sql, [...pairs(names), roles]);
  const found = new Map<string, TableRules>();
  for (const row of rows) {
    const key = JSON.stringify([row.schema, row.name]);
    const rules = found.get(key) ?? noRules();
    found.set(key, rules);
    if (row.kind === 'check') rules.checks.push(row.rule);
    else if (row.kind === 'unique') rules.uniques.push(row.rule);
    else if (row.kind === 'exclusion') rules.exclusions.push(row.rule);
    else if (row.kind === 'trigger') rules.triggers.push(row.rule);
    else if (row.kind === 'generated') rules.generated.push(row.rule);
    else if (row.kind === 'domain') rules.domains.push(row.rule);
    else if (row.kind === 'partition') rules.partitions.push(row.rule);
    else rules.security.push(row.rule);
  }
  return found;
}

/** A hash that changes with any of them, and means nothing on another server. Null: there is none. */
export async function readRulesFingerprint(
  session: Session,
  names: readonly TableName[],
  roles: readonly string[] = [],
): Promise<string | null> {
  const sql = variantFor(RULES_FINGERPRINT, session.versionNum);
  return (await session.row<{ hash: string | null }>(sql, [...pairs(names), roles])).hash;
}

function pairs(names: readonly TableName[]): [string[], string[]] {
  return [names.map(({ schema }) => schema), names.map(({ name }) => name)];
}
