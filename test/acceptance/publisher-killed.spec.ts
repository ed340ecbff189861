import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';
import { type Answer, ApiUnderTest } from './security-app.js';

const ORPHANS = '/v1/orphaned-slots';
const SLOT = 'killed_slot';

interface Scene {
  what: string;
  act: 'create' | 'refresh' | 'drop';
  /** What the publisher hears last, done or not, before it dies. */
  at: { freezeAt: string } | { freezeAfter: string };
  raw?: boolean;
  /** Whether the publisher has the subscription's slot afterwards. */
  slot: boolean;
  answers?: number;
}

/** As the subscriber asks for the tables of its publications; we ask in lower case. */
const TABLES_ASKED = 'SELECT DISTINCT';
const SCENES: Scene[] = [
  {
    ...{ what: 'created, before its slot is', act: 'create', slot: false },
    at: { freezeAt: 'pg_create_logical_replication_slot' },
  },
  {
    ...{ what: 'created, its slot just made', act: 'create', slot: true },
    at: { freezeAfter: 'pg_create_logical_replication_slot' },
  },
  { what: 'created, after its slot', act: 'create', slot: true, at: { freezeAt: TABLES_ASKED } },
  {
    what: 'created by itself, before its slot is',
    act: 'create',
    slot: false,
    at: { freezeAt: TABLES_ASKED },
    raw: true,
  },
  {
    ...{ what: 'created by itself, its slot just made', act: 'create', slot: true },
    ...{ at: { freezeAfter: 'CREATE_REPLICATION_SLOT' }, raw: true },
  },
  { what: 'refreshed, before its tables are told', act: 'refresh', slot: true, at: { freezeAt: TABLES_ASKED } },
  {
    ...{ what: 'refreshed, its new table about to be copied', act: 'refresh', slot: true, answers: 200 },
    at: { freezeAt: 'COPY ' },
  },
  { what: 'dropped, before its slot is', act: 'drop', slot: true, at: { freezeAt: 'DROP_REPLICATION_SLOT' } },
  { what: 'dropped, its slot just gone', act: 'drop', slot: false, at: { freezeAfter: 'DROP_REPLICATION_SLOT' } },
];

describe.each([
  [14, 18],
  [18, 13],
  [17, 15],
])('a publisher that is killed, %i -> %i', (from, to) => {
  const database = `killed_${from}_${to}`;
  const base = `/v1/servers/sink/databases/${database}/subscriptions`;
  const path = `${base}/mine`;
  const slots = '/v1/servers/source/replication-slots';
  let publisher: TestServer;
  let subscriber: TestServer;
  let network: Network;
  let api: ApiUnderTest;

  beforeAll(async () => {
    const own = { wal_sender_timeout: '3s' };
    [publisher, subscriber] = await Promise.all([TestServer.start(from, own), TestServer.shared(to)]);
    network = await Network.to(publisher.port);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, 'create table t (id int primary key); create table u (id int primary key)');
    }
    await publisher.run(database, 'create publication p for table t; create publication q for table u');
    const state = await TestServer.shared(18);
    api = await ApiUnderTest.start(state, await state.freshDatabase(`${database}_state`), {
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
    network?.thaw();
    await api?.call('DELETE', `${path}?slot=keep`).catch(() => {});
    await api?.stop();
    await network?.cut();
    for (const server of [publisher, subscriber]) await server?.stop();
  }, 60_000);

  const create = (raw: boolean): Promise<Answer> => {
    const { host, user, password } = publisher;
    const connection = `host=${host} port=${network.port} dbname=${database} user=${user} password=${password} sslmode=disable`;
    const target = raw ? { connection } : { publisher: { server: 'source', database } };
    return api.post(base, { name: 'mine', ...target, publications: ['p'], options: { slotName: SLOT } });
  };
  const streaming = () =>
    eventually(
      async () => {
        const { body } = await api.get(path);
        if (body.state !== 'streaming') throw new Error(JSON.stringify(body));
        return body;
      },
      { within: 30_000, every: 50 },
    );
  /** Slots that are made and, unless asked otherwise, not in use. */
  const finishedSlots = ({ active = false } = {}) =>
    publisher.withSession('postgres', async (session) =>
      (
        await session.rows<{ name: string }>(
          `select slot_name::text as name from pg_catalog.pg_replication_slots
            where confirmed_flush_lsn is not null and (not active or $1) order by 1`,
          [active],
        )
      ).map(({ name }) => name),
    );
  const act = (scene: Scene): Promise<Answer> => {
    if (scene.act === 'create') return create(scene.raw ?? false);
    if (scene.act === 'refresh') return api.post(`${path}/refresh`);
    return api.call('DELETE', path);
  };

  it.each(SCENES)(
    'while a subscription is $what: what is left is shown, and cleaned up by the API',
    async (scene) => {
      if (scene.act !== 'create') {
        expect((await create(false)).status).toBe(201);
        await streaming();
      }
      if (scene.act === 'refresh') {
        // Not forgotten in its crash.
        await publisher.run(database, 'set synchronous_commit = on; alter publication p add table u');
      }
      if ('freezeAt' in scene.at) network.freezeAt(scene.at.freezeAt);
      else network.freezeAfter(scene.at.freezeAfter);
      const acting = act(scene);
      await eventually(() => network.isFrozen, { within: 20_000, every: 5 });
      // What it heard last is done.
      if ('freezeAfter' in scene.at) {
        await eventually(async () => (await finishedSlots()).includes(SLOT) === scene.slot, {
          within: 20_000,
          every: 5,
        });
      }
      await publisher.crash();
      network.thaw();
      await network.cut();
      const answer = await acting;
      expect(answer.status).not.toBe(500);
      if (scene.answers !== undefined) expect(answer.status).toBe(scene.answers);
      else expect(answer.status).toBeGreaterThanOrEqual(400);

      // Whatever is left of it is shown before anybody repairs anything, by the subscriber alone.
      const subscribed = (await api.get(path)).status === 200;
      const recorded = (await api.get(ORPHANS)).body.items as { slot: string }[];
      const oids = await subscriber.withSession(database, async (session) =>
        (
          await session.rows<{ oid: string }>(
            `select s.oid::text as oid from pg_catalog.pg_subscription s
               join pg_catalog.pg_database d on d.oid = s.subdbid and d.datname = pg_catalog.current_database()`,
          )
        ).map(({ oid }) => oid),
      );
      expect(subscribed).toBe(scene.act !== 'create');
      expect(oids).toHaveLength(subscribed ? 1 : 0);
      await publisher.restart();
      await network.restore();
      // Those of tables that were being copied are the subscriber's, and it is still there.
      // Its worker may have come back to it already.
      const there = (await finishedSlots({ active: true })).filter((name) => !/^pg_\d+_sync_/.test(name));
      expect(there).toEqual(scene.slot ? [SLOT] : []);
      if (scene.act === 'create') {
        // Also where there is none: nobody could know.
        expect(recorded).toEqual([expect.objectContaining({ slot: SLOT })]);
        expect(answer.body).toMatchObject({ slotLeft: { server: 'source', slot: SLOT } });
        expect(answer.body.detail).toContain(`the slot ${SLOT} may be left behind on source`);
        // That would be a publisher that had answered.
        expect(answer.body.code).not.toBe('PREREQUISITE_FAILED');
      } else {
        expect(recorded).toEqual([]);
      }

      await eventually(async () => (await api.get(slots)).status === 200, { within: 30_000, every: 100 });
      if (scene.act === 'refresh') {
        // What it was to take up is not half taken up: it is not there, and the same request takes it up.
        const { tables } = (await api.get(path)).body as { tables: { name: string }[] };
        expect(tables.map(({ name }) => name)).toEqual(answer.status === 200 ? ['t', 'u'] : ['t']);
        if (answer.status !== 200) {
          await eventually(async () => (await api.post(`${path}/refresh`)).status === 200, {
            within: 30_000,
            every: 200,
          });
        }
        const copied = [
          { name: 't', state: 'ready' },
          { name: 'u', state: 'ready' },
        ];
        await eventually(async () => expect((await api.get(path)).body.tables).toMatchObject(copied) ?? true, {
          within: 30_000,
        });
        await publisher.run(database, 'alter publication p drop table u');
      }

      // By the API alone everything goes.
      if (subscribed) {
        await eventually(
          async () => {
            const dropped = await api.call('DELETE', path);
            if (dropped.status === 409 && dropped.body.retryWith === '?slot=keep') {
              const kept = await api.call('DELETE', `${path}?slot=keep`);
              if (kept.status === 200) return true;
            }
            if (dropped.status === 200) return true;
            throw new Error(dropped.text);
          },
          { within: 30_000, every: 200 },
        );
      }
      await eventually(
        async () => {
          const { items } = (await api.get(ORPHANS)).body as { items: { cleanUp: { path: string } }[] };
          for (const { cleanUp } of items) await api.call('DELETE', cleanUp.path);
          const rest = (await api.get(slots)).body.items as { name: string }[];
          if (items.length > 0 || rest.length > 0) throw new Error(JSON.stringify([items, rest]));
          return true;
        },
        { within: 30_000, every: 200 },
      );
      const origins = await subscriber.withSession(database, (session) =>
        session.rows(
          `select s.subname::text as left from pg_catalog.pg_subscription s where s.oid = any ($1::oid[])
         union all
         select o.roname from pg_catalog.pg_replication_origin o, pg_catalog.unnest($1::oid[]) as mine (oid)
          where o.roname = 'pg_' || mine.oid or o.roname like 'pg\\_' || mine.oid || '\\_%'`,
          [oids],
        ),
      );
      expect(origins).toEqual([]);
    },
    120_000,
  );
});
