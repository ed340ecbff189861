import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PUBLISH_OPERATIONS, type Publication, readPublications } from '../../src/postgres/catalog/publications.js';
import { createPublication } from '../../src/postgres/ddl/publication.ddl.js';
import type {
  PublicationPatch,
  PublicationSpec,
  PublicationTargetSpec,
} from '../../src/postgres/ddl/publication-spec.js';
import { runStatements } from '../../src/postgres/ddl/run-statements.js';
import { identifier } from '../../src/postgres/quoting.js';
import type { Session } from '../../src/postgres/session.js';
import { Problem } from '../../src/problems/problem.js';
import { PublicationsService } from '../../src/publications/publications.service.js';
import { fleetServers } from '../support/fleet-servers.js';
import { keyOf, LONG, patched, SCHEMA, specs, spoilt, VIRTUAL, withTable } from '../support/any-publication.js';
import { drawn, ONE_CASE } from '../support/drawn.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'Publications "in" general';
const RUNS = Number(process.env.LOCKSTEP_SOAK_RUNS ?? 10);
/** Each of them changed in every field. */
const PATCHED = Number(process.env.LOCKSTEP_SOAK_RUNS ?? 6);

describe.each(AVAILABLE_MAJORS)('any publication on PostgreSQL %i', (major) => {
  let server: TestServer;
  let session: Session;
  let service: PublicationsService;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(DATABASE);
    await server.run(DATABASE, major < 18 ? SCHEMA : SCHEMA + VIRTUAL);
    session = await server.open(DATABASE);
    const directory = fleetServers({ one: server });
    directory.withSession = (_name, _database, work) => work(session);
    directory.facts = () => Promise.resolve({ versionNum: session.versionNum }) as ReturnType<typeof directory.facts>;
    service = new PublicationsService(directory);
  });
  afterAll(async () => {
    await session?.close();
    await server?.stop();
  });

  const read = async () => (await readPublications(session)) as [Publication];
  const drop = (name: string) => session.execute(`drop publication if exists ${identifier(name)}`);

  /** What a request answers; whatever is refused is the caller's to mend, never a failure of the server or ours. */
  async function outcome<T>(request: Promise<T>): Promise<T | Problem> {
    try {
      return await request;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      expect([error.detail, error.status]).toEqual([error.detail, expect.any(Number)]);
      if (error.status >= 500) throw error;
      return error;
    }
  }

  /** Which of UPDATE and DELETE the server refuses for a table, really; with a condition that prunes no partition. */
  async function failing(
    table: { schema: string; name: string; columns: string[] },
    savepoint?: string,
  ): Promise<string[]> {
    const relation = identifier(table.schema, table.name);
    const column = identifier(table.name === LONG ? 'note' : 'id');
    const refused: string[] = [];
    for (const [operation, sql] of [
      ['update', `update ${relation} set ${column} = null where random() < 0`],
      ['delete', `delete from ${relation} where random() < 0`],
    ] as const) {
      const state = await session.execute(sql).then(
        () => null,
        (error: Problem) => error.options.sqlstate,
      );
      if (state !== null) expect([sql, state]).toEqual([sql, expect.stringMatching(/^(55000|42P10)$/)]);
      if (state !== null) refused.push(operation);
      if (savepoint !== undefined) await session.execute(`rollback to savepoint ${savepoint}`);
    }
    return refused;
  }

  it('is read back as it was made, is made again from what was read, and is told truly which writes fail', async () => {
    const seen = { created: 0, refused: 0 };
    const property = fc.asyncProperty(specs(major), spoilt(major), async (spec, table) => {
      seen[await tried(spec)]++;
      if (table === null) return;
      expect(await tried(withTable(spec, table))).toBe('refused');
      seen.refused++;
    });
    await fc.assert(property, drawn(RUNS));
    if (ONE_CASE) return;
    expect(seen.created).toBeGreaterThan(RUNS / 5);
    expect(seen.refused).toBeGreaterThanOrEqual(major < 15 ? 0 : RUNS);
  });

  async function tried(spec: PublicationSpec): Promise<'created' | 'refused'> {
    try {
      const rehearsed = await outcome(service.create('one', DATABASE, spec, { dryRun: true }));
      expect(await readPublications(session)).toEqual([]);
      const created = await outcome(service.create('one', DATABASE, spec));
      if (created instanceof Problem) {
        expect(rehearsed).toMatchObject({ code: created.code, detail: created.detail });
        await refusedRightly(spec, created);
        return 'refused';
      }
      expect(rehearsed).toMatchObject({ statements: created.statements, warnings: created.warnings, result: null });
      const [made] = await read();
      expect(made).toMatchObject({
        name: spec.name,
        publish: PUBLISH_OPERATIONS.filter((operation) => spec.publish!.includes(operation)),
        viaPartitionRoot: spec.viaPartitionRoot,
        generatedColumns: spec.generatedColumns,
      });
      expect(namesOf(made.target)).toEqual(namesOf(spec.target));
      await failsAsTold(spec);
      const same = await service.patch('one', DATABASE, spec.name, { ...made });
      expect(same.statements).toEqual([]);
      await drop(spec.name);
      await service.create('one', DATABASE, made);
      expect(await read()).toEqual([made]);
      return 'created';
    } finally {
      await session.execute('rollback');
      await drop(spec.name);
    }
  }

  async function failsAsTold({ name }: PublicationSpec): Promise<void> {
    for (const table of await service.tables('one', DATABASE, name)) {
      expect([table.name, table.failing]).toEqual([table.name, await failing(table)]);
      // What is offered as the remedy is one.
      if (table.fix.length === 0) continue;
      await session.execute('begin');
      for (const sql of table.fix) await session.execute(sql);
      await session.execute('savepoint mended');
      const left = await failing(table, 'mended');
      expect([table.fix, table.failing, left]).toEqual([table.fix, expect.anything(), []]);
      await session.execute('rollback');
    }
  }

  /** What we refuse and the server would take is a publication whose tables then refuse to be written to. */
  async function refusedRightly(spec: PublicationSpec, { options }: Problem): Promise<void> {
    const made = await outcome(runStatements(session, createPublication(spec, session.versionNum)).catch(asRefused));
    const ours = ['filter-within-identity', 'columns-hold-identity'].includes(String(options.extra?.rule));
    expect([options.extra, made instanceof Problem]).toEqual([options.extra, !ours]);
    if (!ours) return;
    const tables = await service.tables('one', DATABASE, spec.name);
    const failures: string[] = [];
    for (const table of tables.filter(({ updatesFail }) => updatesFail)) failures.push(...(await failing(table)));
    expect(failures).not.toEqual([]);
  }

  it('changes in the one field that a PATCH names, or not at all', async () => {
    const seen = { changed: 0, refused: 0 };
    const fields = new Set<string>();
    const property = fc.asyncProperty(patched(major), async ([spec, wanted]) => {
      let name = spec.name;
      try {
        // A publication that cannot be has nothing to be changed: another is drawn.
        fc.pre(!((await outcome(service.create('one', DATABASE, spec))) instanceof Problem));
        for (const patch of wanted) {
          const [before] = await read();
          const rehearsed = await outcome(service.patch('one', DATABASE, name, patch, { dryRun: true }));
          expect(await read()).toEqual([before]);
          const patched = await outcome(service.patch('one', DATABASE, name, patch));
          const [after] = await read();
          if (patched instanceof Problem) {
            seen.refused++;
            expect(rehearsed).toMatchObject({ code: patched.code, detail: patched.detail });
            expect(after).toEqual(before);
            continue;
          }
          seen.changed++;
          for (const field of Object.keys(patch)) fields.add(field);
          name = after.name;
          expect(rehearsed).toMatchObject({ statements: patched.statements, warnings: patched.warnings });
          changedAsAsked(before, after, patch);
        }
      } finally {
        await drop(name);
        await drop(spec.name);
      }
    });
    await fc.assert(property, drawn(PATCHED));
    if (ONE_CASE) return;
    expect(seen.changed).toBeGreaterThan(PATCHED);
    expect(seen.refused).toBeGreaterThan(0);
    for (const field of ['target', 'generatedColumns', 'name']) expect([...fields]).toContain(field);
  });
});

/** In the list of tables and schemas what is named; of the rest nothing but the field that is named. */
function changedAsAsked(before: Publication, after: Publication, patch: PublicationPatch): void {
  const { addTables, setTables, removeTables, addSchemas, removeSchemas, target, ...fields } = patch;
  const { target: was, ...rest } = before;
  const { target: is, ...now } = after;
  expect(now).toEqual({ ...rest, ...fields, ...ordered(fields) });
  if (target !== undefined) return void expect(namesOf(is)).toEqual(namesOf(target));
  const touched = [...(addTables ?? []), ...(setTables ?? []), ...(removeTables ?? [])].map(keyOf);
  const untouched = (each: PublicationTargetSpec) =>
    each.kind === 'allTables' ? [] : (each.tables ?? []).filter((table) => !touched.includes(keyOf(table)));
  expect(untouched(is)).toEqual(untouched(was));
  const listed = new Map((is.kind === 'allTables' ? [] : is.tables).map((table) => [keyOf(table), table]));
  for (const table of removeTables ?? []) expect(listed.has(keyOf(table))).toBe(false);
  for (const table of [...(addTables ?? []), ...(setTables ?? [])]) {
    expect(namesOf({ kind: 'tables', tables: [listed.get(keyOf(table))!] })).toEqual(
      namesOf({ kind: 'tables', tables: [table] }),
    );
  }
  const schemas = (each: PublicationTargetSpec) => (each.kind === 'schemas' ? each.schemas : []);
  expect([...schemas(is)].sort()).toEqual(
    [...new Set([...schemas(was), ...(addSchemas ?? [])])].filter((schema) => !removeSchemas?.includes(schema)).sort(),
  );
}

function ordered({ publish }: PublicationPatch): Partial<Publication> {
  return publish === undefined
    ? {}
    : { publish: PUBLISH_OPERATIONS.filter((operation) => publish.includes(operation)) };
}

function asRefused(error: unknown): never {
  const { sqlstate } = (error as Problem).options;
  throw new Problem('INVALID_INPUT', (error as Problem).detail, sqlstate === undefined ? {} : { sqlstate });
}

/** Everything of a target but the text of its filters, which the server prints in its own way. */
function namesOf(target: PublicationTargetSpec) {
  if (target.kind === 'allTables') return target;
  return {
    kind: target.kind,
    schemas: target.kind === 'schemas' ? [...target.schemas].sort() : [],
    tables: (target.tables ?? [])
      .map((table) => ({
        key: keyOf(table),
        columns: table.columns === null || table.columns === undefined ? null : [...table.columns].sort(),
        filtered: (table.where ?? null) !== null,
      }))
      .sort((a, b) => (a.key < b.key ? -1 : 1)),
  };
}
