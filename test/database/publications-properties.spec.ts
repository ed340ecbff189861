import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PUBLISH_OPERATIONS, type Publication, readPublications } from '../../src/postgres/catalog/publications.js';
import { createPublication } from '../../src/postgres/ddl/publication.ddl.js';
import type {
  PublicationPatch,
  PublicationSpec,
  PublicationTableSpec,
  PublicationTargetSpec,
} from '../../src/postgres/ddl/publication-spec.js';
import { runStatements } from '../../src/postgres/ddl/run-statements.js';
import { identifier } from '../../src/postgres/quoting.js';
import type { Session } from '../../src/postgres/session.js';
import { Problem } from '../../src/problems/problem.js';
import { identifierProblem } from '../../src/shared/identifier.js';
import { PublicationsService } from '../../src/publications/publications.service.js';
import { fleetServers } from '../support/fleet-servers.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'Publications "in" general';
const ODD = `Odd "ü" /%-- ;'$$`;
const LONG = 'ä'.repeat(31) + 'z';
const COLUMN = 'Größe -- "x"';
const RUNS = Number(process.env.LOCKSTEP_SOAK_RUNS ?? 10);

const SCHEMA = `
  create schema ${identifier(ODD)};
  create schema ${identifier(LONG)};
  create table orders (id int primary key, total numeric, note text, ${identifier(COLUMN)} int);
  create table ${identifier(ODD, ODD)} (id int primary key, ${identifier(COLUMN)} int);
  create table ${identifier(LONG, LONG)} (${identifier(LONG)} int primary key, note text);
  create table keyless (id int, note text);
  create table "full" (id int, note text, total numeric);
  alter table "full" replica identity full;
  create table nothing (id int primary key, note text);
  alter table nothing replica identity nothing;
  create table indexed (id int not null, total numeric not null, note text);
  create unique index by_both on indexed (id, total);
  alter table indexed replica identity using index by_both;
  create table measures (id int, note text, total numeric, primary key (id)) partition by range (id);
  create table measures_1 partition of measures for values from (0) to (10);
  create table ${identifier(ODD, 'measures 2')} partition of measures for values from (10) to (20);
  create table mixed (id int, note text) partition by range (id);
  create table mixed_1 partition of mixed (primary key (id)) for values from (0) to (10);
  create table mixed_2 partition of mixed for values from (10) to (20);
  create unlogged table mixed_3 partition of mixed for values from (20) to (30);
  create table computed (id int, twice int generated always as (id * 2) stored not null, note text);
  create unique index by_twice on computed (twice);
  alter table computed replica identity using index by_twice;
  create table computed_full (id int, twice int generated always as (id * 2) stored);
  alter table computed_full replica identity full;`;

const VIRTUAL = `
  create table virtual (id int, twice int generated always as (id * 2) virtual);
  alter table virtual replica identity full;`;

/** Tables of the schema above with their columns; partitions too, they can be published by themselves. */
const TABLES: (PublicationTableSpec & { columns: string[] })[] = [
  { schema: 'public', name: 'orders', columns: ['id', 'total', 'note', COLUMN] },
  { schema: ODD, name: ODD, columns: ['id', COLUMN] },
  { schema: LONG, name: LONG, columns: [LONG, 'note'] },
  { schema: 'public', name: 'keyless', columns: ['id', 'note'] },
  { schema: 'public', name: 'full', columns: ['id', 'note', 'total'] },
  { schema: 'public', name: 'nothing', columns: ['id', 'note'] },
  { schema: 'public', name: 'indexed', columns: ['id', 'total', 'note'] },
  { schema: 'public', name: 'measures', columns: ['id', 'note', 'total'] },
  { schema: ODD, name: 'measures 2', columns: ['id', 'note', 'total'] },
  { schema: 'public', name: 'mixed', columns: ['id', 'note'] },
  { schema: 'public', name: 'mixed_1', columns: ['id', 'note'] },
  { schema: 'public', name: 'computed', columns: ['id', 'twice', 'note'] },
  { schema: 'public', name: 'computed_full', columns: ['id', 'twice'] },
];

/** Expressions over one column each, as people write them. */
const FILTERS: Record<string, string[]> = {
  id: ['id > 5', 'not (id = 3) or id is null', 'id = any (array[1, 2])', 'case when id > 1 then true else false end'],
  total: ['total between 1 and 2.50', '(total)>(0)'],
  note: [
    `note <> 'it''s; -- x'`,
    `note ~ E'a\\\\b\\'' and note like '100\\%' escape '\\'`,
    `note = $q$it's; )$q$ or length(note) > 3`,
    `note is distinct from U&'\\0041'`,
  ],
  [COLUMN]: [`${identifier(COLUMN)} is not null`],
  [LONG]: [`${identifier(LONG)} in (1, 2, 3)`],
  twice: ['twice > 1'],
};

const oddName = fc
  .oneof(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 15 }), fc.constantFrom(ODD, LONG, 'Upper', 'select'))
  .filter((name) => identifierProblem(name) === null);

const someTable: fc.Arbitrary<PublicationTableSpec> = fc.constantFrom(...TABLES).chain(({ schema, name, columns }) =>
  fc.record({
    schema: fc.constant(schema),
    name: fc.constant(name),
    columns: fc.option(fc.subarray(columns, { minLength: 1 }), { nil: null, freq: 2 }),
    where: fc.option(fc.constantFrom(...columns.flatMap((column) => FILTERS[column] ?? [])), { nil: null, freq: 2 }),
  }),
);
const someTables = fc.uniqueArray(someTable, {
  maxLength: 5,
  selector: ({ schema, name }) => identifier(schema, name),
});
const plain = (tables: PublicationTableSpec[]) => tables.map(({ schema, name }) => ({ schema, name }));

function targets(major: number): fc.Arbitrary<PublicationTargetSpec> {
  const listed = someTables.map((tables) => ({
    kind: 'tables' as const,
    tables: major < 15 ? plain(tables) : tables,
  }));
  const all = fc.constant({ kind: 'allTables' as const });
  if (major < 15) return fc.oneof({ weight: 5, arbitrary: listed }, { weight: 1, arbitrary: all });
  const schemas = fc
    .tuple(fc.subarray(['public', ODD, LONG], { minLength: 1 }), someTables)
    .map(([schemas, tables]) => ({
      kind: 'schemas' as const,
      schemas,
      tables: tables.map((table) => ({ ...table, columns: null })),
    }));
  return fc.oneof({ weight: 5, arbitrary: listed }, { weight: 2, arbitrary: schemas }, { weight: 1, arbitrary: all });
}

function specs(major: number): fc.Arbitrary<PublicationSpec> {
  return fc.record({
    name: oddName,
    target: targets(major),
    publish: fc.subarray([...PUBLISH_OPERATIONS]),
    viaPartitionRoot: fc.boolean(),
    generatedColumns: major < 18 ? fc.constant('none' as const) : fc.constantFrom('none' as const, 'stored' as const),
  });
}

/** One field each. */
function patches(major: number): fc.Arbitrary<PublicationPatch> {
  const table = someTable.map((each) => (major < 15 ? plain([each])[0]! : each));
  return fc.oneof(
    fc.record({ publish: fc.subarray([...PUBLISH_OPERATIONS]) }),
    fc.record({ viaPartitionRoot: fc.boolean() }),
    fc.record({ name: oddName }),
    fc.record({ owner: fc.constantFrom('pg_monitor', 'postgres') }),
    table.map((each) => ({ addTables: [each] })),
    table.map((each) => ({ setTables: [each] })),
    table.map((each) => ({ removeTables: plain([each]) })),
    ...(major < 15
      ? []
      : [
          fc.constant<PublicationPatch>({ addSchemas: [ODD] }),
          fc.constant<PublicationPatch>({ removeSchemas: [LONG] }),
        ]),
  );
}

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
    const property = fc.asyncProperty(specs(major), async (spec) => {
      try {
        const rehearsed = await outcome(service.create('one', DATABASE, spec, { dryRun: true }));
        expect(await readPublications(session)).toEqual([]);
        const created = await outcome(service.create('one', DATABASE, spec));
        if (created instanceof Problem) {
          expect(rehearsed).toMatchObject({ code: created.code, detail: created.detail });
          await refusedRightly(spec, created);
          return;
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

        for (const table of await service.tables('one', DATABASE, spec.name)) {
          expect([table.name, table.failing]).toEqual([table.name, await failing(table)]);
          // What is offered as the remedy is one.
          if (table.fix.length === 0) continue;
          await session.execute('begin');
          for (const sql of table.fix) await session.execute(sql);
          await session.execute('savepoint mended');
          expect([table.fix, table.failing, await failing(table, 'mended')]).toEqual([
            table.fix,
            expect.anything(),
            [],
          ]);
          await session.execute('rollback');
        }

        const same = await service.patch('one', DATABASE, spec.name, { ...made });
        expect(same.statements).toEqual([]);
        await drop(spec.name);
        await service.create('one', DATABASE, made);
        expect(await read()).toEqual([made]);
      } finally {
        await session.execute('rollback');
        await drop(spec.name);
      }
    });
    await fc.assert(property, { numRuns: RUNS, seed: major });
  });

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
    const property = fc.asyncProperty(specs(major), patches(major), async (spec, patch) => {
      let name = spec.name;
      try {
        const created = await outcome(service.create('one', DATABASE, spec));
        if (created instanceof Problem) return;
        const [before] = await read();
        const rehearsed = await outcome(service.patch('one', DATABASE, name, patch, { dryRun: true }));
        expect(await read()).toEqual([before]);
        const patched = await outcome(service.patch('one', DATABASE, name, patch));
        const [after] = await read();
        if (patched instanceof Problem) {
          expect(rehearsed).toMatchObject({ code: patched.code, detail: patched.detail });
          expect(after).toEqual(before);
          return;
        }
        name = after.name;
        expect(rehearsed).toMatchObject({ statements: patched.statements, warnings: patched.warnings });
        const { addTables, setTables, removeTables, addSchemas, removeSchemas, ...fields } = patch;
        const touched = [...(addTables ?? []), ...(setTables ?? []), ...(removeTables ?? [])].map(keyOf);
        const untouched = ({ target }: Publication) =>
          target.kind === 'allTables' ? [] : target.tables.filter((table) => !touched.includes(keyOf(table)));
        expect(untouched(after)).toEqual(untouched(before));
        const schemas = ({ target }: Publication) => (target.kind === 'schemas' ? target.schemas : []);
        expect([...schemas(after)].sort()).toEqual(
          [...new Set([...schemas(before), ...(addSchemas ?? [])])]
            .filter((schema) => !removeSchemas?.includes(schema))
            .sort(),
        );
        const { target: _before, ...rest } = before;
        const { target: _after, ...now } = after;
        expect(now).toEqual({ ...rest, ...fields, ...ordered(fields) });
      } finally {
        await drop(name);
        await drop(spec.name);
      }
    });
    await fc.assert(property, { numRuns: RUNS, seed: major });
  });
});

function ordered({ publish }: PublicationPatch): Partial<Publication> {
  return publish === undefined
    ? {}
    : { publish: PUBLISH_OPERATIONS.filter((operation) => publish.includes(operation)) };
}

function asRefused(error: unknown): never {
  const { sqlstate } = (error as Problem).options;
  throw new Problem('INVALID_INPUT', (error as Problem).detail, sqlstate === undefined ? {} : { sqlstate });
}

const keyOf = ({ schema, name }: { schema: string; name: string }) => identifier(schema, name);

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
