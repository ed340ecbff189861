import { comparableSchema, schemaFingerprint } from '../catalog/schema-fingerprint.sql.js';
import type { Session } from '../session.js';

/** The schema of one database at one moment: `kind name` of each object -> hash of its definition. Plain data. */
export type SchemaFingerprint = Record<string, string>;

export interface SchemaDifference {
  kind: 'added' | 'removed' | 'changed';
  /** E.g. `table sales.orders`, `constraint orders_pkey on sales.orders`. */
  object: string;
  /** The definitions where they are comparable text. */
  expected?: string;
  actual?: string;
}

/**
 * Takes the fingerprint of everything a definition or grant can change; Lockstep's own schema is left out. Two of them
 * compare only when both come from the same server at the same version. 1,000 tables take some 0.2 s.
 */
export async function takeFingerprint(session: Session): Promise<SchemaFingerprint> {
  const sql = schemaFingerprint(session.versionNum);
  const rows = await session.rows<{ kind: string; name: string; hash: string }>(sql);
  return Object.fromEntries(rows.map(({ kind, name, hash }) => [`${kind} ${name}`, hash]));
}

/** What changed between two fingerprints of the same server, by name. Empty means no definition changed. */
export function compareFingerprints(before: SchemaFingerprint, after: SchemaFingerprint): SchemaDifference[] {
  const differences: SchemaDifference[] = [];
  for (const [object, hash] of Object.entries(before)) {
    if (after[object] === undefined) differences.push({ kind: 'removed', object });
    else if (after[object] !== hash) differences.push({ kind: 'changed', object });
  }
  for (const object of Object.keys(after)) {
    if (before[object] === undefined) differences.push({ kind: 'added', object });
  }
  return differences;
}

/**
 * Compares what is comparable between two versions: relations, columns with type and nullability, constraints, indexes,
 * triggers, rules, policies, functions and types. `removed` is missing on the target, `added` is there only.
 */
export async function compareSchemas(source: Session, target: Session): Promise<SchemaDifference[]> {
  const [expected, actual] = await Promise.all([comparable(source), comparable(target)]);
  const differences: SchemaDifference[] = [];
  for (const [object, definition] of expected) {
    const other = actual.get(object);
    if (other === undefined) differences.push({ kind: 'removed', object, expected: definition });
    else if (other !== definition) differences.push({ kind: 'changed', object, expected: definition, actual: other });
  }
  for (const [object, definition] of actual) {
    if (!expected.has(object)) differences.push({ kind: 'added', object, actual: definition });
  }
  return differences;
}

async function comparable(session: Session): Promise<Map<string, string>> {
  const rows = await session.rows<{ kind: string; name: string; definition: string }>(comparableSchema);
  return new Map(rows.map(({ kind, name, definition }) => [`${kind} ${name}`, definition]));
}
