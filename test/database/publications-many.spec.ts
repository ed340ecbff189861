import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readMissingPublications } from '../../src/postgres/catalog/publication-tables.js';
import { type Publication, readPublications } from '../../src/postgres/catalog/publications.js';
import { readPublishedTables } from '../../src/postgres/catalog/published-tables.js';
import { readSubscriptions } from '../../src/postgres/catalog/subscriptions.js';
import { Session } from '../../src/postgres/session.js';
import { PublicationsService } from '../../src/publications/publications.service.js';
import type { ServersService } from '../../src/servers/servers.service.js';
import { TestServer } from '../support/postgres-fleet.js';

const SUBSCRIPTIONS = 100;
const PAGE = 200;

describe.each([
  [14, 10_000, 1_000],
  [18, 2_000, 400],
])('PostgreSQL %i, %i tables, %i publications, 100 subscriptions', (major, tables, publicationCount) => {
  const database = 'publications_many';
  const statements: string[] = [];
  let server: TestServer;
  let session: Session;
  let publications: PublicationsService;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(database);
    await server.withSession(database, async (maker) => {
      for (let from = 0; from < tables; from += 1000) {
        await maker.execute(`do $$ begin for i in ${from}..${from + 999} loop
          execute 'create table public."T ' || i || '" (id int primary key, n int)'; end loop; end $$`);
      }
      // Every tenth lists 100 tables, the others two; one lists all. Not all at once: other specs wait for transactions.
      for (let from = 1; from < publicationCount; from += 100) {
        await maker.execute(`do $$ begin for i in ${from}..${Math.min(from + 99, publicationCount - 1)} loop
          execute 'create publication "P ' || i || '" for table ' || (
            select string_agg('public."T ' || (i * 7 + n) % ${tables} || '"', ', ')
              from generate_series(1, case when i % 10 = 0 then 100 else 2 end) n); end loop; end $$`);
      }
      await maker.execute(`do $$ begin execute 'create publication "Every" for table ' || (
        select string_agg('public."T ' || n || '"', ', ') from generate_series(0, ${tables - 1}) n); end $$`);
      await maker.execute(`do $$ begin for i in 1..${SUBSCRIPTIONS} loop
        execute 'create subscription "S ' || i || '" connection '''' publication p
          with (connect = false, slot_name = none, enabled = false)'; end loop; end $$`);
      await maker.execute('analyze');
    });
    session = await Session.open({ ...server.target(database), onStatement: (sql) => statements.push(sql) });
    const servers: Pick<ServersService, 'withSession'> = { withSession: (_server, _database, work) => work(session) };
    publications = new PublicationsService(servers as ServersService);
  }, 240_000);
  afterAll(async () => {
    await session?.close();
    await server.withSession(database, (maker) =>
      maker.execute(`do $$ declare s text; begin for s in select subname from pg_subscription
        where subdbid = (select oid from pg_database where datname = current_database()) loop
        execute format('drop subscription %I', s); end loop; end $$`),
    );
    await server.withSession('postgres', (maker) => maker.execute(`drop database ${database} with (force)`));
    await server.stop();
  }, 120_000);

  /** Statements that `work` takes, however much there is. */
  async function counted<T>(work: () => Promise<T>): Promise<{ result: T; count: number }> {
    statements.length = 0;
    const result = await work();
    return { result, count: statements.length };
  }

  it('pages of publications are one statement each, and every publication is on one of them', async () => {
    const names: string[] = [];
    for (let after: string | undefined; ;) {
      const { result, count } = await counted(() => readPublications(session, null, { after, limit: PAGE }));
      expect(count).toBe(1);
      names.push(...result.map(({ name }) => name));
      if (result.length < PAGE) break;
      after = result.at(-1)!.name;
    }
    expect(names).toEqual([...new Set(names)].sort());
    expect(names).toHaveLength(publicationCount);
    const [tenth] = await readPublications(session, 'P 10');
    expect((tenth as Publication & { target: { tables: unknown[] } }).target.tables).toHaveLength(100);
  });

  it('a page of what a publication of them all sends is two statements', async () => {
    const first = await counted(() => publications.tables('s', database, 'Every', { limit: PAGE }));
    expect([first.count, first.result.length]).toEqual([2, PAGE]);
    const after = { schema: 'public', name: 'T 5' };
    const middle = await counted(() => publications.tables('s', database, 'Every', { after, limit: PAGE }));
    expect([middle.count, middle.result[0]!.name]).toEqual([2, 'T 50']);
    expect(middle.result).toEqual(
      (await readPublishedTables(session, 'Every', { after, limit: PAGE })).map(
        ({ broken: _broken, fullIncomparable: _full, ...table }) => expect.objectContaining(table),
      ),
    );
  });

  it('whether publications exist is asked without reading them', async () => {
    const { result, count } = await counted(() => readMissingPublications(session, ['Every', 'absent']));
    expect([count, result]).toEqual([1, ['absent']]);
  });

  it('subscriptions are read in as many statements as one', async () => {
    const one = await counted(() => readSubscriptions(session, 'S 1'));
    const all = await counted(() => readSubscriptions(session));
    expect([one.result.length, all.result.length, all.count]).toEqual([1, SUBSCRIPTIONS, one.count]);
  });
});
