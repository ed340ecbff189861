import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const ORPHANS = '/v1/orphaned-slots';
const DATABASE = 'silent_publisher';
/** Looks at the publisher and at the owners of its slots; far from a statement that waits for its own limit. */
const WITHIN_MS = 30_000;

interface Sink {
  major: number;
  server: TestServer;
  slot: string;
  path: string;
}

/** Everything towards the publisher goes one way, which is made a black hole. */
describe('subscriptions of every version that copy from a publisher fallen silent', () => {
  const slots = '/v1/servers/source/replication-slots';
  let publisher: TestServer;
  let sinks: Sink[];
  let network: Network;
  let api: ApiUnderTest;

  beforeAll(async () => {
    // What the subscribers leave is given up by the server itself, and soon.
    publisher = await TestServer.start(16, { wal_sender_timeout: '3s' });
    sinks = await Promise.all(
      AVAILABLE_MAJORS.map(async (major) => ({
        major,
        server: await TestServer.shared(major),
        slot: `silent_to_${major}`,
        path: `/v1/servers/sink-${major}/databases/${DATABASE}_${major}/subscriptions/copying`,
      })),
    );
    network = await Network.to(publisher.port);
    await publisher.freshDatabase(DATABASE);
    const tables = 'create table done (id int primary key); create table failing (id int primary key)';
    // The copy fails at a row that is there already, over and over: its slot stays.
    const row = 'insert into failing values (1)';
    await publisher.run(DATABASE, `${tables}; ${row}; create publication p for table done, failing`);
    const state = await TestServer.shared(18);
    api = await ApiUnderTest.start(state, await state.freshDatabase(`${DATABASE}_state`), {
      imports: [PublicationsModule, SubscriptionsModule, ReplicationSlotsModule],
    });
    const register = async (name: string, { host, user, password }: TestServer, port: number) => {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    };
    await register('source', publisher, network.port);
    for (const { major, server } of sinks) {
      await server.freshDatabase(`${DATABASE}_${major}`);
      await server.run(`${DATABASE}_${major}`, `${tables}; ${row}`);
      await register(`sink-${major}`, server, server.port);
    }
  }, 120_000);

  afterAll(async () => {
    network?.thaw();
    for (const { path } of sinks ?? []) await api?.call('DELETE', `${path}?slot=keep`).catch(() => {});
    await api?.stop();
    await network?.cut();
    for (const name of await slotNames().catch(() => [])) {
      await publisher.run(DATABASE, `select pg_catalog.pg_drop_replication_slot('${name}')`).catch(() => {});
    }
    for (const { server } of sinks ?? []) await server.stop();
    await publisher?.stop();
  }, 60_000);

  const slotNames = () =>
    publisher.withSession(DATABASE, async (session) =>
      (
        await session.rows<{ name: string }>(
          `select slot_name::text as name from pg_catalog.pg_replication_slots
            where database = pg_catalog.current_database() order by 1`,
        )
      ).map(({ name }) => name),
    );
  const synchronizing = () => sinks.filter(({ major }) => major >= 14).length;

  it('are dropped in bounded time, and every slot of theirs is recorded', async () => {
    for (const { path, slot } of sinks) {
      const body = { name: 'copying', publisher: { server: 'source', database: DATABASE }, publications: ['p'] };
      const created = await api.post(path.replace('/copying', ''), { ...body, options: { slotName: slot } });
      expect(created.status).toBe(201);
    }
    const copying = async () => {
      for (const { path } of sinks) {
        const { tables } = (await api.get(path)).body as { tables: { name: string; state: string }[] };
        const states = Object.fromEntries(tables.map(({ name, state }) => [name, state]));
        if (states.done !== 'ready' || states.failing !== 'copying') throw new Error(JSON.stringify([path, states]));
      }
      return (await slotNames()).length === sinks.length + synchronizing();
    };
    await eventually(copying, { within: 60_000, every: 50 });
    network.freeze();
    const names = await slotNames();
    const begin = Date.now();
    const dropped = await Promise.all(sinks.map(({ path }) => api.call('DELETE', `${path}?slot=keep`)));
    expect(Date.now() - begin).toBeLessThan(WITHIN_MS);
    for (const [position, { slot, major }] of sinks.entries()) {
      expect(dropped[position]!.body).toMatchObject({ name: 'copying', slotLeft: { name: slot } });
      expect(dropped[position]!.body.tableSlotsLeft).toHaveLength(major < 14 ? 0 : 1);
    }
    const left = dropped.flatMap(({ body }) => body.tableSlotsLeft as { name: string }[]).map(({ name }) => name);
    for (const { path } of sinks) expect((await api.get(path)).status).toBe(404);
    const listed = (await api.get(ORPHANS)).body.items as { slot: string }[];
    const recorded = listed.map(({ slot }) => slot);
    expect([...recorded].sort()).toEqual([...sinks.map(({ slot }) => slot), ...left].sort());
    // The copies begin anew all the time: of some the slot was not made yet.
    expect(recorded).toEqual(expect.arrayContaining(names));
    for (const item of listed) {
      expect(item).toMatchObject({ state: 'unknown', publisher: { server: 'source', database: DATABASE } });
    }
    expect(Date.now() - begin).toBeLessThan(2 * WITHIN_MS);
  }, 180_000);

  it('are cleaned up through the API once the publisher is heard again', async () => {
    network.thaw();
    const orphans = await eventually(
      async () => {
        const items = (await api.get(ORPHANS)).body.items as { state: string; cleanUp: { path: string } }[];
        if (items.every(({ state }) => state === 'orphan')) return items;
        throw new Error(JSON.stringify(items));
      },
      { within: 60_000, every: 200 },
    );
    for (const { cleanUp } of orphans) expect((await api.call('DELETE', cleanUp.path)).status).toBe(204);
    expect((await api.get(ORPHANS)).body.items).toEqual([]);
    expect(await slotNames()).toEqual([]);
    const shown = (await api.get(slots)).body.items as { database: string }[];
    expect(shown.filter(({ database }) => database === DATABASE)).toEqual([]);
  }, 90_000);
});
