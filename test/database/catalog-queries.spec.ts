import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Variant, variantFor } from '../../src/postgres/catalog/variant.js';
import type { Session } from '../../src/postgres/session.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const CATALOG = join(import.meta.dirname, '..', '..', 'src', 'postgres', 'catalog');

/** Parameters where null, which selects nothing or everything, would leave a part of the query unexecuted. */
const PARAMETERS: Record<string, unknown[]> = {
  'hidden-rows.TABLES_HIDING_ROWS': [['s'], ['t']],
  'login-rights.OBJECT_OWNER': ['table', 'pg_catalog', 'pg_class'],
  'publication-objects.NAMED_RELATIONS': [['s'], ['t']],
  'publication-objects.NAMED_SCHEMAS': [['s']],
  'publications.PUBLICATION_OPERATIONS': [['none']],
  'published-tables-effective.PUBLISHED_TABLES': [['none'], null, null, null],
  'publishing.PUBLISHING_CHANGES': ['1259'],
  'table-indexes.TABLE_INDEXES': [[1255]],
  'table-writes.TABLE_WRITES': [[1255]],
  'equality.INCOMPARABLE_COLUMNS': [1259],
  'table-definitions.TABLE_DEFINITIONS': [['pg_catalog'], ['pg_class']],
  'table-definitions.KNOWN_NAMES': [['int4'], ['pg_catalog']],
  'table-rules.TABLE_RULES': [['pg_catalog'], ['pg_class'], ['postgres']],
  'table-sizes.TABLE_SIZES': [['pg_catalog'], ['pg_class'], ['none']],
  'repair.REPAIRED_TABLES': [['pg_catalog'], ['pg_class'], 1],
  'repair.SUBSCRIBED_AMONG': [['pg_catalog'], ['pg_class']],
  'resync.RESYNC_OBSTACLES': ['pg_catalog', 'pg_class', 1],
};

/** What has to be there, or what another one leaves in the session for it. */
const BEFORE: Record<string, (versionNum: number) => string | null> = {
  'sequences.readSequenceValues': (versionNum) =>
    versionNum < 180000 ? statementOf('sequences.collectSequenceValues', versionNum) : null,
  'origin-progress.originByFunction': () => "select pg_catalog.pg_replication_origin_create('lockstep_none')",
};

/** What is exported as a function, as the statement that it makes for a server of `versionNum`. */
const MADE: Record<string, (make: (...given: never[]) => unknown, versionNum: number) => unknown> = {
  'apply.applyIdleExpression': (make) => `select ${String(call(make, 1))} as idle`,
  'apply.applyProgressSql': (make) => call(make, 'null::text'),
  'apply.applyWaitsSql': (make) => call(make, null),
  'equality.columnsWithoutEquality': (make) => `select ${String(call(make, '1259'))} as columns`,
  'origin-progress.originByFunction': (make) => `select ${String(call(make, "'lockstep_none'"))} as lsn`,
  'origin-progress.originInView': (make) => `select ${String(call(make, "'lockstep_none'"))} as lsn`,
  'publication-tables.publicationTablesSql': (make, versionNum) => call(make, versionNum),
  'source-state.sourceSlotSql': (make) => call(make, "'lockstep_none'"),
  'sequences.collectSequenceValues': (make) => call(make, []),
};

/** Parts of statements, and lists that are none. */
const PARTS = ['preflight-relations.USER_NAMESPACE', 'preflight-relations.PUBLISHED'];
const NO_TEXT = ['server-facts.ALL_PATRONI_SETTINGS', 'server-facts.settingNames', 'replication-capacity.originLimit'];
/** What needs our own objects or another session's state; run by the specs of the restore. */
const OF_THE_RESTORE =
  /^roles\.(createRoleJournal|recordRole|allowLoginOnceOpen|createdRoles|forgetRole|ownMemberships)$/;

function call(make: (...given: never[]) => unknown, ...given: unknown[]): unknown {
  return (make as (...all: unknown[]) => unknown)(...given);
}

const EXPORTS = new Map<string, unknown>();
for (const file of readdirSync(CATALOG).filter((name) => name.endsWith('.sql.ts'))) {
  const module = (await import(join(CATALOG, file))) as Record<string, unknown>;
  for (const [name, value] of Object.entries(module)) EXPORTS.set(`${file.slice(0, -'.sql.ts'.length)}.${name}`, value);
}
const QUERIES = [...EXPORTS.keys()].filter(
  (name) => ![...PARTS, ...NO_TEXT].includes(name) && !OF_THE_RESTORE.test(name),
);

/** What the export is, or what it makes where the version that it is told is this one. */
function valueOf(name: string, versionNum: number): unknown {
  const value = EXPORTS.get(name);
  if (typeof value !== 'function') return value;
  const make = value as (...given: never[]) => unknown;
  return MADE[name] ? MADE[name](make, versionNum) : call(make, versionNum);
}

/** The statement for a server; every export of a catalog file is one, or makes one. */
function statementOf(name: string, versionNum: number): string {
  const value = valueOf(name, versionNum);
  if (typeof value === 'string') return value;
  if (isVariants(value)) return variantFor(value, versionNum);
  throw new Error(`${name} is no statement and is listed as nothing else`);
}

function isVariants(value: unknown): value is readonly Variant[] {
  return Array.isArray(value) && value.every((each) => typeof (each as Variant).since === 'number');
}

/** As many as it has places for; null where nothing is said. */
function parametersOf(name: string, statement: string): unknown[] {
  const places = [...statement.matchAll(/\$(\d+)/g)].map(([, place]) => Number(place));
  return Array.from({ length: Math.max(0, ...places) }, (_, index) => PARAMETERS[name]?.[index] ?? null);
}

/** Versions that have it at all. */
function majorsOf(name: string): number[] {
  const value = valueOf(name, AVAILABLE_MAJORS.at(-1)! * 10_000);
  const first = isVariants(value) ? Math.min(...value.map(({ since }) => since)) : 0;
  return AVAILABLE_MAJORS.filter((major) => major * 10_000 >= first);
}

describe('catalog queries', () => {
  const servers = new Map<number, TestServer>();

  beforeAll(async () => {
    for (const major of AVAILABLE_MAJORS) servers.set(major, await TestServer.shared(major));
  });

  afterAll(async () => {
    for (const server of servers.values()) await server.stop();
  });

  /** Columns and their types; nothing of what the statement did stays. */
  async function shapeOf(session: Session, name: string): Promise<string> {
    const statement = statementOf(name, session.versionNum);
    await session.execute('begin');
    try {
      const before = BEFORE[name]?.(session.versionNum) ?? null;
      if (before !== null) await session.execute(before);
      const result = await session.driver.query(statement, parametersOf(name, statement));
      return result.fields.map((field) => `${field.name}:${field.dataTypeID}`).join(' ');
    } finally {
      await session.execute('rollback');
    }
  }

  it.each(QUERIES)('%s: the same columns, of the same types, on every version', async (name) => {
    const shapes: Record<number, string> = {};
    const majors = majorsOf(name);
    for (const major of majors) {
      shapes[major] = await servers.get(major)!.withSession('postgres', (session) => shapeOf(session, name));
    }
    const expected = shapes[majors[0]!];
    expect(shapes).toEqual(Object.fromEntries(majors.map((major) => [major, expected])));
  });

  it('knows every export that it is told of', () => {
    const told = [...Object.keys(PARAMETERS), ...Object.keys(MADE), ...PARTS, ...NO_TEXT];
    expect(told.filter((name) => !EXPORTS.has(name))).toEqual([]);
    expect(QUERIES.length).toBeGreaterThan(100);
  });

  it('has no variant that a supported version would never use', () => {
    const lists = QUERIES.flatMap((name) => {
      // What makes them may be told another version than the server's: that of the other end.
      const told = typeof EXPORTS.get(name) === 'function' ? AVAILABLE_MAJORS : AVAILABLE_MAJORS.slice(-1);
      return told.flatMap((major) => {
        const value = valueOf(name, major * 10_000);
        return isVariants(value) ? [{ name, value }] : [];
      });
    });
    for (const { name, value } of lists) {
      const used = new Set(majorsOf(name).map((major) => variantFor(value, major * 10_000)));
      expect([name, used.size]).toEqual([name, value.length]);
    }
    expect(lists.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['apply.applyProgressSql', 'publication-tables.publicationTablesSql']),
    );
  });
});
