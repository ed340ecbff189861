import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SequencesModule } from '../../src/sequences/sequences.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { TablesModule } from '../../src/tables/tables.module.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const WEIRD = 'Weird "Name"';
/** 63 bytes. */
const LONG = `${'é'.repeat(31)}x`;
const SPACED = ' a /b %2F;-- ';
const SCHEMA = `
  create schema "Weird ""Name""";
  create table "Weird ""Name"""."Weird ""Name""" (id serial primary key, "ü col" int not null, free int);
  create unique index "${LONG}" on "Weird ""Name"""."Weird ""Name""" ("ü col");
  create unique index "free ""x""" on "Weird ""Name"""."Weird ""Name""" (free);
  create table "${SPACED}" (id int not null, later int not null, unique (later) deferrable);
  create index plain on "${SPACED}" (id);
  create materialized view seen as select 1 as one;
  create sequence "${LONG}" maxvalue 1000;
  create sequence down increment -1;
  create sequence further;
  create sequence narrow as bigint;`;

describe.each([
  [14, 18],
  [18, 13],
  [16, 17],
])('tables and sequences: %i -> %i', (from, to) => {
  const database = `Tables "é" ${from}-${to}`;
  const publisherAt = `/v1/servers/tables-source/databases/${encodeURIComponent(database)}`;
  const at = (...names: string[]) => names.map((name) => encodeURIComponent(name)).join('/');
  const link = `/v1/links/${at('tables-sink', database, WEIRD)}/sequences`;
  let state: TestServer;
  let publisher: TestServer;
  let subscriber: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    state = await TestServer.shared(18);
    publisher = await TestServer.shared(from);
    subscriber = await TestServer.shared(to);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, SCHEMA);
    }
    await publisher.run(
      database,
      `select setval(${sql(LONG)}, 900), setval('down', -7), setval('further', 5), setval('narrow', 3000000000);
       select nextval('"Weird ""Name"""."Weird ""Name""_id_seq"'); create sequence here_only`,
    );
    await subscriber.run(
      database,
      `select setval('further', 77); create sequence there_only; alter sequence narrow maxvalue 2147483647`,
    );
    api = await ApiUnderTest.start(state, await state.freshDatabase(`tables_state_${from}`), {
      imports: [PublicationsModule, SubscriptionsModule, TablesModule, SequencesModule],
    });
    for (const [name, server] of Object.entries({ 'tables-source': publisher, 'tables-sink': subscriber })) {
      const { host, port, user, password } = server;
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
    const target = { kind: 'tables', tables: [{ schema: WEIRD, name: WEIRD }] };
    expect((await api.post(`${publisherAt}/publications`, { name: WEIRD, target })).status).toBe(201);
    const subscribed = await api.post(`/v1/servers/tables-sink/databases/${at(database)}/subscriptions`, {
      name: WEIRD,
      publisher: { server: 'tables-source', database },
      publications: [WEIRD],
      options: { slotName: `tables_${from}` },
    });
    expect(subscribed.status).toBe(201);
  });

  afterAll(async () => {
    const subscription = `/v1/servers/tables-sink/databases/${at(database)}/subscriptions/${at(WEIRD)}`;
    await api?.call('DELETE', subscription).catch(() => {});
    await api?.stop();
    for (const server of [state, publisher, subscriber]) await server?.stop();
  });

  /** Whether the service has read the write counters since then. */
  const firstReadingSince = (start: number) =>
    publisher.withSession(database, async (session) => {
      const { count } = await session.row<{ count: string }>(
        `select count(*) from pg_stat_activity
          where pid <> pg_backend_pid() and state = 'idle' and query like '%pg_stat_get_tuples_inserted%'
            and query_start >= to_timestamp($1)`,
        [start / 1000],
      );
      return count !== '0';
    });

  it('tells of a table which index would identify its rows and why others would not, its size and writes', async () => {
    const table = await api.get(`${publisherAt}/tables/${at(WEIRD, WEIRD)}`);
    expect(table).toMatchObject({
      status: 200,
      body: {
        replicaIdentity: { kind: 'default', usable: true },
        totalBytes: expect.any(Number),
        writes: { inserted: 0, perSecond: null, reason: expect.stringContaining('rateSeconds') },
      },
    });
    expect(table.body.replicaIdentity.indexes).toEqual([
      { name: `${WEIRD}_pkey`, primaryKey: true, columns: ['id'], fit: true, reason: null },
      { name: 'free "x"', primaryKey: false, columns: ['free'], fit: false, reason: 'nullable: "free"' },
      { name: LONG, primaryKey: false, columns: ['ü col'], fit: true, reason: null },
    ]);
    expect(table.body.oid).toBeUndefined();
    const listed = (await api.get(`${publisherAt}/tables`)).body.items;
    expect(listed.map(({ name }: { name: string }) => name)).toEqual([WEIRD, SPACED, 'seen']);
    expect(listed[0]).toEqual(table.body);
    expect(listed[2].writes).toMatchObject({ inserted: null, reason: expect.stringContaining('refreshed') });
    expect((await api.get(`${publisherAt}/tables/${at(WEIRD, 'absent')}`)).status).toBe(404);
  });

  it('measures what is written per second, between two readings', async () => {
    const writer = await publisher.open(database);
    const table = `"Weird ""Name"""."Weird ""Name"""`;
    const before = Date.now();
    const rate = api.get(`${publisherAt}/tables/${at(WEIRD, WEIRD)}?rateSeconds=3`);
    await eventually(() => firstReadingSince(before), { within: 10_000 });
    await writer.execute(`insert into ${table} ("ü col") select n from generate_series(1, 60) n`);
    await writer.execute(`update ${table} set free = id where id <= 30; delete from ${table}`);
    // Its counts are reported at its end.
    await writer.close();
    const { writes } = (await rate).body;
    expect(writes).toMatchObject({ inserted: 60, deleted: 60, reason: null });
    expect(writes.perSecond.overSeconds).toBeGreaterThan(2);
    expect(writes.perSecond.inserted).toBeCloseTo(60 / writes.perSecond.overSeconds, 6);
    expect(writes.perSecond.updated).toBeCloseTo(writes.updated / writes.perSecond.overSeconds, 6);
    expect((await api.get(`${publisherAt}/tables?rateSeconds=11`)).status).toBe(400);
  });

  it.each([
    ['a deferrable one', `${SPACED}_later_key`, 'deferrable'],
    ['one that is not unique', 'plain', 'not unique'],
  ])('refuses %s as replica identity with the reason, in a dry run too', async (_what, index, reason) => {
    const path = `${publisherAt}/tables/${at('public', SPACED)}/replica-identity`;
    for (const dryRun of [true, false]) {
      const refused = await api.call('PUT', path, { kind: 'index', index, dryRun });
      expect(refused).toMatchObject({ status: 409, body: { code: 'CONFLICT', hint: expect.any(String) } });
      expect(refused.body.detail).toContain(reason);
    }
  });

  it('sets a replica identity by an index of 63 bytes, and runs nothing when it is so', async () => {
    const path = `${publisherAt}/tables/${at(WEIRD, WEIRD)}/replica-identity`;
    const nullable = await api.call('PUT', path, { kind: 'index', index: 'free "x"' });
    expect(nullable).toMatchObject({ status: 409, body: { hint: expect.stringContaining(LONG) } });
    const planned = await api.call('PUT', `${path}?dryRun=true`, { kind: 'index', index: LONG });
    expect(planned.body.statements).toEqual([
      {
        server: 'tables-source',
        database,
        sql: `alter table "Weird ""Name"""."Weird ""Name""" replica identity using index "${LONG}"`,
        transactional: true,
        lock: expect.stringContaining('ACCESS EXCLUSIVE'),
        effect: expect.stringContaining('WAL'),
      },
    ]);
    const set = await api.call('PUT', path, { kind: 'index', index: LONG });
    expect(set.body.replicaIdentity).toMatchObject({ kind: 'index', index: LONG, usable: true });
    const again = await api.call('PUT', `${path}?dryRun=true`, { kind: 'index', index: LONG });
    expect(again.body).toEqual({ statements: [], warnings: [] });
    expect((await api.call('PUT', path, { kind: 'default' })).body.replicaIdentity.kind).toBe('default');
    expect((await api.call('PUT', path, { kind: 'index', index: 'absent' })).status).toBe(404);
    const view = await api.call('PUT', `${publisherAt}/tables/public/seen/replica-identity`, { kind: 'full' });
    expect(view).toMatchObject({ status: 409, body: { detail: expect.stringContaining('materialized') } });
  });

  it('does not offer replica identity full where subscribers could not compare the rows, and warns of it', async () => {
    await publisher.run(
      database,
      `create table shapes (id int unique, doc json, corner point); create publication of_shapes for table shapes`,
    );
    const path = `${publisherAt}/tables/public/shapes/replica-identity`;
    const full = await api.call('PUT', `${path}?dryRun=true`, { kind: 'full' });
    expect(full).toMatchObject({
      status: 200,
      body: { warnings: [{ rule: 'full-compares', detail: expect.stringMatching(/"doc", "corner".*primary key/) }] },
    });
    const none = await api.call('PUT', `${path}?dryRun=true`, { kind: 'nothing' });
    expect(none.body.warnings).toMatchObject([{ detail: expect.stringContaining('not to full') }]);
    const unfit = await api.call('PUT', path, { kind: 'index', index: 'shapes_id_key' });
    expect(unfit).toMatchObject({ status: 409, body: { hint: expect.not.stringContaining('full') } });
    await publisher.run(database, 'drop publication of_shapes; drop table shapes');
  });

  it('gives up after a moment where somebody uses the table, and says so', async () => {
    const reader = await publisher.open(database);
    await reader.execute(`begin; select from public."${SPACED}"`);
    const path = `${publisherAt}/tables/${at('public', SPACED)}/replica-identity`;
    const late = await api.call('PUT', path, { kind: 'full' });
    expect(late).toMatchObject({ status: 504, body: { retryable: true, hint: expect.stringContaining('Nothing') } });
    await reader.close();
    expect((await api.call('PUT', path, { kind: 'full' })).body.replicaIdentity).toMatchObject({ kind: 'full' });
  });

  it('tells where sequences stand and how much they have left', async () => {
    const { body } = await api.get(`${publisherAt}/sequences/${at('public', LONG)}`);
    expect(body).toMatchObject({
      ...{ lastValue: '900', isCalled: true, maximum: '1000', reason: null },
      headroom: { valuesLeft: '100', percentUsed: 90, lastPossible: '1000', limitedBy: 'sequence' },
    });
    const { items, nextCursor } = (await api.get(`${publisherAt}/sequences?limit=1`)).body;
    expect(items).toMatchObject([
      { schema: WEIRD, headroom: { percentUsed: 0 }, ownedBy: { name: WEIRD, column: 'id', columnType: 'integer' } },
    ]);
    const rest = (await api.get(`${publisherAt}/sequences?limit=50&cursor=${nextCursor}`)).body;
    expect(rest.items.map(({ name }: { name: string }) => name)).toEqual([
      ...['down', 'further', 'here_only', 'narrow', LONG],
    ]);
    expect((await api.get(`${publisherAt}/sequences/public/absent`)).status).toBe(404);
  });

  it('shows the sequences of both ends of a link beside each other', async () => {
    const { items } = (await api.get(link)).body;
    expect(items.map(({ name, verdict }: Record<string, string>) => [name, verdict])).toEqual([
      [`${WEIRD}_id_seq`, 'behind'],
      ['down', 'behind'],
      ['further', 'ahead'],
      ['here_only', 'missing'],
      ['narrow', 'behind'],
      ['there_only', 'extra'],
      [LONG, 'behind'],
    ]);
    expect(items[2]).toMatchObject({ publisher: { lastValue: '5' }, subscriber: { lastValue: '77', isCalled: true } });
    expect(items[4].reason).toContain('2147483647');
    const paged: { name: string }[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body } = await api.get(`${link}?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
      paged.push(...(body.items as { name: string }[]));
      cursor = body.nextCursor as string | null;
    }
    expect(paged).toEqual(items);
    const behind = (await api.get(`${link}?verdict=behind&limit=2`)).body;
    expect(behind.items).toHaveLength(2);
    const rest = (await api.get(`${link}?verdict=behind&limit=2&cursor=${behind.nextCursor}`)).body;
    expect(rest.items.map(({ name }: { name: string }) => name)).toEqual(['narrow', LONG]);
    expect((await api.get(`${link}?verdict=late`)).status).toBe(400);
    expect((await api.get(`/v1/links/${at('tables-sink', database, 'absent')}/sequences`)).status).toBe(404);
  });

  it('sets those that are behind, none back unless forced, and says what moved', async () => {
    const planned = await api.post(`${link}/sync?dryRun=true`);
    expect(planned.body.statements).toMatchObject([
      { server: 'tables-sink', database, transactional: true, lock: expect.stringContaining('ROW EXCLUSIVE') },
    ]);
    expect(Object.keys(planned.body.statements[0])).not.toContain('subscription');
    const text: string = planned.body.statements[0].sql;
    expect(text).toContain('pg_catalog.setval');
    expect(text).toContain(`('"public"."${LONG}"', '900'::int8, true)`);
    expect(text).not.toContain('further');
    expect((await api.get(link)).body.items[1].verdict).toBe('behind');

    const one = await api.post(`${link}/sync`, { sequences: [{ schema: 'public', name: 'down' }] });
    expect(one.body).toEqual({
      moved: [
        {
          ...{ schema: 'public', name: 'down' },
          from: { lastValue: '-1', isCalled: false },
          to: { lastValue: '-7', isCalled: true },
        },
      ],
      left: [],
    });
    const synced = await api.post(`${link}/sync`);
    expect(synced.body.moved.map(({ name }: { name: string }) => name)).toEqual([`${WEIRD}_id_seq`, LONG]);
    expect(synced.body.left).toMatchObject([
      { name: 'further', verdict: 'ahead', reason: expect.stringContaining('force') },
      { name: 'here_only', verdict: 'missing', reason: expect.stringContaining('create it') },
      { name: 'narrow', verdict: 'behind', reason: expect.stringContaining('outside the limits') },
    ]);
    expect((await api.post(`${link}/sync`)).body.moved).toEqual([]);
    const forced = await api.post(`${link}/sync`, { force: true });
    expect(forced.body.moved).toMatchObject([{ name: 'further', from: { lastValue: '77' }, to: { lastValue: '5' } }]);
    const { items } = (await api.get(`${link}?verdict=equal`)).body;
    expect(items.map(({ name }: { name: string }) => name)).toEqual([`${WEIRD}_id_seq`, 'down', 'further', LONG]);

    const absent = await api.post(`${link}/sync`, { sequences: [{ schema: WEIRD, name: 'absent' }] });
    expect(absent).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining('"Weird ""Name"""."absent"') },
    });
    for (const sequences of [[], null, 'all', [null]]) {
      expect((await api.post(`${link}/sync`, { sequences })).status).toBe(400);
    }
    const audited = (await api.get('/v1/audit-events?action=link-sequences.sync')).body.items;
    expect(audited.at(-1)).toMatchObject({ outcome: 'dry-run', sql: [expect.stringContaining('setval')] });
  });

  it('says that it does not know the publisher, rather than that nothing is behind', async () => {
    expect((await api.call('DELETE', '/v1/servers/tables-source')).status).toBe(204);
    const unknown = await api.get(link);
    expect(unknown).toMatchObject({
      status: 409,
      body: { code: 'CONFLICT', hint: expect.stringContaining('Register') },
    });
  });
});

function sql(name: string): string {
  return `'"${name}"'`;
}
