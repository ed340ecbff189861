import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Publication, type PublicationTarget, readPublications } from '../../src/postgres/catalog/publications.js';
import { readPublishedTables } from '../../src/postgres/catalog/published-tables.js';
import { alterPublication, createPublication, dropPublication } from '../../src/postgres/ddl/publication.ddl.js';
import type { PublicationSpec } from '../../src/postgres/ddl/publication-spec.js';
import { runStatements } from '../../src/postgres/ddl/run-statements.js';
import type { Session } from '../../src/postgres/session.js';
import type { Problem } from '../../src/problems/problem.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const ODD = `Weird "Näme" -- ; '`;
const SCHEMA = `
  create schema "${ODD.replaceAll('"', '""')}";
  create table orders (id int primary key, total numeric, note text);
  create table "${ODD.replaceAll('"', '""')}"."${ODD.replaceAll('"', '""')}"
    (id int primary key, "Größe -- x" int, "a ""b""" text);
  create table keyless (x int);
  create table measures (day date, value int, primary key (day)) partition by range (day);
  create table measures_2025 partition of measures for values from ('2025-01-01') to ('2026-01-01');
  create table people (id int primary key, name text, upper_name text generated always as (upper(name)) stored);`;

/** A specification, the text it becomes, and the version it needs. */
const CREATED: { spec: PublicationSpec; sql: string; since: number }[] = [
  { spec: { name: 'p', target: { kind: 'allTables' } }, sql: 'create publication "p" for all tables', since: 13 },
  { spec: { name: 'p', target: { kind: 'tables', tables: [] } }, sql: 'create publication "p"', since: 13 },
  {
    spec: {
      name: ODD,
      target: {
        kind: 'tables',
        tables: [
          { schema: 'public', name: 'orders' },
          { schema: ODD, name: ODD },
        ],
      },
      publish: ['insert', 'delete'],
      viaPartitionRoot: true,
    },
    sql: `create publication "Weird ""Näme"" -- ; '" for table only "public"."orders", only "Weird ""Näme"" -- ; '"."Weird ""Näme"" -- ; '" with (publish = 'insert, delete', publish_via_partition_root = true)`,
    since: 13,
  },
  {
    spec: {
      name: 'p',
      target: {
        kind: 'tables',
        tables: [
          {
            schema: 'public',
            name: 'orders',
            columns: ['id', 'total'],
            where: `id > 0 and note is distinct from ');--'`,
          },
          { schema: ODD, name: ODD, columns: ['id', 'Größe -- x'], where: '"Größe -- x" > 1' },
        ],
      },
      publish: ['insert'],
    },
    sql: `create publication "p" for table only "public"."orders" ("id", "total") where (id > 0 and note is distinct from ');--'), only "Weird ""Näme"" -- ; '"."Weird ""Näme"" -- ; '" ("id", "Größe -- x") where ("Größe -- x" > 1) with (publish = 'insert')`,
    since: 15,
  },
  {
    spec: {
      name: 'p',
      target: { kind: 'schemas', schemas: [ODD], tables: [{ schema: 'public', name: 'orders', where: 'id = 1' }] },
    },
    sql: `create publication "p" for table only "public"."orders" where (id = 1), tables in schema "Weird ""Näme"" -- ; '"`,
    since: 15,
  },
  {
    spec: {
      name: 'p',
      target: { kind: 'tables', tables: [{ schema: 'public', name: 'people' }] },
      generatedColumns: 'stored',
    },
    sql: `create publication "p" for table only "public"."people" with (publish_generated_columns = stored)`,
    since: 18,
  },
];

describe.each(AVAILABLE_MAJORS)('publications on PostgreSQL %i', (major) => {
  const database = 'publications_ddl';
  let server: TestServer;
  let session: Session;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(database);
    await server.run(database, SCHEMA);
    session = await server.open(database);
  });

  afterAll(async () => {
    await session.close();
    await server.stop();
  });

  async function created(spec: PublicationSpec): Promise<Publication> {
    await runStatements(session, createPublication(spec, session.versionNum));
    const [publication] = await readPublications(session, spec.name);
    return publication!;
  }

  async function dropAll(): Promise<void> {
    for (const { name } of await readPublications(session)) await runStatements(session, dropPublication(name));
  }

  it.each(CREATED)('$sql', async ({ spec, sql, since }) => {
    if (major < since) {
      const refusal = catching(() => createPublication(spec, session.versionNum));
      expect(refusal).toMatchObject({ code: 'OPTION_NOT_SUPPORTED', options: { extra: { minimumVersion: since } } });
      // The refusal tells the truth: the server does not take the statement either.
      await expect(session.execute(sql)).rejects.toMatchObject({ code: 'SERVER_FAILED' });
      return;
    }
    expect(createPublication(spec, session.versionNum)).toMatchObject([{ sql, redactedSql: sql, transactional: true }]);
    const publication = await created(spec);
    expect(publication.name).toBe(spec.name);
    expect(publication.publish).toEqual(spec.publish ?? ['insert', 'update', 'delete', 'truncate']);
    expect(publication.viaPartitionRoot).toBe(spec.viaPartitionRoot ?? false);
    expect(publication.generatedColumns).toBe(spec.generatedColumns ?? 'none');
    expect(publication.target.kind).toBe(spec.target.kind);

    // Read back, dropped and created from what was read: the same again, and nothing to alter.
    const patch = { target: publication.target, publish: publication.publish };
    expect(alterPublication(publication, patch, session.versionNum)).toEqual([]);
    await runStatements(session, dropPublication(spec.name));
    expect(await created(publication)).toEqual(publication);
    await dropAll();
  });

  it('changes one table and leaves the filters of the others as they are', async () => {
    if (major < 15) return;
    const kept = { schema: 'public', name: 'orders', columns: ['id', 'note'], where: '(id > 5)' };
    const before = await created({
      name: 'p',
      target: { kind: 'tables', tables: [kept, { schema: 'public', name: 'people', where: 'id > 1' }] },
      publish: ['insert'],
    });
    const target: PublicationTarget = {
      kind: 'tables',
      tables: [kept, { schema: 'public', name: 'people', columns: ['id'], where: null }],
    };
    const statements = alterPublication(before, { target, name: 'q' }, session.versionNum);
    expect(statements.map(({ sql }) => sql)).toEqual([
      'alter publication "p" drop table only "public"."people"',
      'alter publication "p" add table only "public"."people" ("id")',
      'alter publication "p" rename to "q"',
    ]);
    await runStatements(session, statements);
    expect(await readPublications(session)).toEqual([{ ...before, name: 'q', target }]);
    await dropAll();
  });

  it('changes options alone without touching the tables', async () => {
    const before = await created({
      name: 'p',
      target: { kind: 'tables', tables: [{ schema: 'public', name: 'orders' }] },
    });
    const patch = { publish: ['insert' as const], viaPartitionRoot: true };
    const statements = alterPublication(before, patch, session.versionNum);
    expect(statements.map(({ sql }) => sql)).toEqual([
      `alter publication "p" set (publish = 'insert', publish_via_partition_root = true)`,
    ]);
    await runStatements(session, statements);
    expect(await readPublications(session)).toEqual([{ ...before, ...patch }]);
    await dropAll();
  });

  it('changes nothing when one of several statements fails', async () => {
    const before = await created({
      name: 'p',
      target: { kind: 'tables', tables: [{ schema: 'public', name: 'orders' }] },
    });
    const target: PublicationTarget = {
      kind: 'tables',
      tables: [{ schema: 'public', name: 'absent', columns: null, where: null }],
    };
    const statements = alterPublication(before, { target }, session.versionNum);
    expect(statements).toHaveLength(2);
    await expect(runStatements(session, statements)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      options: { sqlstate: '42P01' },
    });
    expect(await readPublications(session)).toEqual([before]);
    await dropAll();
  });

  it('lists what is really published, and which tables would refuse an UPDATE', async () => {
    await created({ name: 'p', target: { kind: 'allTables' }, viaPartitionRoot: true });
    const published = await readPublishedTables(session, 'p');
    const named = Object.fromEntries(published.map((table) => [table.name, table]));
    expect(Object.keys(named).sort()).toEqual([ODD, 'keyless', 'measures', 'orders', 'people'].sort());
    expect(named.keyless).toMatchObject({ replicaIdentity: 'default', replicaIdentityUsable: false });
    expect(named.measures).toMatchObject({ replicaIdentityUsable: true, columns: ['day', 'value'] });
    expect(named.people!.columns).toEqual(['id', 'name']);
    await expect(server.run(database, 'update keyless set x = 1')).rejects.toMatchObject({
      code: 'PREREQUISITE_FAILED',
    });
    await dropAll();
  });

  it('never lets a row filter become a second statement', async () => {
    if (major < 15) return;
    const target = (where: string): PublicationSpec => ({
      name: 'p',
      target: { kind: 'tables', tables: [{ schema: 'public', name: 'orders', where }] },
    });
    for (const where of ['true); drop table keyless; --', 'id = 1) /*', 'true', 'id = (1', `note = 'x`, '$a$ x']) {
      const spec = target(where);
      if (where === 'true') expect(createPublication(spec, session.versionNum)).toHaveLength(1);
      else expect(catching(() => createPublication(spec, session.versionNum))).toMatchObject({ code: 'INVALID_INPUT' });
    }
    const smuggled = { sql: 'select 1; drop table keyless', redactedSql: '', transactional: true, lock: '' };
    await expect(runStatements(session, [smuggled])).rejects.toMatchObject({ options: { sqlstate: '42601' } });
  });
});

describe('publication specifications', () => {
  const orders = { schema: 'public', name: 'orders' };

  it.each<[string, PublicationSpec['target']]>([
    ['a table twice', { kind: 'tables', tables: [orders, orders] }],
    ['a column twice', { kind: 'tables', tables: [{ ...orders, columns: ['id', 'id'] }] }],
    ['an empty column list', { kind: 'tables', tables: [{ ...orders, columns: [] }] }],
    ['a name too long', { kind: 'tables', tables: [{ ...orders, name: 'ä'.repeat(32) }] }],
    ['no schema', { kind: 'schemas', schemas: [] }],
    ['columns beside a schema', { kind: 'schemas', schemas: ['s'], tables: [{ ...orders, columns: ['id'] }] }],
  ])('refuses %s', (_what, target) => {
    expect(catching(() => createPublication({ name: 'p', target }, 180000))).toMatchObject({ code: 'INVALID_INPUT' });
  });

  it('refuses to turn a list into all tables: that would need a new publication', () => {
    const current: Publication = {
      ...{ name: 'p', owner: 'postgres', target: { kind: 'tables', tables: [] }, publish: ['insert'] },
      ...{ viaPartitionRoot: false, generatedColumns: 'none' },
    };
    const refusal = catching(() => alterPublication(current, { target: { kind: 'allTables' } }, 180000));
    expect(refusal).toMatchObject({
      code: 'CONFLICT',
      options: { hint: expect.stringContaining('second publication') },
    });
  });
});

function catching(work: () => unknown): Problem | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error as Problem;
  }
}
