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
    await server.run(DATABASE, 'create table t (id int primary key)');
  }
  await primary.run(DATABASE, 'create publication p for table t');
  await primary.run('postgres', `select pg_catalog.pg_create_physical_replication_slot('stand', true)`);
  standby = await primary.standby('stand');
  api = await ApiUnderTest.start(subscriber, await subscriber.freshDatabase(`${DATABASE}_state`), {
    imports: [SubscriptionsModule],
  });
  await register('primary', primary);
  await register('sink', subscriber);
}, 60_000);

afterAll(async () => {
  await api?.call('DELETE', `${BASE}/follows?slot=keep`);
  await api?.stop();
  for (const server of [standby, primary, subscriber]) await server?.stop();
}, 60_000);

async function register(name: string, { host, port, user, password }: TestServer): Promise<void> {
  const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
  expect((await api.post('/v1/servers', body)).status).toBe(201);
}

it('a subscription follows its publisher to the standby that was promoted, registered or not, without a question', async () => {
  const body = { name: 'follows', publisher: { server: 'primary', database: DATABASE }, publications: ['p'] };
  expect((await api.post(BASE, { ...body, options: { copyData: false, slotName: 'follows' } })).status).toBe(201);
  await primary.crash();
  await standby.run('postgres', 'select pg_catalog.pg_promote()');
  await standby.run(DATABASE, `select pg_catalog.pg_create_logical_replication_slot('follows', 'pgoutput')`);
  const { host, port, user, password } = standby;
  const connection = `host=${host} port=${port} user=${user} password=${password} dbname=${DATABASE} sslmode=disable`;
  const planned = await api.call('PATCH', `${BASE}/follows?dryRun=true`, { connection });
  expect(planned).toMatchObject({ status: 200, body: { warnings: [{ rule: 'former-slot-stays' }] } });
  await register('promoted', standby);
  const followed = await api.call('PATCH', `${BASE}/follows`, {
    publisher: { server: 'promoted', database: DATABASE },
  });
  expect(followed).toMatchObject({
    status: 200,
    body: {
      publisher: { server: 'promoted' },
      warnings: [{ rule: 'former-slot-stays', detail: expect.stringContaining('stays on primary') }],
      tables: [{ needsVerification: null }],
    },
  });
  await standby.run(DATABASE, 'insert into t values (1)');
  await eventually(
    () =>
      subscriber.withSession(DATABASE, async (session) => {
        const { found } = await session.row<{ found: boolean }>('select exists (select from public.t) as found');
        return found;
      }),
    { within: 30_000 },
  );
}, 90_000);
