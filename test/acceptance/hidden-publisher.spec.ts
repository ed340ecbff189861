import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import type { SubscriptionView } from '../../src/subscriptions/subscription-view.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const DATABASE = 'hidden_publisher';
const LOGIN = 'hidden_login';
const READER = 'hidden_reader';
const GRANT = `grant select (subconninfo) on pg_catalog.pg_subscription to "${LOGIN}";`;

/** Managed services give no login that may read subconninfo; rotating the publisher's password is of their routine. */
describe('a subscription whose connection string the login may not read', () => {
  const base = `/v1/servers/sink/databases/${DATABASE}/subscriptions`;
  let publisher: TestServer;
  let subscriber: TestServer;
  let network: Network;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [publisher, subscriber] = await Promise.all([TestServer.shared(16), TestServer.shared(18)]);
    network = await Network.to(publisher.port);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(DATABASE);
      for (const role of [LOGIN, READER]) await server.run('postgres', `drop role if exists ${role}`);
      await server.run(DATABASE, 'create table t (id int primary key)');
    }
    await publisher.run(
      DATABASE,
      `create publication p for table t;
       create role ${READER} login replication password 'old-secret';
       grant pg_monitor to ${READER};
       grant select on t to ${READER}`,
    );
    await subscriber.run(
      DATABASE,
      `create role ${LOGIN} login password 'of-the-login' in role pg_create_subscription;
       alter table t owner to ${LOGIN};
       grant create on database ${DATABASE} to ${LOGIN};
       grant select on pg_catalog.pg_replication_origin_status to ${LOGIN};
       grant execute on function pg_catalog.pg_show_replication_origin_status() to ${LOGIN}`,
    );
    api = await ApiUnderTest.start(subscriber, await subscriber.freshDatabase(`${DATABASE}_state`), {
      imports: [SubscriptionsModule],
    });
    const { host, port, user, password } = publisher;
    const source = { name: 'source', host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
    const sink = {
      ...source,
      name: 'sink',
      port: subscriber.port,
      user: LOGIN,
      password: 'of-the-login',
      database: DATABASE,
    };
    for (const body of [source, sink]) expect((await api.post('/v1/servers', body)).status).toBe(201);
  }, 60_000);

  beforeEach(async () => {
    await publisher.run('postgres', `alter role ${READER} password 'old-secret'`);
  });

  afterAll(async () => {
    for (const name of ['rotated', 'late', 'past']) await api?.call('DELETE', `${base}/${name}?slot=keep`);
    await api?.stop();
    await network?.cut();
    await publisher?.run(
      DATABASE,
      `select pg_catalog.pg_drop_replication_slot(slot_name) from pg_catalog.pg_replication_slots
        where database = pg_catalog.current_database() and not active`,
    );
    for (const server of [publisher, subscriber]) {
      await server?.run('postgres', `drop database if exists ${DATABASE} with (force)`).catch(() => {});
      for (const role of [LOGIN, READER]) await server?.run('postgres', `drop role if exists ${role}`).catch(() => {});
      await server?.stop();
    }
  }, 60_000);

  const connection = (secret: string, port = publisher.port) =>
    `host=${publisher.host} port=${port} user=${READER} password=${secret} dbname=${DATABASE} sslmode=disable`;
  const patch = (name: string, body: object, query = '') => api.call('PATCH', `${base}/${name}${query}`, body);
  const get = async (name: string) => (await api.get(`${base}/${name}`)).body as SubscriptionView;
  const subscribe = async (name: string) => {
    const body = { name, connection: connection('old-secret'), publications: ['p'] };
    expect((await api.post(base, { ...body, options: { copyData: false } })).status).toBe(201);
    expect(await get(name)).toMatchObject({ connection: null, publisher: null });
  };
  const insert = async (id: number) => {
    await publisher.run(DATABASE, `insert into t values (${id})`);
    await eventually(
      () =>
        subscriber.withSession(DATABASE, async (session) => {
          return (await session.rows(`select from public.t where id = ${id}`)).length === 1;
        }),
      { within: 20_000, every: 50 },
    );
  };

  it('takes a new password without a question while its worker reads from the slot', async () => {
    await subscribe('rotated');
    await insert(1);
    for (const body of [
      { connection: connection('new-secret') },
      // No registered server: it is asked by the string.
      { connection: connection('old-secret', network.port) },
      { publisher: { server: 'source', database: DATABASE } },
    ]) {
      const answer = await eventually(
        async () => {
          const tried = await patch('rotated', body, '?dryRun=true');
          return tried.status === 200 ? tried : Promise.reject(new Error(tried.text));
        },
        { within: 10_000 },
      );
      expect(answer.body.warnings).toEqual([]);
      expect(answer.text).not.toContain('secret');
    }
    const rotated = await patch('rotated', { connection: connection('old-secret') });
    expect(rotated).toMatchObject({ status: 200, body: { warnings: [], tables: [{ needsVerification: null }] } });
    expect((await api.get('/v1/orphaned-slots')).body.items).toEqual([]);
    expect((await api.call('DELETE', `${base}/rotated`)).status).toBe(200);
  }, 60_000);

  it('takes it with a warning where the slot goes on, once the old one ended its worker', async () => {
    await subscribe('late');
    await insert(2);
    expect((await api.post(`${base}/late/disable`)).status).toBe(200);
    await publisher.run('postgres', `alter role ${READER} password 'new-secret'`);
    // As if the last that came was a change, of this subscription.
    const { lsn } = await publisher.withSession(DATABASE, (session) =>
      session.row<{ lsn: string }>('select pg_catalog.pg_current_wal_flush_lsn()::text as lsn'),
    );
    const { oid } = await get('late');
    await subscriber.run(DATABASE, `select pg_catalog.pg_replication_origin_advance('pg_${oid}', '${lsn}')`);
    const taken = await patch('late', { connection: connection('new-secret') });
    expect(taken).toMatchObject({
      status: 200,
      body: {
        warnings: [
          { rule: 'former-slot-stays', detail: expect.stringContaining('if that is another') },
          { rule: 'same-publisher', option: null, detail: expect.stringContaining(GRANT) },
        ],
        tables: [{ needsVerification: null }],
      },
    });
    expect(taken.text).not.toContain('secret');
    expect((await api.get('/v1/orphaned-slots')).body.items).toEqual([]);
    expect((await api.post(`${base}/late/enable`)).status).toBe(200);
    await insert(3);
    expect((await api.call('DELETE', `${base}/late`)).status).toBe(200);
  }, 60_000);

  it('is refused what nothing proves, with the GRANT that would', async () => {
    await subscribe('past');
    await insert(4);
    expect((await api.post(`${base}/past/disable`)).status).toBe(200);
    for (const sql of [
      `select pg_catalog.pg_drop_replication_slot('past')`,
      'insert into t values (5)',
      `select pg_catalog.pg_create_logical_replication_slot('past', 'pgoutput')`,
    ]) {
      await publisher.run(DATABASE, sql);
    }
    for (const body of [
      { connection: connection('old-secret') },
      { publisher: { server: 'source', database: DATABASE } },
    ]) {
      const refused = await patch('past', body);
      expect(refused).toMatchObject({
        status: 409,
        body: {
          rule: 'slot-goes-on',
          detail: expect.stringContaining('whether it is the same publisher is not known'),
          hint: expect.stringContaining(GRANT),
        },
      });
      expect(refused.text).not.toContain('secret');
    }
    const forced = await patch('past', { connection: connection('old-secret'), force: true });
    expect(forced).toMatchObject({
      status: 200,
      body: {
        warnings: [{ rule: 'former-slot-stays' }, { rule: 'slot-goes-on' }],
        tables: [{ needsVerification: { reason: expect.stringContaining('past') } }],
      },
    });
  }, 60_000);
});
