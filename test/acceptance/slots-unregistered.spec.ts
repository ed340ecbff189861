import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const ORPHANS = '/v1/orphaned-slots';
const DATABASE = 'slots_unregistered';
const STATE = `${DATABASE}_state`;

describe('the slot of a creation at a publisher that is not registered', () => {
  const pathOn = (server: string) => `/v1/servers/${server}/databases/${DATABASE}/subscriptions`;
  const base = pathOn('sink');
  let publisher: TestServer;
  let subscriber: TestServer;
  let old: TestServer;
  let network: Network;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [publisher, subscriber, old] = await Promise.all([
      TestServer.shared(16),
      TestServer.shared(18),
      TestServer.shared(13),
    ]);
    // By this way it is registered, and not by its own port.
    network = await Network.to(publisher.port);
    for (const server of [publisher, subscriber, old]) {
      await server.freshDatabase(DATABASE);
      await server.run(DATABASE, 'create table t (id int primary key)');
    }
    await publisher.run(DATABASE, 'create publication p for table t');
    api = await ApiUnderTest.start(subscriber, await subscriber.freshDatabase(STATE), {
      imports: [SubscriptionsModule, ReplicationSlotsModule],
    });
    for (const [name, { host, user, password }, port] of [
      ['source', publisher, network.port],
      ['sink', subscriber, subscriber.port],
      ['old', old, old.port],
    ] as const) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
  }, 60_000);

  afterEach(async () => {
    for (const { id } of await orphans()) await api.call('DELETE', `${ORPHANS}/${id}`);
  });

  afterAll(async () => {
    for (const { name } of (await api?.get(base))?.body.items ?? []) await api.call('DELETE', `${base}/${name}`);
    await api?.stop();
    await network?.cut();
    await publisher?.run(
      DATABASE,
      `select pg_catalog.pg_drop_replication_slot(slot_name) from pg_catalog.pg_replication_slots
        where database = pg_catalog.current_database() and not active`,
    );
    for (const server of [publisher, subscriber, old]) {
      await server?.run('postgres', `drop database if exists ${DATABASE} with (force)`).catch(() => {});
      await server?.stop();
    }
  }, 60_000);

  const orphans = async (): Promise<{ id: string; slot: string; state: string }[]> =>
    (await api.get(ORPHANS)).body.items;
  const way = ({ host, user, password }: TestServer, port: number) =>
    `host=${host} port=${port} dbname=${DATABASE} user=${user} password=${password} sslmode=disable`;
  // Several hosts are tried by the subscriber alone.
  const unseen = () => way(publisher, publisher.port).replace(/host=(\S+) port=(\d+)/, 'host=$1,$1 port=$2,$2');
  const ask = (name: string, connection: string, path = base) =>
    api.post(path, { name, connection, publications: ['p'], options: { copyData: false } });

  it('is not said to be left, nor how to drop it, however much later, where it may be another’s', async () => {
    await publisher.run(DATABASE, `select pg_catalog.pg_create_logical_replication_slot('taken', 'pgoutput')`);
    const refused = await ask('taken', unseen());
    expect(refused).toMatchObject({
      status: 409,
      body: {
        // For all that is known here, the publisher may as well have died.
        ...{ code: 'PREREQUISITE_FAILED', retryable: true, sqlstate: '08P01' },
        detail: expect.stringMatching(/already exists.*not known: look before dropping it/),
        hint: expect.stringContaining('createSlot false'),
      },
    });
    expect(refused.body.slotLeft).toBeUndefined();
    expect(await orphans()).toMatchObject([{ slot: 'taken', state: 'unknown', cleanUp: null }]);
    await subscriber.run(STATE, `update lockstep.left_slot set left_at = now() - interval '1 day'`);
    const doubt = { slot: 'taken', state: 'unknown', cleanUp: null, reason: expect.stringContaining('look before') };
    expect(await orphans()).toMatchObject([doubt]);
    // As it were if the server was registered by now.
    await subscriber.run(STATE, `update lockstep.left_slot set port = '${network.port}', host = '${publisher.host}'`);
    expect(await orphans()).toMatchObject([{ ...doubt, publisher: { server: 'source' } }]);
    expect((await api.get('/v1/servers/source/replication-slots/taken')).body).toMatchObject({ orphan: null });
  }, 60_000);

  it.each([
    { slot: 'unheard', made: false },
    { slot: 'unanswered', made: true },
  ])(
    'is not known of a publisher that dies unseen (made: $made): what to do is said, and helps',
    async (scene) => {
      const { slot, made } = scene;
      const way = await Network.to(publisher.port);
      const connection = unseen().replace(/port=\S+/, `port=${way.port},${way.port}`);
      try {
        if (made) way.freezeAfter('CREATE_REPLICATION_SLOT');
        else way.freezeAt('CREATE_REPLICATION_SLOT');
        const asking = ask(slot, connection);
        await eventually(() => way.isFrozen, { within: 20_000, every: 5 });
        const exists = () =>
          publisher.withSession(DATABASE, async (session) => {
            const sql =
              'select from pg_catalog.pg_replication_slots where slot_name = $1 and confirmed_flush_lsn is not null';
            return (await session.rows(sql, [slot])).length === 1;
          });
        if (made) await eventually(exists, { within: 20_000 });
        way.thaw();
        await way.cut();
        const failed = await asking;
        expect(failed).toMatchObject({
          status: 409,
          body: {
            ...{ code: 'PREREQUISITE_FAILED', retryable: true, sqlstate: '08P01' },
            detail: expect.stringContaining('not known: look before dropping it'),
            hint: expect.stringMatching(/Look for the slot.*not there, ask again.*createSlot false/),
          },
        });
        expect(failed.body.slotLeft).toBeUndefined();
        expect(await exists()).toBe(made);

        await way.restore();
        const again = await ask(slot, connection);
        if (made) {
          expect(again).toMatchObject({ status: 409, body: { detail: expect.stringContaining('already exists') } });
          const reading = {
            name: slot,
            connection,
            publications: ['p'],
            options: { copyData: false, createSlot: false },
          };
          expect((await api.post(base, reading)).status).toBe(201);
        } else {
          expect(again.status).toBe(201);
        }
      } finally {
        await api.call('DELETE', `${base}/${slot}`);
        await way.cut();
      }
    },
    60_000,
  );

  it('is forgotten where the publisher is seen to have made none', async () => {
    const poor = await TestServer.start(16, { wal_level: 'replica' });
    try {
      await poor.freshDatabase(DATABASE);
      await poor.run(DATABASE, 'create table t (id int primary key); create publication p for table t');
      const refused = await ask('none_made', way(poor, poor.port));
      expect(refused).toMatchObject({ status: 409, body: { code: 'PREREQUISITE_FAILED', retryable: false } });
      expect(refused.body.detail).not.toContain('slot none_made');
      expect(refused.body.slotLeft).toBeUndefined();
      expect(await orphans()).toEqual([]);
    } finally {
      await poor.stop();
    }
  }, 60_000);

  it('is not recorded by an old subscriber whose login was refused', async () => {
    for (const connection of [way(publisher, publisher.port), unseen()]) {
      const refused = await ask('wrong', connection.replace(/password=\S+/, 'password=planted'), pathOn('old'));
      expect(refused).toMatchObject({ status: 400, body: { errors: [{ pointer: '#/connection' }] } });
      expect(refused.body.slotLeft).toBeUndefined();
      expect(refused.text).not.toContain('planted');
      expect(await orphans()).toEqual([]);
    }
  }, 60_000);

  it('is made where the publisher is older than what Lockstep manages', async () => {
    const ancient = await Network.to(publisher.port);
    const version = await publisher.withSession(DATABASE, (session) => Promise.resolve(session.versionNum));
    ancient.pretend(String(version), '120022');
    try {
      expect((await ask('ancient', way(publisher, ancient.port))).status).toBe(201);
      expect(await orphans()).toEqual([]);
      const connection = way(publisher, publisher.port);
      expect((await api.call('PATCH', `${base}/ancient`, { connection, force: true })).status).toBe(200);
      expect((await api.call('DELETE', `${base}/ancient`)).status).toBe(200);
    } finally {
      await ancient.cut();
    }
  }, 60_000);
});
