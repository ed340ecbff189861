import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestServer as Server } from '../support/postgres-fleet.js';
import { TestServer } from '../support/postgres-fleet.js';
import { identifier } from '../../src/postgres/quoting.js';
import { dropCreated } from '../../src/postgres/schema/created-objects.js';
import { parseDump, type DumpItem } from '../../src/postgres/schema/dump-statements.js';
import { compareSchemas } from '../../src/postgres/schema/fingerprint.js';
import { dumpSchema } from '../../src/postgres/schema/pg-dump.js';
import { splitPostData } from '../../src/postgres/schema/restore-plan.js';
import { restoreEntries, type RestoreProgress } from '../../src/postgres/schema/restore.js';
import { fixtureRoles, nastySchema } from './schema-fixture.js';

async function createRoles(server: Server, prefix: string): Promise<void> {
  await server.withSession('postgres', async (session) => {
    for (const role of Object.values(fixtureRoles(prefix))) {
      const rows = await session.rows('select from pg_roles where rolname = $1', [role]);
      if (rows.length === 0) await session.execute(`create role ${identifier(role)}`);
    }
  });
}

async function dumpItems(server: Server, database: string): Promise<{ pre: DumpItem[]; post: DumpItem[] }> {
  const target = server.target(database);
  return {
    pre: parseDump(await dumpSchema(target, { section: 'pre-data' })),
    post: parseDump(await dumpSchema(target, { section: 'post-data' })),
  };
}

/**
 * What the definitions say, less what newer servers merely print otherwise: columns of a single table unqualified.
 * The roles of a policy are printed in the order in which they lie in pg_authid, which is no server's promise.
 */
function texts(items: DumpItem[]): string[] {
  const normalised = (text: string) =>
    text
      .replaceAll(/(?<![.\w])(customers|names|totals|"Order Items;")\./g, '')
      .replace(/,\n *multirange_type_name = .*/, '')
      .replace(/(?<=^POLICY .* TO )[^()]+?(?= USING | WITH CHECK )/, (roles) => roles.split(', ').sort().join(', '))
      // 14 began to write the mode of a procedure's arguments.
      .replaceAll(/(?<=^(?:PROCEDURE|ACL|COMMENT)[^]*[(,] ?)IN (?=\w)/g, '');
  return items
    .flatMap((item) => (item.kind === 'entry' ? [normalised(`${item.type} ${item.statements.join('\n')}`)] : []))
    .sort();
}

/** What stood on the target before us. */
const THEIRS = `
  create schema theirs; create table theirs.kept (id integer primary key); create view theirs.v as select * from theirs.kept;
  create table public.kept_too (id serial); comment on schema public is 'theirs'; grant create on schema public to pg_monitor;
  alter default privileges in schema theirs grant select on tables to pg_monitor;
  grant execute on function pg_catalog.pg_ls_waldir() to pg_read_all_stats;`;

async function userObjects(server: Server, database: string): Promise<string[]> {
  const catalogs = [
    'pg_class',
    'pg_type',
    'pg_proc',
    'pg_namespace',
    'pg_extension',
    'pg_operator',
    'pg_cast',
    'pg_default_acl',
  ];
  catalogs.push('pg_event_trigger', 'pg_foreign_server', 'pg_foreign_data_wrapper', 'pg_ts_config', 'pg_collation');
  const rows = await server.withSession(database, (session) =>
    session.rows<{ name: string }>(
      catalogs
        .map((c) => `select pg_describe_object('${c}'::regclass, oid, 0) as name from ${c} where oid >= 16384`)
        .join(' union all '),
    ),
  );
  return rows.map(({ name }) => name).sort();
}

const PAIRS: [number, number][] = [
  [13, 18],
  [14, 18],
  [17, 18],
  [15, 17],
];

describe.each(PAIRS)('a nasty schema of PostgreSQL %i restored into %i', (from, to) => {
  const prefix = `nasty${from}to${to}`;
  let source: Server;
  let target: Server;
  let dump: { pre: DumpItem[]; post: DumpItem[] };

  beforeAll(async () => {
    source = await TestServer.shared(from);
    target = await TestServer.shared(to);
    for (const server of [source, target]) await createRoles(server, prefix);
    await source.freshDatabase(prefix);
    await source.run(prefix, nastySchema(from * 10000, prefix));
    await target.freshDatabase(prefix);
    dump = await dumpItems(source, prefix);
  });
  afterAll(async () => {
    await source?.stop();
    await target?.stop();
  });

  it('gives the same schema as pg_dump sees it', async () => {
    const progress: RestoreProgress[] = [];
    const { earlyPostData, latePostData } = splitPostData(dump.post);
    await target.withSession(prefix, async (session) => {
      const onProgress = (step: RestoreProgress) => void progress.push(step);
      await restoreEntries(session, dump.pre, { section: 'pre-data', onProgress });
      await restoreEntries(session, earlyPostData, { section: 'early-post-data' });
      const identities = await session.rows<{ name: string }>(
        `select c.relname::text as name from pg_class c join pg_index i on i.indrelid = c.oid
          where (i.indisreplident or (i.indisprimary and c.relreplident = 'd')) and c.oid >= 16384
            and c.relnamespace <> 'lockstep'::regnamespace`,
      );
      expect(identities.map(({ name }) => name).sort()).toEqual(
        ['base', 'by_uuid', 'customers', 'Order Items;', 'parent', 'part 1', 'part_rest', 'serials'].sort(),
      );
      await restoreEntries(session, latePostData, { section: 'late-post-data' });
    });
    expect(progress.at(-1)).toMatchObject({ done: progress.at(-1)!.total });
    const copy = await dumpItems(target, prefix);
    expect(texts(copy.pre)).toEqual(texts(dump.pre));
    expect(texts(copy.post)).toEqual(texts(dump.post));
    await source.withSession(prefix, (a) =>
      target.withSession(prefix, async (b) => {
        expect(await compareSchemas(a, b)).toEqual([]);
        await b.execute('drop index sales.totals_key; alter table sales.no_key alter a set not null');
        expect((await compareSchemas(a, b)).map(({ kind, object }) => `${kind} ${object}`)).toEqual([
          'changed column sales.no_key.a',
          'removed index sales.totals_key',
        ]);
      }),
    );
  });

  it('is taken away again, all of it and nothing else', async () => {
    const database = await target.freshDatabase(`${prefix}_drop`);
    await target.run(database, THEIRS);
    const before = await dumpItems(target, database);
    const objectsBefore = await userObjects(target, database);
    await target.withSession(database, async (session) => {
      for (const [section, items] of Object.entries(dump)) await restoreEntries(session, items, { section });
      const report = await dropCreated(session);
      expect(report.left).toEqual([]);
      expect(report.dropped).toBeGreaterThan(40);
      expect(await dropCreated(session)).toEqual({ dropped: 0, left: [] });
    });
    expect(await userObjects(target, database)).toEqual(objectsBefore);
    const after = await dumpItems(target, database);
    expect(texts(after.pre)).toEqual(texts(before.pre));
    expect(texts(after.post)).toEqual(texts(before.post));
  });
});
