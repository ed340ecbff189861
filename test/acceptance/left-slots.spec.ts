import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const ORPHANS = '/v1/orphaned-slots';
const DATABASE = 'left_slots';

interface Orphan {
  slot: string;
  state: string;
  reason: string | null;
  cleanUp: { path: string };
}

describe('slots that were left behind, looked for at an address', () => {
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
      await server.run(DATABASE, 'create table t (id int primary key); create table u (id int primary key)');
    }
    await publisher.run(DATABASE, 'create publication p for table t; create publication q for table u');
    api = await ApiUnderTest.start(subscriber, await subscriber.freshDatabase(`${DATABASE}_state`), {
      imports: [PublicationsModule, SubscriptionsModule, ReplicationSlotsModule],
    });
    for (const [server, { host, user, password }, port] of [
      ['source', publisher, network.port],
      ['sink', subscriber, subscriber.port],
    ] as const) {
      const body = { name: server, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
  }, 60_000);

  afterAll(async () => {
    for (const { cleanUp } of await orphans().catch(() => [])) await api.call('DELETE', cleanUp.path).catch(() => {});
    await api?.stop();
    await network?.cut();
    for (const server of [publisher, other, subscriber]) {
      await server?.run('postgres', `drop database if exists ${DATABASE} with (force)`).catch(() => {});
      await server?.stop();
    }
  }, 60_000);

  const orphans = async (): Promise<Orphan[]> => (await api.get(ORPHANS)).body.items;
  const subscribe = async (name: string, publications: string[], options: object = {}) => {
    const body = { name, publisher: { server: 'source', database: DATABASE }, publications };
    const created = await api.post(base, { ...body, options: { copyData: false, slotName: name, ...options } });
    expect(created.status).toBe(201);
  };
  const inState = (state: string, count: number) =>
    eventually(
      async () => {
        const found = await orphans();
        if (found.length === count && found.every((each) => each.state === state)) return found;
        throw new Error(JSON.stringify(found));
      },
      { within: 30_000, every: 100 },
    );

  it('is asked once for all of them', async () => {
    const names = ['left_a', 'left_b', 'left_c', 'left_d'];
    for (const name of names) {
      await subscribe(name, ['p']);
      expect((await api.call('DELETE', `${base}/${name}?slot=keep`)).status).toBe(200);
    }
    await inState('orphan', names.length);
    const asked = network.count('pg_control_system');
    expect(await orphans()).toHaveLength(names.length);
    expect(asked()).toBe(1);
  }, 60_000);

  it('is not believed about them when it leads to another cluster', async () => {
    await network.cut();
    network.leadTo(other.port);
    await network.restore();
    await inState('unknown', 4);
    for (const { reason } of await orphans()) expect(reason).toContain('may be another server');
    expect((await api.get(slots)).status).toBe(200);
    expect(await orphans()).toHaveLength(4);
    await network.cut();
    network.leadTo(publisher.port);
    await network.restore();
    for (const { cleanUp } of await inState('orphan', 4)) {
      expect((await api.call('DELETE', cleanUp.path)).status).toBe(204);
    }
    expect(await orphans()).toEqual([]);
  }, 90_000);

  it('is not believed that a slot is gone when it leads to another cluster', async () => {
    await subscribe('left_moved', ['p']);
    await network.cut();
    network.leadTo(other.port);
    await network.restore();
    const refused = await api.call('DELETE', `${base}/left_moved`);
    expect(refused).toMatchObject({ status: 409, body: { code: 'CONFLICT', retryWith: '?slot=keep' } });
    const dropped = await api.call('DELETE', `${base}/left_moved?slot=keep`);
    expect(dropped).toMatchObject({ status: 200, body: { slotLeft: { name: 'left_moved' } } });
    await inState('unknown', 1);
    await network.cut();
    network.leadTo(publisher.port);
    await network.restore();
    const [orphan] = await inState('orphan', 1);
    expect((await api.call('DELETE', orphan!.cleanUp.path)).status).toBe(204);
    expect(await orphans()).toEqual([]);
  }, 90_000);

  it('is recorded once when two drop the subscription at once', async () => {
    await subscribe('twice', ['p']);
    const path = `${base}/twice?slot=keep`;
    const answers = await Promise.all([api.call('DELETE', path), api.call('DELETE', path), api.call('DELETE', path)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 404, 404]);
    expect(await inState('orphan', 1)).toMatchObject([{ slot: 'twice' }]);
    await subscribe('thrice', ['p']);
    const both = await Promise.all(['keep', 'drop'].map((slot) => api.call('DELETE', `${base}/thrice?slot=${slot}`)));
    expect(both.map(({ status }) => status).sort()).toEqual([200, 404]);
    // Whoever came first decides; nobody forgets what stays.
    const stays = (await api.get(`${slots}/thrice`)).status === 200;
    expect((await orphans()).map(({ slot }) => slot).sort()).toEqual(stays ? ['thrice', 'twice'] : ['twice']);
    for (const { cleanUp } of await inState('orphan', stays ? 2 : 1)) await api.call('DELETE', cleanUp.path);
  }, 60_000);

  it('is asked for sizes once for all subscriptions that copy, and not longer than a lock may take', async () => {
    await subscriber.run(DATABASE, 'insert into t values (1); insert into u values (1)');
    await publisher.run(DATABASE, 'insert into t values (1); insert into u values (1); analyze t; analyze u');
    await subscribe('copy_t', ['p'], { copyData: true });
    await subscribe('copy_u', ['q'], { copyData: true });
    const items = async () =>
      (await api.get(base)).body.items as {
        name: string;
        copyProgress: { totalBytes: number | null; reason: string } | null;
      }[];
    await eventually(async () => (await items()).every(({ copyProgress }) => (copyProgress?.totalBytes ?? 0) > 0), {
      within: 20_000,
    });
    const asked = network.count('pg_catalog.pg_table_size');
    await items();
    expect(asked()).toBeLessThanOrEqual(2);
    const { sessions } = await publisher.withSession(DATABASE, (session) =>
      session.row<{ sessions: number }>(
        `select count(*)::int as sessions from pg_catalog.pg_stat_activity
          where datname = pg_catalog.current_database() and application_name = 'lockstep'`,
      ),
    );
    expect(sessions).toBe(1);
    await publisher.withSession(DATABASE, async (session) => {
      await session.execute('begin; lock table public.t in access exclusive mode');
      const begin = Date.now();
      const [copying] = await items();
      expect(Date.now() - begin).toBeLessThan(15_000);
      expect(copying!.copyProgress).toMatchObject({
        totalBytes: null,
        reason: expect.stringContaining('lock timeout'),
      });
      await session.execute('rollback');
    });
    for (const name of ['copy_t', 'copy_u']) expect((await api.call('DELETE', `${base}/${name}`)).status).toBe(200);
  }, 90_000);
});
