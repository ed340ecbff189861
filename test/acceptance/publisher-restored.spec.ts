import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LinksModule } from '../../src/links/links.module.js';
import type { SubscriptionView } from '../../src/subscriptions/subscription-view.js';
import { parseLsn } from '../../src/shared/lsn.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const WITHIN = { within: 60_000, every: 100 };

describe.each([
  [14, 18],
  [18, 14],
  [17, 16],
] as const)('a publisher that was restored from a backup, %i -> %i', (from, to) => {
  const database = `restored_${from}_${to}`;
  const path = `/v1/servers/sink/databases/${database}/subscriptions/follows`;
  let publisher: TestServer;
  let subscriber: TestServer;
  let state: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [publisher, subscriber, state] = await Promise.all([
      TestServer.start(from),
      TestServer.shared(to),
      TestServer.shared(18),
    ]);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, 'create table t (id int primary key)');
    }
    await publisher.run(database, 'create publication p for table t');
    api = await ApiUnderTest.start(state, await state.freshDatabase(`${database}_state`), {
      imports: [LinksModule],
      environment: { LOCKSTEP_SCHEMA_DRIFT_SECONDS: '0', LOCKSTEP_LSN_SAMPLE_SECONDS: '1' },
    });
    for (const [name, server] of [
      ['source', publisher],
      ['sink', subscriber],
    ] as const) {
      const { host, port, user, password } = server;
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
    const { status, text } = await api.post(`/v1/servers/sink/databases/${database}/subscriptions`, {
      name: 'follows',
      publisher: { server: 'source', database },
      publications: ['p'],
      options: { slotName: database },
    });
    if (status !== 201) throw new Error(text);
  }, 60_000);
  afterAll(async () => {
    await api?.call('DELETE', `${path}?slot=keep`);
    await api?.stop();
    for (const server of [publisher, subscriber, state]) await server?.stop();
  }, 60_000);

  const rows = () =>
    subscriber.withSession(database, async (session) =>
      (await session.rows<{ id: number }>('select id from public.t order by id')).map(({ id }) => id),
    );
  const has = (id: number) => eventually(async () => (await rows()).includes(id), WITHIN);
  const remembered = () =>
    state.withSession(`${database}_state`, (session) =>
      session.rows<{ lsn: string; reason: string }>(
        'select lsn::text as lsn, reason from lockstep.table_needing_verification',
      ),
    );
  const samples = () =>
    state.withSession(`${database}_state`, (session) =>
      session.row<{ most: string }>(`select max(lsn)::text as most from lockstep.lsn_sample where server = 'source'`),
    );

  it('is known to have lost something also when nobody looked while its WAL was behind', async () => {
    await publisher.run(database, 'insert into t values (1)');
    await has(1);
    await publisher.backUp();
    await publisher.run(
      database,
      `select pg_catalog.pg_logical_emit_message(false, 'lockstep test', repeat('x', 200000)); insert into t values (2)`,
    );
    await has(2);
    const { lsn: written } = await publisher.withSession(database, (session) =>
      session.row<{ lsn: string }>('select pg_catalog.pg_current_wal_insert_lsn()::text as lsn'),
    );
    await eventually(async () => parseLsn((await samples()).most) >= parseLsn(written), WITHIN);
    await publisher.restoreBackup();
    const mark = await eventually(async () => (await remembered())[0] ?? null, WITHIN);
    expect(mark).toMatchObject({ reason: expect.stringContaining('went back') });

    // Past what was applied, where nothing else shows it.
    await publisher.run(database, 'insert into t values (3)');
    await publisher.run(
      database,
      `select pg_catalog.pg_logical_emit_message(false, 'lockstep test', repeat('x', 400000)); insert into t values (4)`,
    );
    await has(4);
    const seen = await eventually(async () => {
      const { body } = await api.get(path);
      return (body as SubscriptionView).state === 'streaming' && (body as SubscriptionView);
    }, WITHIN);
    expect(seen).toMatchObject({
      lag: { reason: null },
      tables: [{ name: 't', needsVerification: { lsn: mark.lsn, reason: mark.reason } }],
    });
    expect(await rows()).toEqual([1, 2, 4]);
  }, 180_000);
});
