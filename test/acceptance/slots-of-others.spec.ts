import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { LeftSlots } from '../../src/subscriptions/left-slots/left-slots.service.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';
import { type Answer, ApiUnderTest } from './security-app.js';

const ORPHANS = '/v1/orphaned-slots';
const DATABASE = 'slots_of_others';

/** Slots that others made, or may have made, under the name that a subscription is created with. */
describe('a slot that Lockstep does not know to be its own', () => {
  const base = `/v1/servers/sink/databases/${DATABASE}/subscriptions`;
  const slots = '/v1/servers/source/replication-slots';
  let publisher: TestServer;
  let other: TestServer;
  let subscriber: TestServer;
  let network: Network;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [publisher, other, subscriber] = await Promise.all([
      TestServer.shared(16),
      TestServer.shared(17),
      TestServer.shared(18),
    ]);
    network = await Network.to(publisher.port);
    for (const server of [publisher, other, subscriber]) {
      await server.freshDatabase(DATABASE);
      await server.run(DATABASE, 'create table t (id int primary key)');
    }
    for (const server of [publisher, other]) await server.run(DATABASE, 'create publication p for table t');
    api = await ApiUnderTest.start(subscriber, await subscriber.freshDatabase(`${DATABASE}_state`), {
      imports: [PublicationsModule, SubscriptionsModule, ReplicationSlotsModule],
    });
    for (const [server, { host, user, password }, port] of [
      ['source', publisher, network.port],
      ['other', other, other.port],
      ['sink', subscriber, subscriber.port],
    ] as const) {
      const body = { name: server, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
  }, 60_000);

  afterEach(async () => {
    network.thaw();
    for (const { name } of (await api.get(base)).body.items) await api.call('DELETE', `${base}/${name}`);
    for (const { id } of await orphans()) await api.call('DELETE', `${ORPHANS}/${id}`);
    for (const server of [publisher, other]) {
      await server.run(
        DATABASE,
        `select pg_catalog.pg_drop_replication_slot(slot_name) from pg_catalog.pg_replication_slots
          where database = pg_catalog.current_database() and not active`,
      );
    }
  }, 60_000);

  afterAll(async () => {
    await api?.stop();
    await network?.cut();
    for (const server of [publisher, other, subscriber]) {
      await server?.run('postgres', `drop database if exists ${DATABASE} with (force)`).catch(() => {});
      await server?.stop();
    }
  }, 60_000);

  const orphans = async (): Promise<{ id: string; slot: string; state: string; reason: string | null }[]> =>
    (await api.get(ORPHANS)).body.items;
  const makeSlot = (server: TestServer, slot: string) =>
    server.run(DATABASE, `select pg_catalog.pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
  const create = (slotName: string, query = ''): Promise<Answer> => {
    const body = { name: 'mine', publisher: { server: 'source', database: DATABASE }, publications: ['p'] };
    return api.post(`${base}${query}`, { ...body, options: { slotName } });
  };
  /** The creation loses its connection as soon as it sends `text`; meanwhile somebody else makes the slot. */
  const overtaken = async (slot: string, text: string): Promise<Answer> => {
    network.freezeAt(text);
    const creating = create(slot);
    await eventually(() => network.isFrozen, { within: 20_000, every: 5 });
    await makeSlot(publisher, slot);
    network.thaw();
    network.dropClients();
    return creating;
  };
  /** Of this spec's database: the server is shared with other specs. */
  const shown = () =>
    eventually(
      async () => {
        const answer = await api.get(slots);
        const items = answer.body.items as { name: string; database: string | null; orphan: boolean | null }[];
        if (answer.status === 200) return items.filter(({ database }) => database === DATABASE);
        throw new Error(answer.text);
      },
      { within: 20_000, every: 50 },
    );

  it('is there already: the creation is refused, and nothing of it is recorded', async () => {
    await makeSlot(publisher, 'reader');
    for (const query of ['?dryRun=true', '']) {
      expect(await create('reader', query)).toMatchObject({ status: 409, body: { code: 'ALREADY_EXISTS' } });
    }
    expect(await orphans()).toEqual([]);
    expect(await shown()).toMatchObject([{ name: 'reader', orphan: null }]);
  }, 60_000);

  it('stays where the creation had not asked for one yet', async () => {
    const answer = await overtaken('reader', 'lockstep slot creation');
    expect(answer).toMatchObject({ status: 503, body: { code: 'SERVER_UNREACHABLE' } });
    expect(answer.body.slotLeft).toBeUndefined();
    expect(await shown()).toMatchObject([{ name: 'reader', orphan: null }]);
    expect(await orphans()).toEqual([]);
  }, 60_000);

  it('stays where the answer was lost, and is recorded as what it may be', async () => {
    const answer = await overtaken('reader', 'pg_create_logical_replication_slot');
    expect(answer).toMatchObject({ status: 503, body: { slotLeft: { server: 'source', slot: 'reader' } } });
    expect(await shown()).toMatchObject([{ name: 'reader', orphan: null }]);
    expect(await orphans()).toMatchObject([{ slot: 'reader', state: 'unknown' }]);
  }, 60_000);

  it('stays on record for the creation that made it when the same is asked for again', async () => {
    const places = [
      { server: 'sink', database: DATABASE },
      { server: 'source', database: DATABASE },
    ] as const;
    const first = await api.app.get(LeftSlots, { strict: false }).recordCreation(...places, 'mine', 'twin');
    expect((await overtaken('twin', 'lockstep slot creation')).status).toBe(503);
    await shown();
    expect(await orphans()).toMatchObject([{ id: first, slot: 'twin' }]);
  }, 60_000);

  it('stays on record while another subscription reads from one of that name elsewhere', async () => {
    expect((await create('feed')).status).toBe(201);
    const places = [
      { server: 'sink', database: DATABASE },
      { server: 'other', database: DATABASE },
    ] as const;
    await api.app.get(LeftSlots, { strict: false }).recordCreation(...places, 'second', 'feed');
    await makeSlot(other, 'feed');
    expect(await orphans()).toMatchObject([{ slot: 'feed', state: 'unknown' }]);
  }, 60_000);

  it('is live while a subscription has it whose address is not registered', async () => {
    expect((await create('moved')).status).toBe(201);
    expect((await api.call('DELETE', `${base}/mine?slot=keep`)).status).toBe(200);
    await eventually(async () => (await orphans())[0]?.state === 'orphan', { within: 20_000, every: 50 });
    const { host, port, user, password } = publisher;
    const connection = `host=${host} port=${port} dbname=${DATABASE} user=${user} password=${password} sslmode=disable`;
    const options = { slotName: 'moved', createSlot: false, copyData: false, enabled: false };
    const again = await api.post(base, { name: 'again', connection, publications: ['p'], options });
    expect(again.status).toBe(201);
    expect(await orphans()).toMatchObject([
      { slot: 'moved', state: 'in-use', reason: expect.stringContaining('leads to no registered server') },
    ]);
    expect((await api.get(`${slots}/moved`)).body).toMatchObject({
      orphan: false,
      owner: { name: 'again', live: true },
    });
    expect(await api.call('DELETE', `${slots}/moved`)).toMatchObject({ status: 409, body: { code: 'CONFLICT' } });
  }, 60_000);
});
