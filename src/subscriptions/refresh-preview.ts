import type { PublicationTables } from '../postgres/catalog/publication-tables.js';
import type { SubscriptionWarning } from './subscription-warnings.js';

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
  reason: string | null;
}

export function unknownPreview(reason: string): RefreshPreview {
  return { added: null, removed: null, absent: null, reason };
}

/** @param existing tables of the subscriber's database */
export function previewRefresh(
  published: readonly TableName[],
  subscribed: readonly TableName[],
  existing: readonly TableName[],
): RefreshPreview {
  const added = without(published, subscribed);
  return { added, removed: without(subscribed, published), absent: without(added, existing), reason: null };
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

function without(tables: readonly TableName[], others: readonly TableName[]): TableName[] {
  const known = new Set(others.map(key));
  return tables.filter((table) => !known.has(key(table))).map(({ schema, name }) => ({ schema, name }));
}

function key({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}
