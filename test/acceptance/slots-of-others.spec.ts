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
    // Without copies, which have slots of their own for a while.
    return api.post(`${base}${query}`, { ...body, options: { slotName, copyData: false } });
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

  it('stays on record while the subscription of that name reads from one of that name elsewhere', async () => {
    const places = [
      { server: 'sink', database: DATABASE },
      { server: 'source', database: DATABASE },
    ] as const;
    await api.app.get(LeftSlots, { strict: false }).recordCreation(...places, 'mine', 'feed');
    await makeSlot(publisher, 'feed');
    const body = { name: 'mine', publisher: { server: 'other', database: DATABASE }, publications: ['p'] };
    expect((await api.post(base, { ...body, options: { slotName: 'feed' } })).status).toBe(201);
    expect(await orphans()).toMatchObject([{ slot: 'feed', state: 'unknown' }]);
  }, 60_000);

  it('goes where a subscription of that name to another publisher was first', async () => {
    await publisher.withSession(DATABASE, async (session) => {
      await session.execute('begin; insert into public.t values (1)');
      const creating = create('feed');
      // The creation of the slot waits for the transaction.
      await eventually(async () => (await orphans()).length === 1, { within: 20_000, every: 50 });
      await eventually(
        () =>
          publisher.withSession(DATABASE, async (other) => {
            const waits = `select 1 from pg_catalog.pg_stat_activity where query ~ 'create_logical' and wait_event_type = 'Lock'`;
            return (await other.rows(waits)).length > 0;
          }),
        { within: 20_000, every: 50 },
      );
      const body = { name: 'mine', publisher: { server: 'other', database: DATABASE }, publications: ['p'] };
      expect((await api.post(base, { ...body, options: { slotName: 'feed' } })).status).toBe(201);
      await session.execute('rollback');
      expect(await creating).toMatchObject({ status: 409, body: { code: 'ALREADY_EXISTS' } });
    });
    expect(await shown()).toEqual([]);
    expect(await orphans()).toEqual([]);
  }, 60_000);

  describe('that another subscription lives on', () => {
    const DELETES = [`${base}/mine`, `${base}/mine?dryRun=true`];
    const connection = ({ host, port, user, password }: TestServer) =>
      `host=${host} port=${port} dbname=${DATABASE} user=${user} password=${password} sslmode=disable`;
    const refused = async (detail: RegExp, rest: object) => {
      for (const path of DELETES) {
        expect(await api.call('DELETE', path)).toMatchObject({
          status: 409,
          body: {
            ...{ code: 'CONFLICT', rule: 'slot-is-shared', retryWith: '?slot=keep', ...rest },
            ...{ detail: expect.stringMatching(detail), hint: expect.stringContaining('?slot=keep') },
          },
        });
      }
      expect((await api.get(`${slots}/feed`)).status).toBe(200);
    };

    it('stays when the other is dropped, disabled as its owner is', async () => {
      expect((await create('feed')).status).toBe(201);
      expect((await api.post(`${base}/mine/disable`)).status).toBe(200);
      const others = `/v1/servers/other/databases/${DATABASE}/subscriptions`;
      const options = { slotName: 'feed', createSlot: false, copyData: false, enabled: false };
      const publications = ['p'];
      const twin = { name: 'twin', publisher: { server: 'source', database: DATABASE }, publications, options };
      expect((await api.post(others, twin)).status).toBe(201);
      await refused(/subscription "twin" of database .* on other/, { sharers: [expect.stringContaining('on other')] });
      expect((await api.call('DELETE', `${base}/mine?slot=keep`)).status).toBe(200);
      expect(await orphans()).toMatchObject([{ slot: 'feed', state: 'in-use' }]);
      expect((await api.call('DELETE', `${others}/twin`)).status).toBe(200);
      expect(await orphans()).toEqual([]);
    }, 60_000);

    it('stays when a stranger streams from it', async () => {
      expect((await create('feed')).status).toBe(201);
      expect((await api.post(`${base}/mine/disable`)).status).toBe(200);
      await other.run(
        DATABASE,
        `create subscription stranger connection '${connection(publisher)}' publication p
           with (slot_name = feed, create_slot = false, copy_data = false)`,
      );
      const { host, port, user, password } = other;
      const registered = { name: 'other', host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.call('DELETE', '/v1/servers/other')).status).toBe(204);
      try {
        await eventually(async () => (await api.get(`${slots}/feed`)).body.active, { within: 20_000 });
        await refused(/in use by process \d+/, {});
      } finally {
        await other.run(DATABASE, 'alter subscription stranger disable');
        await other.run(DATABASE, 'alter subscription stranger set (slot_name = none)');
        await other.run(DATABASE, 'drop subscription stranger');
        expect((await api.post('/v1/servers', registered)).status).toBe(201);
      }
      await eventually(async () => !(await api.get(`${slots}/feed`)).body.active, { within: 20_000 });
      expect((await api.call('DELETE', `${base}/mine`)).status).toBe(200);
    }, 60_000);

    it('stays when a copy of the subscriber does not answer, and goes when that is the subscriber itself', async () => {
      expect((await create('feed')).status).toBe(201);
      const way = await Network.to(subscriber.port);
      const { host, user, password } = subscriber;
      const body = {
        name: 'copy',
        host,
        port: way.port,
        user,
        password,
        database: 'postgres',
        tls: { mode: 'disable' },
      };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
      try {
        await way.cut();
        await refused(/of the same cluster as sink: copy did not answer/, { unanswered: ['copy'] });
        await way.restore();
        await eventually(async () => (await api.get(`/v1/servers/copy/databases`)).status === 200, { within: 20_000 });
        expect((await api.call('DELETE', `${base}/mine`)).status).toBe(200);
        expect((await api.get(`${slots}/feed`)).status).toBe(404);
      } finally {
        await way.cut();
        expect((await api.call('DELETE', '/v1/servers/copy')).status).toBe(204);
      }
    }, 60_000);
  });

  it('is on record before a publisher that is not registered is asked for it', async () => {
    const { host, port, user, password } = publisher;
    const connection = `host=${host} port=${port} dbname=${DATABASE} user=${user} password=${password} sslmode=disable`;
    const body = { connection, publications: ['p'], options: { copyData: false } };
    const blocker = await publisher.open(DATABASE);
    await blocker.execute('begin; select pg_catalog.txid_current()');
    const creating = api.post(base, { ...body, name: 'raw_slot' });
    // Whoever dies now leaves it.
    const recorded = await eventually(
      async () => {
        const answer = await api.get(ORPHANS);
        return answer.body.items.length > 0 ? answer : null;
      },
      { within: 10_000, every: 50 },
    );
    expect(recorded.body.items).toMatchObject([
      {
        ...{ slot: 'raw_slot', state: 'unknown', reason: expect.stringContaining('may be being created') },
        publisher: { server: null, host, port: String(port), database: DATABASE },
        subscriber: { server: 'sink', database: DATABASE, subscription: 'raw_slot' },
      },
    ]);
    expect(recorded.text).not.toContain('password');
    await blocker.execute('rollback');
    expect((await creating).status).toBe(201);
    expect(await orphans()).toEqual([]);
    // What was refused before it came to the slot leaves nothing, and of what ran out of time it is not known.
    for (const wrong of [{ connection: connection.replace(/port=\d+/, 'port=1') }, { name: 'raw_slot' }]) {
      expect((await api.post(base, { ...body, name: 'raw_other', ...wrong })).status).toBeGreaterThanOrEqual(400);
      expect(await orphans()).toEqual([]);
    }
    await blocker.execute('begin; select pg_catalog.txid_current()');
    const late = await api.post(base, { ...body, name: 'raw_late', slotDeadlineMs: 600 });
    expect(late).toMatchObject({ status: 504, body: { slotLeft: { server: null, slot: 'raw_late' } } });
    await blocker.close();
    expect(await orphans()).toMatchObject([{ slot: 'raw_late', state: 'unknown' }]);
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
