import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { identifier } from '../../src/postgres/quoting.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const ODD = `Odd "Näme"`;
const TABLE = identifier(ODD);

describe.each([
  [13, 18],
  [18, 14],
  [16, 17],
])('a replication slot about to be advanced, %i -> %i', (from, to) => {
  const database = `advance_${from}`;
  const slots = '/v1/servers/source/replication-slots';
  const names = { pgoutput: `advance_${from}`, decoding: `advance_td_${from}`, physical: `advance_ph_${from}` };
  let publisher: TestServer;
  let subscriber: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [publisher, subscriber] = await Promise.all([TestServer.shared(from), TestServer.shared(to)]);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(
        database,
        `create table t (id int primary key, note text); create table ${TABLE} (id int primary key); create table unpublished (id int)`,
      );
    }
    await publisher.run(database, `create publication p for table t; create publication q for table ${TABLE}`);
    api = await ApiUnderTest.start(subscriber, await subscriber.freshDatabase(`${database}_state`), {
      imports: [ReplicationSlotsModule, SubscriptionsModule],
    });
    for (const [name, { host, port, user, password }] of Object.entries({ source: publisher, sink: subscriber })) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
  }, 60_000);

  afterAll(async () => {
    await api?.call('DELETE', `/v1/servers/sink/databases/${database}/subscriptions/owner?slot=keep`);
    for (const name of [...Object.values(names), `owner_${from}`]) await api?.call('DELETE', `${slots}/${name}`);
    await api?.stop();
    for (const server of [publisher, subscriber]) await server?.stop();
  }, 60_000);

  const create = async (body: object) => {
    const created = await api.post(slots, body);
    expect(created.status).toBe(201);
    return created.body;
  };
  const walEnd = () =>
    publisher.withSession(
      database,
      async (session) =>
        (await session.row<{ lsn: string }>('select pg_catalog.pg_current_wal_insert_lsn()::text as lsn')).lsn,
    );
  const write = () =>
    publisher.run(
      database,
      `insert into t select n, 'x' from generate_series(1, 10) n;
       begin; update t set note = 'y' where id <= 4; delete from t where id between 8 and 10; insert into ${TABLE} select count(*) from ${TABLE}; commit;
       insert into unpublished values (1);
       truncate t`,
    );
  const tables = [
    { schema: 'public', name: ODD, inserts: 1, updates: 0, deletes: 0, truncates: 0 },
    { schema: 'public', name: 't', inserts: 10, updates: 4, deletes: 3, truncates: 1 },
  ];

  it('tells what would be skipped and does not move it; then moves it', async () => {
    await create({ name: names.pgoutput, kind: 'logical', database });
    const slot = `${slots}/${names.pgoutput}`;
    const before = (await api.get(slot)).body;
    await write();
    const lsn = await walEnd();
    await publisher.run(database, `insert into t values (100)`);
    const planned = await api.post(`${slot}/advance?dryRun=true`, { lsn });
    expect(planned).toMatchObject({
      status: 200,
      body: {
        statements: [{ sql: expect.stringContaining('pg_replication_slot_advance') }],
        skips: {
          ...{ fromLsn: before.confirmedFlushLsn, toLsn: lsn, publications: ['p', 'q'], tables },
          ...{ transactions: 2, changes: 19, truncated: false, reason: null, walBytes: expect.any(Number) },
        },
      },
    });
    expect(planned.body.skips.walBytes).toBeGreaterThan(0);
    expect((await api.get(slot)).body.confirmedFlushLsn).toBe(before.confirmedFlushLsn);
    const left = (await api.get(slots)).body.items.filter(({ name }: { name: string }) =>
      name.startsWith('lockstep_p_'),
    );
    expect(left).toEqual([]);
    expect((await api.post(`${slot}/advance`, { lsn })).status).toBe(200);
    const nothing = await api.post(`${slot}/advance?dryRun=true`, { lsn });
    expect(nothing.body.skips).toMatchObject({ transactions: 0, changes: 0, tables: [] });
    const rest = await api.post(`${slot}/advance?dryRun=true`, { lsn: await walEnd() });
    expect(rest.body.skips).toMatchObject({ transactions: 1, changes: 1 });
    // The server goes no further than it has written.
    const far = await api.post(`${slot}/advance?dryRun=true`, { lsn: 'FFFF/0' });
    expect(far.body.skips).toMatchObject({ transactions: 1, toLsn: expect.stringMatching(/^0\//) });
  }, 60_000);

  it('reads one of another plugin by the publications, and tells of a physical one the bytes only', async () => {
    await create({ name: names.decoding, kind: 'logical', database, plugin: 'test_decoding' });
    await create({ name: names.physical, kind: 'physical', reserveImmediately: true });
    await publisher.run(database, 'insert into t values (200)');
    const lsn = await walEnd();
    const decoding = await api.post(`${slots}/${names.decoding}/advance?dryRun=true`, { lsn });
    expect(decoding.body.skips).toMatchObject({ transactions: 1, changes: 1, publications: ['p', 'q'] });
    const physical = await api.post(`${slots}/${names.physical}/advance?dryRun=true`, { lsn });
    expect(physical.body.skips).toMatchObject({
      ...{
        transactions: null,
        changes: null,
        publications: null,
        tables: [],
        reason: expect.stringContaining('physical'),
      },
    });
    expect(physical.body.skips.walBytes).toBeGreaterThan(0);
  }, 60_000);

  it('is refused where a subscription will come back for it, unless told to, and then counts what that misses', async () => {
    const base = `/v1/servers/sink/databases/${database}/subscriptions`;
    const options = { slotName: `owner_${from}`, copyData: false };
    const body = { name: 'owner', publisher: { server: 'source', database }, publications: ['p'], options };
    expect((await api.post(base, body)).status).toBe(201);
    expect((await api.post(`${base}/owner/disable`)).status).toBe(200);
    await write();
    const lsn = await walEnd();
    const path = `${slots}/owner_${from}/advance`;
    for (const url of [path, `${path}?dryRun=true`]) {
      expect(await api.post(url, { lsn })).toMatchObject({
        status: 409,
        body: { code: 'CONFLICT', hint: expect.stringContaining('"force": true') },
      });
    }
    const planned = await api.post(`${path}?dryRun=true`, { lsn, force: true });
    expect(planned.body.skips).toMatchObject({ publications: ['p'], transactions: 2, tables: [tables[1]] });
    expect((await api.post(path, { lsn, force: true })).body).toMatchObject({ confirmedFlushLsn: lsn });
  }, 60_000);
});
