import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { SequencesModule } from '../../src/sequences/sequences.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { TablesModule } from '../../src/tables/tables.module.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const ODD = `Odd "ü" /%-- ;'`;
const SCHEMA = `
  create table orders (id int primary key, total numeric, note text);
  create table keyless (x int not null, y int);
  create unique index keyless_nullable on keyless (y);
  create unique index keyless_x on keyless (x);
  create unlogged table scratch (id int primary key);
  create sequence tickets;
  create schema "Odd ""ü"" /%-- ;'";
  create table "Odd ""ü"" /%-- ;'"."Odd ""ü"" /%-- ;'" (id serial primary key);`;

describe.each([
  [14, 18],
  [18, 14],
  [16, 17],
])('publications, subscriptions, slots, tables: %i -> %i', (from, to) => {
  const database = `Objects ${from}-${to}`;
  let state: TestServer;
  let publisher: TestServer;
  let subscriber: TestServer;
  let api: ApiUnderTest;
  const base = (server: string) => `/v1/servers/${server}/databases/${encodeURIComponent(database)}`;
  const at = (...names: string[]) => names.map((name) => encodeURIComponent(name)).join('/');

  beforeAll(async () => {
    state = await TestServer.shared(18);
    publisher = await TestServer.shared(from);
    subscriber = await TestServer.shared(to);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, SCHEMA);
    }
    api = await ApiUnderTest.start(state, await state.freshDatabase(`objects_state_${from}`), {
      imports: [PublicationsModule, SubscriptionsModule, ReplicationSlotsModule, TablesModule, SequencesModule],
    });
    for (const [name, server] of Object.entries({ source: publisher, sink: subscriber })) {
      const { host, port, user, password } = server;
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
  });

  afterAll(async () => {
    await api?.call('DELETE', `${base('sink')}/subscriptions/${at(ODD)}`).catch(() => {});
    await api?.stop();
    for (const server of [state, publisher, subscriber]) await server?.stop();
  });

  it('lists tables with what is in the way of replicating them, page by page', async () => {
    const first = (await api.get(`${base('source')}/tables?limit=2`)).body;
    expect(first.items.map(({ schema, name }: Record<string, string>) => [schema, name])).toEqual([
      [ODD, ODD],
      ['public', 'keyless'],
    ]);
    const rest = (await api.get(`${base('source')}/tables?limit=2&cursor=${first.nextCursor}`)).body;
    expect(rest).toMatchObject({ items: [{ name: 'orders' }, { name: 'scratch' }], nextCursor: null });
    expect(first.items[1]).toMatchObject({
      replicable: true,
      replicaIdentity: { kind: 'default', index: null, usable: false },
      reason: expect.stringContaining('no primary key'),
    });
    expect(rest.items[0]).toMatchObject({ replicaIdentity: { index: 'orders_pkey', usable: true }, reason: null });
    expect(rest.items[1]).toMatchObject({ replicable: false, persistence: 'unlogged' });
    const sequences = (await api.get(`${base('source')}/sequences`)).body.items;
    expect(sequences).toMatchObject([
      { schema: ODD, ownedBy: { name: ODD, column: 'id', identity: false } },
      { name: 'tickets', dataType: 'bigint', isCalled: false, ownedBy: null },
    ]);
  });

  it('sets a replica identity, and says why an index cannot be one', async () => {
    const path = `${base('source')}/tables/public/keyless/replica-identity`;
    const unfit = await api.call('PUT', path, { kind: 'index', index: 'keyless_nullable' });
    expect(unfit).toMatchObject({ status: 409, body: { code: 'CONFLICT' } });
    expect(unfit.body.detail).toContain('nullable');
    const planned = await api.call('PUT', path, { kind: 'index', index: 'keyless_x', dryRun: true });
    expect(planned.body.statements).toMatchObject([
      {
        server: 'source',
        database,
        sql: 'alter table "public"."keyless" replica identity using index "keyless_x"',
        transactional: true,
        lock: expect.stringContaining('ACCESS EXCLUSIVE'),
      },
    ]);
    const set = await api.call('PUT', path, { kind: 'index', index: 'keyless_x' });
    expect(set).toMatchObject({
      status: 200,
      body: { replicaIdentity: { kind: 'index', index: 'keyless_x', usable: true } },
    });
    expect(await api.call('PUT', path, { kind: 'full', index: 'keyless_x' })).toMatchObject({ status: 400 });
    expect(await api.call('PUT', path, { kind: 'index' })).toMatchObject({ status: 400 });
    expect((await api.call('PUT', path, { kind: 'nothing' })).body.warnings).toEqual([]);
    await publisher.run(database, `create publication warned for table keyless with (publish = 'update')`);
    for (const kind of ['nothing', 'default']) {
      const failing = [{ rule: 'identity-usable', detail: expect.stringContaining('"warned"') }];
      expect(await api.call('PUT', path, { kind, dryRun: true })).toMatchObject({
        status: 200,
        body: { warnings: failing },
      });
      expect(await api.call('PUT', path, { kind })).toMatchObject({ status: 200, body: { warnings: failing } });
    }
    await publisher.run(database, `alter publication warned set (publish = 'insert')`);
    expect((await api.call('PUT', path, { kind: 'nothing' })).body.warnings).toEqual([]);
    await publisher.run(database, 'drop publication warned');
    expect((await api.call('PUT', path, { kind: 'index', index: 'keyless_x' })).body.warnings).toEqual([]);
  });

  it('creates, reads, edits and lists publications with odd names', async () => {
    const body = {
      name: ODD,
      target: {
        kind: 'tables',
        tables: [
          { schema: 'public', name: 'orders' },
          { schema: ODD, name: ODD },
        ],
      },
      publish: ['insert', 'update', 'delete'],
    };
    const planned = await api.post(`${base('source')}/publications?dryRun=true`, body);
    expect(planned).toMatchObject({ status: 200, body: { statements: [{ server: 'source', transactional: true }] } });
    expect((await api.get(`${base('source')}/publications`)).body.items).toEqual([]);
    const created = await api.post(`${base('source')}/publications`, body);
    expect(created.status).toBe(201);
    const path = created.headers.get('location')!;
    expect((await api.get(path)).body).toEqual(created.body);
    expect(await api.post(`${base('source')}/publications`, body)).toMatchObject({
      status: 409,
      body: { code: 'ALREADY_EXISTS' },
    });

    const patched = await api.call('PATCH', path, { viaPartitionRoot: true });
    expect(patched).toMatchObject({ status: 200, body: { ...created.body, viaPartitionRoot: true } });
    const tables = (await api.get(`${path}/tables`)).body.items;
    expect(tables).toMatchObject([
      { schema: ODD, columns: ['id'], updatesFail: false },
      { name: 'orders', columns: ['id', 'total', 'note'], operations: ['insert', 'update', 'delete'] },
    ]);
    expect(await api.call('PATCH', path, { target: { kind: 'allTables' } })).toMatchObject({
      status: 409,
      body: { code: 'CONFLICT' },
    });

    const filtered = await api.post(`${base('source')}/publications`, {
      name: 'filtered',
      target: {
        kind: 'tables',
        tables: [{ schema: 'public', name: 'orders', columns: ['id', 'total'], where: 'total > 0' }],
      },
      publish: ['insert'],
    });
    if (from < 15) {
      expect(filtered).toMatchObject({ status: 422, body: { code: 'OPTION_NOT_SUPPORTED', minimumVersion: 15 } });
      return;
    }
    expect(filtered.body.target.tables).toMatchObject([
      { columns: ['id', 'total'], where: expect.stringContaining('total >') },
    ]);
    const renamed = await api.call('PATCH', `${base('source')}/publications/filtered`, {
      name: 'f2',
      publish: ['insert', 'truncate'],
    });
    expect(renamed.body.target).toEqual(filtered.body.target);
    expect((await api.get(`${base('source')}/publications/filtered`)).status).toBe(404);
    expect((await api.call('DELETE', `${base('source')}/publications/f2`)).status).toBe(204);
  });

  it.each<[string, unknown, number, string]>([
    ['an unknown field', { name: 'x', target: { kind: 'allTables' }, surplus: 1 }, 400, '#/surplus'],
    ['no target', { name: 'x' }, 400, '#/target'],
    ['an unknown kind', { name: 'x', target: { kind: 'some' } }, 400, '#/target/kind'],
    ['tables with allTables', { name: 'x', target: { kind: 'allTables', tables: [] } }, 400, '#/target/tables'],
    ['a long name', { name: 'é'.repeat(32), target: { kind: 'allTables' } }, 400, '#/name'],
    ['an unknown operation', { name: 'x', target: { kind: 'allTables' }, publish: ['upsert'] }, 400, '#/publish'],
    [
      'a filter that ends its parentheses',
      { name: 'x', target: { kind: 'tables', tables: [{ schema: 'a', name: 'b', where: 'true); drop table x --' }] } },
      from < 15 ? 422 : 400,
      '#/target/tables/0/where',
    ],
  ])('refuses a publication with %s', async (_what, body, status, pointer) => {
    const answer = await api.post(`${base('source')}/publications`, body);
    expect(answer.status).toBe(status);
    expect(answer.body.errors.map((error: { pointer: string }) => error.pointer)).toContain(pointer);
    expect((await api.get(`${base('source')}/publications/x`)).status).toBe(404);
  });

  it('subscribes, shows both ends, and answers every action', async () => {
    await publisher.run(database, `insert into orders select n, n, 'x' from generate_series(1, 50) n`);
    const slotName = `objects_${from}`;
    const subscribe = {
      name: ODD,
      publisher: { server: 'source', database },
      publications: [ODD],
      options: { slotName, ...(to >= 14 ? { streaming: 'on' } : {}) },
    };
    const planned = await api.post(`${base('sink')}/subscriptions`, { ...subscribe, dryRun: true });
    expect(planned.status).toBe(200);
    expect(planned.body.statements.map(({ server }: { server: string }) => server)).toEqual(['source', 'sink']);
    expect(planned.text).not.toContain(publisher.password);

    const created = await api.post(`${base('sink')}/subscriptions`, subscribe);
    expect(created.status).toBe(201);
    expect(created.text).not.toContain(publisher.password);
    const path = created.headers.get('location')!;
    const streaming = await eventually(
      async () => {
        const { body } = await api.get(path);
        return body.state === 'streaming' && body.slot?.active && body;
      },
      { within: 20_000 },
    );
    expect(streaming).toMatchObject({
      enabled: true,
      slotName,
      publications: [ODD],
      options: { streaming: 'on' },
      publisher: { server: 'source', database },
    });
    expect(streaming.workers).toMatchObject([{ kind: 'apply' }]);
    expect(streaming.tables.map(({ state }: { state: string }) => state)).toEqual(['ready', 'ready']);
    expect(typeof streaming.lag.bytes).toBe('number');
    expect(await api.call('PATCH', path, { options: { copyData: true } })).toMatchObject({
      status: 400,
      body: { rule: 'only-at-creation', hint: expect.stringContaining('refresh') },
    });

    const slot = `/v1/servers/source/replication-slots/${slotName}`;
    expect((await api.get(slot)).body).toMatchObject({
      kind: 'logical',
      database,
      active: true,
      walStatus: 'reserved',
    });
    expect(await api.call('DELETE', slot)).toMatchObject({ status: 409, body: { code: 'SLOT_ACTIVE' } });
    expect(await api.post(`${slot}/advance`, { lsn: 'FFFFFFFF/0' })).toMatchObject({
      status: 409,
      body: { code: 'SLOT_ACTIVE' },
    });

    const links = (await api.get('/v1/links')).body;
    expect(links.unknown).toEqual([]);
    const [link] = links.items.filter(
      (item: { subscriber: { database: string } }) => item.subscriber.database === database,
    );
    expect(link).toMatchObject({ publisher: { server: 'source', slot: { active: true } }, state: 'streaming' });
    expect((await api.get(`/v1/links/${at('sink', database, ODD)}`)).status).toBe(200);

    expect((await api.post(`${path}/disable`)).body).toMatchObject({ state: 'disabled', workers: [] });
    expect(await api.post(`${path}/refresh`)).toMatchObject({ status: 409, body: { code: 'WRONG_STATE' } });
    expect((await api.post(`${path}/enable`)).body.enabled).toBe(true);
    expect((await api.post(`${path}/refresh`, { copyData: false })).status).toBe(200);
    const skipped = await api.post(`${path}/skip`, { lsn: '0/1' });
    expect(skipped).toMatchObject(to < 15 ? { status: 422 } : { status: 409 });
    expect(await api.post(`${path}/skip`, { lsn: 'here' })).toMatchObject({ status: 400 });

    const dropped = await api.call('DELETE', `${path}?slot=keep`);
    expect(dropped.body.slotLeft).toMatchObject({ name: slotName, publisher: { server: 'source', database } });
    await eventually(async () => (await api.call('DELETE', slot)).status === 204, { within: 10_000 });
    expect((await api.get(path)).status).toBe(404);
  });

  it('creates a slot with a deadline that names who is in the way', async () => {
    const blocker = await publisher.open(database);
    await blocker.execute(`begin; select pg_catalog.txid_current()`);
    const body = { name: 'late_slot', kind: 'logical', database, deadlineMs: 400 };
    const late = await api.post('/v1/servers/source/replication-slots', body);
    expect(late).toMatchObject({ status: 504, body: { code: 'SERVER_TIMEOUT' } });
    expect(late.body.blockers).toMatchObject([
      { pid: blocker.backendPid, user: 'postgres', state: 'idle in transaction' },
    ]);
    await blocker.execute('rollback');
    await blocker.close();
    expect((await api.get('/v1/servers/source/replication-slots/late_slot')).status).toBe(404);
    const created = await api.post('/v1/servers/source/replication-slots', { ...body, deadlineMs: 20_000 });
    expect(created).toMatchObject({ status: 201, body: { name: 'late_slot', active: false } });
    const moved = await api.post('/v1/servers/source/replication-slots/late_slot/advance', {
      lsn: created.body.currentLsn,
    });
    expect(moved.status).toBe(200);
    expect(await api.post('/v1/servers/source/replication-slots/late_slot/advance', { lsn: '0/1' })).toMatchObject({
      status: 409,
    });
    expect((await api.call('DELETE', '/v1/servers/source/replication-slots/late_slot')).status).toBe(204);
    expect(
      await api.post('/v1/servers/source/replication-slots', { name: 'p', kind: 'physical', plugin: 'x' }),
    ).toMatchObject({ status: 400 });
  });

  it('leaves an audit event with the SQL of every mutation, dry runs told apart', async () => {
    const { items } = (await api.get('/v1/audit-events?action=subscriptions.create')).body;
    expect(items.map(({ outcome }: { outcome: string }) => outcome)).toEqual(['succeeded', 'dry-run']);
    expect(items[0].sql).toHaveLength(2);
    expect(items[0].sql[1]).toContain('create subscription');
    expect(JSON.stringify(items)).not.toContain(publisher.password);
  });

  it('answers 404 for what is not there', async () => {
    for (const path of [
      `/v1/servers/nowhere/databases/x/publications`,
      `/v1/servers/source/databases/nowhere/publications`,
      `${base('source')}/publications/absent`,
      `${base('sink')}/subscriptions/absent`,
      `/v1/links/sink/${encodeURIComponent(database)}/absent`,
      `/v1/servers/source/replication-slots/absent`,
    ]) {
      expect((await api.get(path)).status).toBe(404);
    }
  });
});
