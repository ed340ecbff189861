import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const DATABASE = 'promoted_publisher';
const BASE = `/v1/servers/sink/databases/${DATABASE}/subscriptions`;

let primary: TestServer;
let standby: TestServer;
let subscriber: TestServer;
let api: ApiUnderTest;

beforeAll(async () => {
  [primary, subscriber] = await Promise.all([TestServer.start(16), TestServer.shared(18)]);
  for (const server of [primary, subscriber]) {
    await server.freshDatabase(DATABASE);
    await server.run(DATABASE, 'create table t (id int primary key); create table early (id int primary key)');
  }
  await primary.run(DATABASE, 'create publication p for table t; create publication early for table early');
  await primary.run('postgres', `select pg_catalog.pg_create_physical_replication_slot('stand', true)`);
  standby = await primary.standby('stand', { hot_standby_feedback: 'on' });
  api = await ApiUnderTest.start(subscriber, await subscriber.freshDatabase(`${DATABASE}_state`), {
    imports: [SubscriptionsModule],
  });
  await register('primary', primary);
  await register('sink', subscriber);
}, 60_000);

afterAll(async () => {
  for (const name of ['follows', 'early']) await api?.call('DELETE', `${BASE}/${name}?slot=keep`);
  await api?.stop();
  for (const server of [standby, primary, subscriber]) await server?.stop();
}, 60_000);

async function register(name: string, { host, port, user, password }: TestServer): Promise<void> {
  const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
  expect((await api.post('/v1/servers', body)).status).toBe(201);
}

const rows = async (table: string): Promise<number[]> => {
  const found = await subscriber.withSession(DATABASE, (session) =>
    session.rows<{ id: number }>(`select id from public.${table} order by id`),
  );
  return found.map(({ id }) => id);
};
const applied = (table: string, id: number) =>
  eventually(async () => (await rows(table)).includes(id), { within: 30_000 });
const patch = (name: string, body: object, query = '') => api.call('PATCH', `${BASE}/${name}${query}`, body);

it('a subscription led to the standby that was promoted goes on there, or is asked for what it would miss', async () => {
  for (const [name, publication] of [
    ['follows', 'p'],
    ['early', 'early'],
  ] as const) {
    const body = { name, publisher: { server: 'primary', database: DATABASE }, publications: [publication] };
    expect((await api.post(BASE, { ...body, options: { copyData: false, slotName: name } })).status).toBe(201);
  }
  // A slot on the standby waits for the primary to say what runs there.
  const made = standby.run(DATABASE, `select pg_catalog.pg_create_logical_replication_slot('early', 'pgoutput')`);
  const snapshot = setInterval(() => {
    primary.run('postgres', 'select pg_catalog.pg_log_standby_snapshot()').catch(() => {});
  }, 200);
  await made.finally(() => clearInterval(snapshot));
  await primary.run(DATABASE, 'insert into t values (1); insert into early values (1)');
  for (const table of ['t', 'early']) await applied(table, 1);
  for (const name of ['follows', 'early']) expect((await api.post(`${BASE}/${name}/disable`)).status).toBe(200);
  await primary.run(DATABASE, 'insert into t values (2); insert into early values (2)');
  await eventually(
    () =>
      standby.withSession(DATABASE, async (session) => {
        const { both } = await session.row<{ both: boolean }>(
          'select exists (select from public.t where id = 2) and exists (select from public.early where id = 2) as both',
        );
        return both;
      }),
    { within: 30_000 },
  );
  await primary.crash();
  await standby.run('postgres', 'select pg_catalog.pg_promote()');
  await standby.run(DATABASE, `select pg_catalog.pg_create_logical_replication_slot('follows', 'pgoutput')`);
  const { host, port, user, password } = standby;
  const connection = `host=${host} port=${port} user=${user} password=${password} dbname=${DATABASE} sslmode=disable`;
  const missed = {
    status: 409,
    body: { rule: 'slot-goes-on', detail: expect.stringContaining('never sent'), retryWith: { force: true } },
  };
  expect(await patch('follows', { connection })).toMatchObject(missed);
  const planned = await patch('early', { connection }, '?dryRun=true');
  expect(planned).toMatchObject({ status: 200, body: { warnings: [{ rule: 'former-slot-stays' }] } });
  await register('promoted', standby);
  const there = { publisher: { server: 'promoted', database: DATABASE } };
  for (const query of ['?dryRun=true', '']) expect(await patch('follows', there, query)).toMatchObject(missed);
  const goesOn = await patch('early', there);
  expect(goesOn).toMatchObject({
    status: 200,
    body: {
      publisher: { server: 'promoted' },
      warnings: [{ rule: 'former-slot-stays', detail: expect.stringContaining('stays on primary') }],
      tables: [{ needsVerification: null }],
    },
  });
  const forced = await patch('follows', { ...there, force: true });
  expect(forced).toMatchObject({
    status: 200,
    body: {
      warnings: [{ rule: 'former-slot-stays' }, { rule: 'slot-goes-on' }],
      tables: [{ needsVerification: { reason: expect.stringContaining('never sent') } }],
    },
  });
  for (const name of ['follows', 'early']) expect((await api.post(`${BASE}/${name}/enable`)).status).toBe(200);
  await standby.run(DATABASE, 'insert into t values (3); insert into early values (3)');
  for (const table of ['t', 'early']) await applied(table, 3);
  expect(await rows('t')).toEqual([1, 3]);
  expect(await rows('early')).toEqual([1, 2, 3]);
}, 120_000);
