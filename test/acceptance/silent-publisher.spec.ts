import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EngineModule } from '../../src/engine/engine.module.js';
import { OperationsApiModule } from '../../src/operations/operations-api.module.js';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { VerificationModule } from '../../src/verification/verification.module.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { SUBSCRIBER_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { type Answer, ApiUnderTest } from './security-app.js';

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
      SUBSCRIBER_MAJORS.map(async (major) => ({
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
            where database = pg_catalog.current_database() and not temporary order by 1`,
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
    // A temporary slot of a copy ends with its session, once the publisher has heard that it is gone. No timeout of the
    // server's ends one that has not begun to stream.
    network.endDead();
    await eventually(
      async () => {
        const shown = (await api.get(slots)).body.items as { database: string }[];
        expect(shown.filter(({ database }) => database === DATABASE)).toEqual([]);
        return true;
      },
      { within: 10_000, every: 100 },
    );
  }, 90_000);
});

interface Scene {
  name: string;
  /** The side that falls silent as soon as it is to hear this. */
  side: 'publisher' | 'subscriber';
  freezeAt: string;
  ask: (api: ApiUnderTest, server: string, subscription: string) => Promise<Answer>;
  status: number;
  withinMs: number;
  /** What the answer says, beside the address of the silent server. */
  says: object;
}

/** Each server is reached by a way of its own for each scene, so that they fall silent side by side. */
describe('a server that falls silent in the middle of a request', () => {
  const database = 'falls_silent';
  const base = `/v1/servers/sink/databases/${database}/subscriptions`;
  const at = (subscriber: string, subscription: string) =>
    `/v1/servers/${subscriber}/databases/${database}/subscriptions/${subscription}`;
  const networks = new Map<string, Network>();
  let publisher: TestServer;
  let subscriber: TestServer;
  let api: ApiUnderTest;

  const scenes: Scene[] = [
    {
      ...{ name: 'making_a_slot', side: 'publisher', freezeAt: 'pg_create_logical_replication_slot' },
      ask: (api, server) =>
        api.post(`/v1/servers/${server}/replication-slots`, {
          ...{ name: 'silent_slot', kind: 'logical', database, deadlineMs: 1000 },
        }),
      ...{ status: 504, withinMs: 15_000 },
      says: { slotLeft: { server: 'making_a_slot', slot: 'silent_slot' }, hint: expect.stringContaining('drop') },
    },
    {
      ...{ name: 'copying_a_slot', side: 'publisher', freezeAt: 'pg_copy_logical_replication_slot' },
      ask: (api, server) => api.post(`/v1/servers/${server}/replication-slots/kept/copy`, { name: 'silent_copy' }),
      ...{ status: 504, withinMs: 45_000 },
      says: { slotLeft: { server: 'copying_a_slot', slot: 'silent_copy' } },
    },
    {
      ...{ name: 'advancing', side: 'publisher', freezeAt: 'pg_replication_slot_advance' },
      ask: async (api, server) => {
        const { currentLsn } = (await api.get(`/v1/servers/${server}/replication-slots/kept`)).body;
        return api.post(`/v1/servers/${server}/replication-slots/kept/advance`, {
          // Other servers are silent at the same time, and might read from it.
          ...{ lsn: currentLsn, force: true },
        });
      },
      ...{ status: 504, withinMs: 45_000 },
      says: { hint: expect.stringContaining('confirmedFlushLsn') },
    },
    {
      ...{ name: 'creating', side: 'publisher', freezeAt: 'pg_create_logical_replication_slot' },
      ask: (api, server) =>
        api.post(base, {
          ...{ name: 'created', publisher: { server, database }, publications: ['p'], slotDeadlineMs: 1000 },
          options: { slotName: 'silent_created' },
        }),
      ...{ status: 504, withinMs: 30_000 },
      says: { slotLeft: { server: 'creating', slot: 'silent_created' } },
    },
    {
      ...{ name: 'refreshing', side: 'publisher', freezeAt: 'pg_get_publication_tables' },
      ask: (api, _server, subscription) => api.post(`${at('sink', subscription)}/refresh`),
      ...{ status: 504, withinMs: 75_000 },
      says: { detail: expect.stringContaining('refreshing') },
    },
    ...['pg_logical_emit_message', 'pg_copy_logical_replication_slot'].map((freezeAt): Scene => ({
      ...{ name: freezeAt.includes('emit') ? 'diagnosing' : 'reading', side: 'publisher', freezeAt },
      ask: (api, _server, subscription) => api.post(`${at('sink', subscription)}/diagnose`),
      ...{ status: 200, withinMs: 60_000 },
      says: { transaction: null, transactionReason: expect.stringContaining('could not be read') },
    })),
    {
      ...{ name: 'watching', side: 'subscriber', freezeAt: 'pg_blocking_pids' },
      ask: (api, server, subscription) => api.post(`${at(server, subscription)}/diagnose`),
      ...{ status: 504, withinMs: 60_000, says: {} },
    },
    {
      ...{ name: 'resyncing', side: 'publisher', freezeAt: 'old_snapshot_threshold' },
      ask: (api, _server, subscription) => api.post(`${at('sink', subscription)}/tables/public/t/resync`),
      ...{ status: 504, withinMs: 60_000, says: {} },
    },
  ];
  const subscribed = scenes.filter(({ name }) => !/slot$|^advancing|^creating/.test(name));

  beforeAll(async () => {
    [publisher, subscriber] = await Promise.all([TestServer.shared(17), TestServer.shared(18)]);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, 'create table t (id int primary key)');
    }
    await publisher.run(database, `select pg_create_logical_replication_slot('kept', 'pgoutput')`);
    await publisher.run(database, `select pg_create_physical_replication_slot('silent_standby')`);
    await publisher.run(database, 'create publication p for table t');
    api = await ApiUnderTest.start(subscriber, await subscriber.freshDatabase(`${database}_state`), {
      imports: [
        ...[EngineModule, OperationsApiModule, PublicationsModule, SubscriptionsModule, ReplicationSlotsModule],
        VerificationModule,
      ],
    });
    const register = async (name: string, { host, user, password }: TestServer, port: number) => {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    };
    await register('source', publisher, publisher.port);
    await register('sink', subscriber, subscriber.port);
    for (const { name, side } of [...scenes, { name: 'standby', side: 'publisher' as const }]) {
      const server = side === 'publisher' ? publisher : subscriber;
      const network = await Network.to(server.port);
      networks.set(name, network);
      await register(name, server, network.port);
    }
    for (const { name, side } of subscribed) {
      const body = {
        ...{ name, publisher: { server: side === 'publisher' ? name : 'source', database }, publications: ['p'] },
        options: { slotName: `silent_${name}`, copyData: false },
      };
      expect((await api.post(base, body)).status).toBe(201);
    }
  }, 120_000);

  afterAll(async () => {
    for (const network of networks.values()) network.thaw();
    await api?.stop();
    for (const { name } of subscribed) {
      const statements = ['disable', 'set (slot_name = none)'].map((what) => `alter subscription ${name} ${what}`);
      for (const sql of [...statements, `drop subscription ${name}`]) {
        await subscriber?.run(database, sql).catch(() => {});
      }
    }
    for (const network of networks.values()) await network.cut();
    await publisher?.run('postgres', `select pg_drop_replication_slot('silent_standby')`).catch(() => {});
    for (const server of [publisher, subscriber]) {
      await server?.run('postgres', `drop database if exists ${database} with (force)`).catch(() => {});
    }
    for (const server of [publisher, subscriber]) await server?.stop();
  }, 60_000);

  it('does not hold up what is asked of the slots of another member of its cluster', async () => {
    const slots = '/v1/servers/source/replication-slots';
    expect((await api.get(slots)).status).toBe(200);
    networks.get('standby')!.freeze();
    const begin = Date.now();
    const { status, body } = await api.get(`${slots}/silent_standby`);
    expect([status, body.owner]).toEqual([200, null]);
    expect(Date.now() - begin).toBeLessThan(9_000);
  }, 60_000);

  it('ends each request in bounded time, with who was silent and what may be left', async () => {
    const told = await Promise.all(
      scenes.map(async ({ name, freezeAt, ask }) => {
        networks.get(name)!.freezeAt(freezeAt);
        const begin = Date.now();
        const late = new Promise<null>((resolve) => setTimeout(resolve, 90_000, null).unref());
        const answer = await Promise.race([ask(api, name, name), late]);
        return { name, answer, ms: Date.now() - begin, frozen: networks.get(name)!.isFrozen };
      }),
    );
    for (const [index, { name, answer, ms, frozen }] of told.entries()) {
      const { status, says, withinMs } = scenes[index]!;
      expect([name, frozen, answer?.status ?? 'no answer']).toEqual([name, true, status]);
      expect([name, answer!.body]).toEqual([name, expect.objectContaining(says)]);
      expect([name, answer!.text]).toEqual([name, expect.stringContaining(`:${networks.get(name)!.port}`)]);
      expect([name, ms]).toEqual([name, expect.any(Number)]);
      expect(ms).toBeLessThan(withinMs);
    }
  }, 120_000);
});
