import { comparableSchema, schemaFingerprint } from '../catalog/schema-fingerprint.sql.js';
import type { Session } from '../session.js';

/** The schema of one database at one moment. Plain data. */
export interface SchemaFingerprint {
  entries: SchemaEntry[];
}

/** One object; entries are in a fixed order. */
export interface SchemaEntry {
  /** `kind name`, e.g. `table sales.orders`. */
  object: string;
  /** Of all that defines it but grants. */
  hash: string;
  /** The grants in force, e.g. `app SELECT`, `(price) app UPDATE with grant option`; the owner's own are left out. */
  grants: string[];
}

export interface SchemaDifference {
  /** `removed`: the source has it and the target does not; `added`: the reverse. */
  kind: 'added' | 'removed' | 'changed';
  /** E.g. `table sales.orders`, `constraint orders_pkey on sales.orders`. */
  object: string;
  /** The definitions on source and target. */
  expected?: string;
  actual?: string;
}

/** Their only content are grants. */
const DEFAULT_PRIVILEGES = 'default privileges ';

/**
 * Takes the fingerprint of everything a definition or grant can change; Lockstep's own schema is left out. Two of them
 * compare only when both come from the same server at the same version. 1,000 tables take some 0.2 s.
 */
export async function readFingerprint(session: Session): Promise<SchemaFingerprint> {
  const sql = schemaFingerprint(session.versionNum);
  const rows = await session.rows<{ kind: string; name: string; hash: string; grants: string[] }>(sql);
  return { entries: rows.map(({ kind, name, hash, grants }) => ({ object: `${kind} ${name}`, hash, grants })) };
}

/**
 * What changed between two fingerprints of the same server, e.g. `changed table sales.orders`, `added index sales.i`,
 * `granted app SELECT on table sales.orders`. Empty means that neither a definition nor a grant changed.
 */
export function compareFingerprints(before: SchemaFingerprint, after: SchemaFingerprint): string[] {
  return [...compareDefinitions(before, after), ...compareGrants(before, after)];
}

/** As compareFingerprints, without what is granted. */
export function compareDefinitions(before: SchemaFingerprint, after: SchemaFingerprint): string[] {
  const [then, now] = [byObject(before), byObject(after)];
  const differences: string[] = [];
  for (const [object, { hash }] of then) {
    const current = now.get(object);
    if (current?.hash !== hash) differences.push(`${current === undefined ? 'removed' : 'changed'} ${object}`);
  }
  for (const object of now.keys()) {
    if (!then.has(object)) differences.push(`added ${object}`);
  }
  return differences.filter((difference) => !/^\w+ default privileges /.test(difference));
}

/** Grants on objects that both fingerprints have: a new object's are part of it. */
export function compareGrants(before: SchemaFingerprint, after: SchemaFingerprint): string[] {
  const [then, now] = [byObject(before), byObject(after)];
  return [...new Set([...then.keys(), ...now.keys()])]
    .filter((object) => (then.has(object) && now.has(object)) || object.startsWith(DEFAULT_PRIVILEGES))
    .flatMap((object) => changedGrants(object, grantsOf(then, object), grantsOf(now, object)));
}

/**
 * Changes of one server's schema that the other's does not show. Each server is held against itself, so that also what
 * two versions print differently (an expression, a body) is known to have been changed on the other side as well, if
 * not to what; `compareSchemas` says the rest. Where `other.before` was never taken, a changed definition counts as made.
 */
export function unfollowedChanges(
  one: { before: SchemaFingerprint; after: SchemaFingerprint },
  other: { before: SchemaFingerprint | null; after: SchemaFingerprint },
): string[] {
  const [then, now] = [byObject(one.before), byObject(one.after)];
  const [otherThen, otherNow] = [byObject(other.before ?? { entries: [] }), byObject(other.after)];
  const definitions = compareDefinitions(one.before, one.after).filter((change) => {
    const object = change.slice(change.indexOf(' ') + 1);
    const theirs = otherNow.get(object);
    if (!now.has(object)) return theirs !== undefined;
    return theirs === undefined || (then.has(object) && otherThen.get(object)?.hash === theirs.hash);
  });
  const grants = [...new Set([...then.keys(), ...now.keys()])]
    .filter((object) => now.has(object) || object.startsWith(DEFAULT_PRIVILEGES))
    .flatMap((object) => {
      const [was, is, theirs] = [grantsOf(then, object), grantsOf(now, object), grantsOf(otherNow, object)];
      const kept = was.filter((grant) => !is.includes(grant) && theirs.includes(grant));
      const lacking = is.filter((grant) => !was.includes(grant) && !theirs.includes(grant));
      return changedGrants(object, kept, lacking);
    });
  return [...definitions, ...grants];
}

function changedGrants(object: string, before: readonly string[], after: readonly string[]): string[] {
  return [
    ...after.filter((grant) => !before.includes(grant)).map((grant) => `granted ${grant} on ${object}`),
    ...before.filter((grant) => !after.includes(grant)).map((grant) => `revoked ${grant} on ${object}`),
  ];
}

function byObject({ entries }: SchemaFingerprint): Map<string, SchemaEntry> {
  return new Map(entries.map((entry) => [entry.object, entry]));
}

function grantsOf(entries: ReadonlyMap<string, SchemaEntry>, object: string): string[] {
  return entries.get(object)?.grants ?? [];
}

/**
 * Compares what is comparable between two versions: relations, columns with type and nullability, constraints, indexes,
 * triggers, rules, policies, functions and types. Empty proves that the target's schema is complete.
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
