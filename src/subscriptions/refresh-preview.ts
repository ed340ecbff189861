import type { PublicationTables } from '../postgres/catalog/publication-tables.js';
import type { PublishedDifferently } from '../postgres/catalog/published-differently.js';
import type { TableSize } from '../postgres/catalog/table-sizes.js';
import { COMBINATION_RULES } from '../postgres/ddl/options/combination-rules.js';
import { Problem } from '../problems/problem.js';
import { type SubscriptionWarning, together } from './subscription-warnings.js';

interface TableName {
  schema: string;
  name: string;
}

/** What taking up the publications' current tables changes. Null is unknown, and then `reason` says why. */
export interface RefreshPreview {
  added: TableName[] | null;
  removed: TableName[] | null;
  /** Those of `added` that the subscriber does not have: the server refuses the refresh. */
  absent: TableName[] | null;
  /** Of `added`; null: nothing is copied, or not known. */
  copy: CopyEstimate | null;
  reason: string | null;
}

/** What a first copy reads on the publisher. */
export interface CopyEstimate {
  tables: number;
  /** On disk, TOAST included, indexes not. */
  bytes: number;
  /** As the planner estimates them, row filters left out; null: one of the tables was never vacuumed or analyzed. */
  rows: number | null;
}

export function copyEstimate(sizes: readonly TableSize[]): CopyEstimate {
  const rows = sizes.every((size) => size.rows !== null)
    ? Math.round(sizes.reduce((sum, size) => sum + size.rows!, 0))
    : null;
  return { tables: sizes.length, bytes: sizes.reduce((sum, { bytes }) => sum + bytes, 0), rows };
}

export interface Preview {
  tables: RefreshPreview;
  warnings: SubscriptionWarning[];
  differing: PublishedDifferently;
}

/** What is answered of it, where it was made; the tables where `shown` says so. */
export function previewed(preview: Preview | null, warnings: SubscriptionWarning[], shown: { tables: boolean }) {
  if (preview === null) return { warnings };
  const all = together(warnings, preview.warnings);
  return shown.tables ? { tables: preview.tables, warnings: all } : { warnings: all };
}

export function unknownPreview(reason: string): RefreshPreview {
  return { added: null, removed: null, absent: null, copy: null, reason };
}

/** @param existing tables of the subscriber's database */
export function previewRefresh(
  published: readonly TableName[],
  subscribed: readonly TableName[],
  existing: readonly TableName[],
): RefreshPreview {
  const added = without(published, subscribed);
  return { added, removed: without(subscribed, published), absent: without(added, existing), copy: null, reason: null };
}

/** What makes the refresh other than it looks. */
export function previewWarnings({ absent }: RefreshPreview, { missing }: PublicationTables): SubscriptionWarning[] {
  const warnings: SubscriptionWarning[] = [];
  if (missing.length > 0) {
    const names = missing.map((name) => JSON.stringify(name)).join(', ');
    const detail = `the publisher has no publication ${names}: tables that only it sent leave the subscription, and applying fails`;
    warnings.push({ rule: 'publications-exist', option: null, detail });
  }
  if (absent !== null && absent.length > 0) {
    const [first] = absent;
    const more = absent.length > 1 ? ` and ${absent.length - 1} more` : '';
    const detail = `the subscriber has no table ${JSON.stringify(`${first!.schema}.${first!.name}`)}${more}: it refuses the refresh`;
    warnings.push({ rule: 'tables-exist', option: null, detail });
  }
  return warnings;
}

/** Rethrows what a server refused: the table it does not find is not one that the caller has asked for. */
export function refuseAbsentTable(error: unknown): never {
  if (!(error instanceof Problem) || error.options.sqlstate !== '42P01') throw error;
  const { instead } = COMBINATION_RULES['tables-exist'];
  const { hint, extra } = error.options;
  throw new Problem('PREREQUISITE_FAILED', `a published table is not on the subscriber: ${error.detail}`, {
    hint: hint === undefined ? instead : `${instead} ${hint}`,
    ...{ sqlstate: '42P01', extra: { ...extra, rule: 'tables-exist' }, cause: error },
  });
}

function without(tables: readonly TableName[], others: readonly TableName[]): TableName[] {
  const known = new Set(others.map(key));
  return tables.filter((table) => !known.has(key(table))).map(({ schema, name }) => ({ schema, name }));
}

function key({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}
