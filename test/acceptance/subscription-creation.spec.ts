import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { OWNER_LOGIN } from '../support/owner-login.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

describe.each([
  [18, 14],
  [15, 18],
  [17, 16],
])('what a subscription needs is looked at before anything is made: %i -> %i', (from, to) => {
  const database = `creation_${from}_${to}`;
  let state: TestServer;
  let publisher: TestServer;
  let subscriber: TestServer;
  let api: ApiUnderTest;
  const path = `/v1/servers/sink/databases/${database}/subscriptions`;
  const request = {
    ...{ name: database, publisher: { server: 'source', database } },
    publications: ['filtered', 'plain'],
  };

  beforeAll(async () => {
    state = await TestServer.shared(18);
    publisher = await TestServer.shared(from);
    subscriber = await TestServer.shared(to);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, 'create table orders (id int primary key)');
    }
    await publisher.run(
      database,
      `create table late (id int primary key);
       create table later (id int primary key);
       insert into orders select generate_series(1, 10);
       create publication filtered for table orders where (id > 5);
       create publication plain for table late, later`,
    );
    api = await ApiUnderTest.start(state, await state.freshDatabase(`creation_state_${from}`), {
      imports: [PublicationsModule, SubscriptionsModule],
    });
    for (const [name, server] of Object.entries({ source: publisher, sink: subscriber })) {
      const { host, port, user, password } = server;
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
  });

  afterAll(async () => {
    await api?.call('DELETE', `${path}/${database}`);
    await api?.stop();
    for (const server of [state, publisher, subscriber]) await server?.stop();
  });

  const slots = () =>
    publisher.withSession(database, (session) =>
      session.rows(`select slot_name from pg_replication_slots where slot_name = $1`, [database]),
    );

  it('refuses tables that the subscriber lacks, in a dry run too, and makes no slot', async () => {
    for (const query of ['?dryRun=true', '']) {
      expect(await api.post(`${path}${query}`, request)).toMatchObject({
        status: 409,
        body: {
          ...{ code: 'PREREQUISITE_FAILED', rule: 'tables-exist', hint: 'Create the tables first.' },
          detail: 'the subscriber has no table "public"."late" and 1 more that are published',
          absent: [
            { schema: 'public', name: 'late' },
            { schema: 'public', name: 'later' },
          ],
        },
      });
    }
    expect(await slots()).toEqual([]);
  });

  it('says the same of a publisher that only the subscriber asks, and of tables taken up later', async () => {
    const { host, port, user, password } = publisher;
    const connection = `host=${host} port=${port} dbname=${database} user=${user} password=${password}`;
    const { publisher: _registered, ...rest } = request;
    const absent = { code: 'PREREQUISITE_FAILED', rule: 'tables-exist', detail: expect.stringContaining('late') };
    expect(await api.post(path, { ...rest, connection })).toMatchObject({ status: 409, body: absent });
    const created = await api.post(path, { ...request, publications: ['filtered'] });
    expect(created.status).toBe(201);
    const added = await api.call('PATCH', `${path}/${database}`, { addPublications: ['plain'] });
    expect(added).toMatchObject({ status: 409, body: absent });
    await api.call('DELETE', `${path}/${database}`);
    expect(await slots()).toEqual([]);
  });

  it('says that the publisher refused the login of a connection string, whether or not it is reached from here', async () => {
    const { host, port, user } = publisher;
    const { publisher: _registered, ...rest } = request;
    // Several hosts are tried by the subscriber alone.
    const addresses = [`host=${host} port=${port}`, `host=${host},${host} port=${port},${port}`];
    for (const [tried, address] of addresses.entries()) {
      const connection = `${address} dbname=${database} user=${user} sslmode=disable password=planted-and-wrong`;
      const refused = await api.post(path, { ...rest, connection });
      expect(refused).toMatchObject({
        status: 400,
        body: {
          ...{ code: 'INVALID_INPUT', retryable: false },
          ...(tried === 0 ? { sqlstate: '28P01' } : {}),
          errors: [{ pointer: '#/connection', detail: expect.stringContaining('login') }],
          detail: expect.stringContaining(`password authentication failed for user "${user}"`),
          hint: expect.stringContaining('pg_hba.conf'),
        },
      });
      expect(refused.text).not.toContain('planted-and-wrong');
      const none = await api.post(path, { ...rest, connection: connection.replace(/ password=.*/, '') });
      // Where the login is no superuser the subscriber does not even try.
      const status = OWNER_LOGIN === null ? 400 : 409;
      expect(none).toMatchObject({ status, body: { errors: [{ pointer: '#/connection' }], hint: expect.any(String) } });
    }
    const nobody = `host=${host} port=1 dbname=${database} user=${user} sslmode=disable password=any`;
    expect((await api.post(path, { ...rest, connection: nobody })).status).toBeGreaterThanOrEqual(500);
    expect(await slots()).toEqual([]);
  }, 60_000);

  it('warns of rows outside a filter that are copied all the same', async () => {
    await subscriber.run(database, 'truncate orders; create table late (id int primary key); create table later ()');
    const heeds = to >= 15;
    const warnings = heeds
      ? []
      : [
          {
            rule: 'copy-heeds-filters',
            option: 'copyData',
            detail: expect.stringContaining('"public"."orders" is copied'),
          },
        ];
    const planned = await api.post(`${path}?dryRun=true`, request);
    expect(planned).toMatchObject({ status: 200, body: { warnings } });
    expect(planned.body.warnings).toHaveLength(warnings.length);
    const without = await api.post(`${path}?dryRun=true`, { ...request, options: { copyData: false } });
    expect(without.body.warnings).toEqual([]);
    expect((await api.post(path, { ...request, publications: ['filtered'] })).body).toMatchObject({ warnings });
    const rows = await eventually(
      () =>
        subscriber.withSession(database, async (session) => {
          const { n } = await session.row<{ n: string }>('select count(*)::text as n from public.orders');
          return n === '0' ? null : n;
        }),
      { within: 20_000 },
    );
    expect(rows).toBe(heeds ? '5' : '10');
  });
});
