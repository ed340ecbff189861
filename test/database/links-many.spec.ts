import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { LastLooks } from '../../src/links/drift/last-looks.js';
import { LinksService } from '../../src/links/links.service.js';
import type { ReplicationSlot } from '../../src/postgres/catalog/replication-slots.js';
import { readSentTables } from '../../src/postgres/catalog/sent-tables.js';
import { readSubscriptions } from '../../src/postgres/catalog/subscriptions.js';
import { readTableSizes } from '../../src/postgres/catalog/table-sizes.js';
import { type Session, withSession } from '../../src/postgres/session.js';
import { SlotOwners } from '../../src/replication-slots/slot-owners.js';
import type { ServersService } from '../../src/servers/servers.service.js';
import { copyProgressOf, knownSizes, overallProgress } from '../../src/subscriptions/copy-progress.js';
import type { PublisherEnds } from '../../src/subscriptions/publisher-ends.js';
import { SubscriptionSlotOwners } from '../../src/subscriptions/subscription-slot-owners.js';
import { endsOf, fleetServers } from '../support/fleet-servers.js';
import { TestServer } from '../support/postgres-fleet.js';

const TABLES = 5_000;
const PUBLICATIONS = 20;
const publications = Array.from({ length: PUBLICATIONS }, (_, n) => `P ${n}`);
const DATABASES = ['links_many_1', 'links_many_2'] as const;
const [DATABASE, SECOND] = DATABASES;
/** In the order of pages, which is by bytes. */
const NAMES = [...Array.from({ length: 20 }, (_, n) => `S ${10 + n}`), 'Z', 'a', 'ü'];

/** What an answer takes is counted in statements and rows, which no machine's load changes. */
describe('5,000 tables, 20 publications, subscriptions in two databases', () => {
  let server: TestServer;
  let ends: PublisherEnds;
  let links: LinksService;
  let owners: SlotOwners;
  let cost = { statements: 0, rows: 0, databases: new Set<string>() };

  /** Counts what is asked of the server by whatever the service does. */
  function counting(all: ServersService): ServersService {
    const borrow = async <T>(name: string, database: string | undefined, work: (session: Session) => Promise<T>) =>
      withSession(await all.target(name, database), { purpose: 'test' }, (session) => {
        const rows = session.rows.bind(session);
        session.rows = async (sql, parameters) => {
          const answer = await rows(sql, parameters);
          cost.statements++;
          cost.rows += answer.length;
          return answer as never;
        };
        if (DATABASES.some((each) => each === database)) cost.databases.add(database!);
        return work(session);
      });
    return Object.assign(all, { withSession: borrow });
  }

  async function costOf<T>(work: () => Promise<T>): Promise<{ result: T } & typeof cost> {
    cost = { statements: 0, rows: 0, databases: new Set() };
    const result = await work();
    return { result, ...cost };
  }

  beforeAll(async () => {
    server = await TestServer.shared(17);
    for (const database of DATABASES) {
      await server.freshDatabase(database);
      const create = NAMES.map(
        (name) => `create subscription "${name}" connection '' publication p
                     with (connect = false, slot_name = none, enabled = false)`,
      );
      for (const sql of create) await server.run(database, sql);
    }
    await server.withSession(DATABASE, async (maker) => {
      for (let from = 0; from < TABLES; from += 1000) {
        await maker.execute(`do $$ begin for i in ${from}..${from + 999} loop
          execute 'create table public."T ' || i || '" (id int primary key)'; end loop; end $$`);
      }
      // Every table is in one of them, the first hundred in the last as well.
      await maker.execute(`do $$ begin for p in 0..${PUBLICATIONS - 1} loop
        execute 'create publication "P ' || p || '" for table ' || (
          select string_agg('public."T ' || n || '"', ', ') from generate_series(0, ${TABLES - 1}) n
           where n % ${PUBLICATIONS} = p or (p = ${PUBLICATIONS - 1} and n < 100)); end loop; end $$`);
      // As a first copy of them all begins, without a publisher that would have to send them.
      await maker.execute(`insert into pg_catalog.pg_subscription_rel (srsubid, srrelid, srsubstate)
        select s.oid, c.oid, case when c.relname like '%7' then 'd' else 'i' end
          from pg_catalog.pg_subscription s, pg_catalog.pg_class c
         where s.subname = 'S 10' and c.relname like 'T %' and c.relkind = 'r'
           and s.subdbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())`);
      await maker.execute('analyze');
    });
    const servers = counting(fleetServers({ sink: server }));
    ends = endsOf(servers);
    const looks = { of: (all: readonly unknown[]) => Promise.resolve(all.map(() => null)) } as unknown as LastLooks;
    links = new LinksService(servers, ends, looks);
    owners = new SlotOwners();
    new SubscriptionSlotOwners(servers, ends, owners);
  }, 240_000);

  afterAll(async () => {
    for (const database of DATABASES) {
      await server?.run(
        database,
        `delete from pg_catalog.pg_subscription_rel r using pg_catalog.pg_subscription s
        where s.oid = r.srsubid and s.subdbid = (select oid from pg_catalog.pg_database where datname = current_database())`,
      );
      for (const name of NAMES) await server?.run(database, `drop subscription if exists "${name}"`);
      await server?.run('postgres', `drop database ${database} with (force)`);
    }
    await server?.stop();
  }, 120_000);

  it('what all publications send is read in as many statements as what one sends', async () => {
    const read = (names: string[]) =>
      costOf(() =>
        withSession(server.target(DATABASE), {}, (session) => {
          const rows = session.rows.bind(session);
          session.rows = (sql, parameters) => (cost.statements++, rows(sql, parameters));
          return readSentTables(session, names, 170000);
        }),
      );
    const one = await read(['P 0']);
    const all = await read(publications);
    expect([one.statements, all.statements]).toEqual([4, 4]);
    expect([one.result.tables.length, all.result.tables.length]).toEqual([TABLES / PUBLICATIONS, TABLES]);
    expect(all.result.tables.every(({ identified, columns }) => identified && columns.length === 1)).toBe(true);
  }, 60_000);

  it('the progress of a copy reads the size of each table a few times, not once for each other table', async () => {
    const [subscription, sizes] = await server.withSession(DATABASE, async (session) => {
      const [found] = await readSubscriptions(session, 'S 10');
      return [found!, await readTableSizes(session, found!.tables, publications)] as const;
    });
    expect([subscription.tables.length, sizes.length]).toEqual([TABLES, TABLES]);
    let reads = 0;
    const counted = sizes.map(({ name, ...size }) => ({
      ...size,
      get name() {
        reads++;
        return name;
      },
    }));
    const known = knownSizes(counted);
    for (const table of subscription.tables) copyProgressOf(table, known, 170000);
    expect(overallProgress(subscription.tables, known, 170000)).toMatchObject({ tables: TABLES, tablesCopied: 0 });
    expect(reads).toBeLessThan(5 * TABLES);
  });

  it('a page of subscriptions reads its own subscriptions only', async () => {
    const all = await costOf(() => ends.page('sink', DATABASE, { limit: 200 }));
    expect(all.result.items.map(({ name }) => name)).toEqual(NAMES);
    expect(all.rows).toBeGreaterThan(TABLES);
    const cursor = (await ends.page('sink', DATABASE, { limit: 1 })).nextCursor!;
    const second = await costOf(() => ends.page('sink', DATABASE, { limit: 1, cursor }));
    expect(second.result.items.map(({ name }) => name)).toEqual(['S 11']);
    expect(second.rows).toBeLessThan(20);
  });

  it('a page of links looks into the databases of its links only, and every link is on one page', async () => {
    const seen: string[] = [];
    for (let cursor: string | undefined; ;) {
      const { result, databases } = await costOf(() => links.page({ limit: 9, ...(cursor ? { cursor } : {}) }));
      const here = result.items.filter(({ subscriber }) => DATABASES.some((each) => each === subscriber.database));
      expect([...databases].sort()).toEqual([...new Set(here.map(({ subscriber }) => subscriber.database))]);
      seen.push(...here.map(({ subscriber }) => `${subscriber.database} ${subscriber.subscription}`));
      if (result.nextCursor === null) break;
      cursor = result.nextCursor;
    }
    expect(seen).toEqual(DATABASES.flatMap((database) => NAMES.map((name) => `${database} ${name}`)));
  }, 60_000);

  it('the slots of table synchronization are asked about by one look at each database', async () => {
    const { systemIdentifier } = await fleetServers({ sink: server }).facts('sink');
    const made = await server.withSession(DATABASE, (session) =>
      session.rows<{ name: string; live: boolean }>(
        `select 'pg_' || r.srsubid || '_sync_' || r.srrelid || '_' || $1::text as name
           from pg_catalog.pg_subscription_rel r order by r.srrelid limit 60`,
        [systemIdentifier],
      ),
    );
    const over = made[0]!.name.replace(/_sync_\d+_/, '_sync_1_');
    const slots = [...made.map(({ name }) => name), over].map(
      (name) => ({ name, kind: 'logical', database: SECOND }) as ReplicationSlot,
    );
    const found = await costOf(() => owners.find({ server: 'publisher', systemIdentifier, slots }));
    expect(found.result.owners.size).toBe(61);
    expect([...found.result.owners].filter(([, { live }]) => !live).map(([name]) => name)).toEqual([over]);
    expect(found.statements).toBeLessThan(20);
    expect([...found.databases]).toEqual([DATABASE]);
  });
});
