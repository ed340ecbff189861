import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestServer as Server } from '../support/postgres-fleet.js';
import { TestServer } from '../support/postgres-fleet.js';
import { identifier } from '../../src/postgres/quoting.js';
import { parseDump, type DumpItem } from '../../src/postgres/schema/dump-statements.js';
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

/** What the definitions say, less what newer servers merely print otherwise: columns of a single table unqualified. */
function texts(items: DumpItem[]): string[] {
  const normalised = (text: string) =>
    text.replaceAll(/(?<![.\w])(customers|names|totals|"Order Items;")\./g, '').replace(/,\n *multirange_type_name = .*/, '');
  return items
    .flatMap((item) => (item.kind === 'entry' ? [normalised(`${item.type} ${item.statements.join('\n')}`)] : []))
    .sort();
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
  });
});
