import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import type { SubscriptionView } from '../../src/subscriptions/subscription-view.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const TABLES = `
  create table big (id int primary key, note text);
  create table small (id int primary key);`;
const ROWS = 1000;
const HELD_AT = 600;
/** Holds the copy at one row for as long as the test holds the lock. */
const HOLD = `
  create function hold() returns trigger language plpgsql as
    $$ begin if new.id = ${HELD_AT} then perform pg_advisory_xact_lock(4711); end if; return new; end $$;
  create trigger hold before insert on big for each row execute function hold();
  alter table big enable always trigger hold;`;

describe.each([
  [14, 18],
  [18, 14],
  [15, 13],
])('what a subscription says of itself, %i -> %i', (from, to) => {
  const database = `states_${from}_${to}`;
  const base = `/v1/servers/sink/databases/${database}/subscriptions`;
  const path = `${base}/states`;
  const slotName = `states_${from}_${to}`;
  const publisherPlace = { server: 'source', database };
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
      await server.run(database, TABLES);
    }
    await subscriber.run(database, HOLD);
    await publisher.run(
      database,
      `insert into big select n, repeat('x', 100) from generate_series(1, ${ROWS}) n;
       analyze big; create publication p for table big, small; create publication q`,
    );
    api = await ApiUnderTest.start(state, await state.freshDatabase(`${database}_state`), {
      imports: [SubscriptionsModule, ReplicationSlotsModule],
    });
    for (const [name, { host, port, user, password }] of [
      ['source', publisher],
      ['sink', subscriber],
    ] as const) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
  }, 60_000);

  afterAll(async () => {
    await api?.call('DELETE', path).catch(() => {});
    await api?.stop();
    for (const server of [state, publisher, subscriber]) await server?.stop();
  });

  const until = (holds: (view: SubscriptionView) => boolean) =>
    eventually(
      async () => {
        const body = (await api.get(path)).body as SubscriptionView;
        if (!holds(body)) throw new Error(JSON.stringify(body, null, 1));
        return body;
      },
      { within: 20_000, every: 50 },
    );

  it('says how far the copy is: rows, bytes, percent, time left; what is not known is null with the reason', async () => {
    const holder = await subscriber.open(database);
    await holder.execute('select pg_advisory_lock(4711)');
    const body = { name: 'states', publisher: publisherPlace, publications: ['p'], options: { slotName } };
    expect((await api.post(base, body)).status).toBe(201);
    const table = ({ tables }: SubscriptionView, which: string) => tables.find(({ name }) => name === which)!;
    const held = await until((view) => {
      const { copyProgress } = table(view, 'big');
      const copying = copyProgress !== null && (to < 14 || copyProgress.rows === HELD_AT - 1);
      return view.state === 'copying' && table(view, 'small').state === 'ready' && copying;
    });
    const big = table(held, 'big').copyProgress!;
    expect(big).toMatchObject({ totalRows: ROWS, totalBytes: expect.any(Number) });
    expect(big.totalBytes).toBeGreaterThan(ROWS * 100);
    expect(held.copyProgress).toMatchObject({ tables: 2, tablesCopied: 1, totalBytes: big.totalBytes });
    if (to < 14) {
      expect(big).toMatchObject({ rows: null, bytes: null, percent: null, etaSeconds: null });
      expect(big.reason).toContain('PostgreSQL 13 does not show');
      expect(held.copyProgress).toMatchObject({ percent: null, etaSeconds: null, reason: expect.any(String) });
    } else {
      expect(big).toMatchObject({ percent: 59.9, etaSeconds: expect.any(Number), reason: null });
      expect(big.bytes).toBeGreaterThan(HELD_AT * 100);
      expect(held.copyProgress).toMatchObject({ percent: 59.9, etaSeconds: expect.any(Number), reason: null });
    }
    await holder.close();
    const streaming = await until((view) => view.state === 'streaming');
    expect(streaming).toMatchObject({ copyProgress: null, reason: null });
    expect(table(streaming, 'big').copyProgress).toBeNull();
  }, 60_000);

  it('tells in a dry run which tables a refresh would add and remove, and what would refuse it', async () => {
    expect((await api.post(`${path}/refresh?dryRun=true`)).body).toMatchObject({
      statements: [{ sql: expect.stringContaining('refresh publication') }],
      warnings: [],
      tables: { added: [], removed: [], absent: [], reason: null },
    });
    await publisher.run(database, 'create table late (id int primary key); alter publication p set table big, late');
    const planned = (await api.post(`${path}/refresh?dryRun=true`)).body;
    expect(planned.tables).toEqual({
      added: [{ schema: 'public', name: 'late' }],
      removed: [{ schema: 'public', name: 'small' }],
      absent: [{ schema: 'public', name: 'late' }],
      copy: { tables: 1, bytes: 0, rows: 0 },
      reason: null,
    });
    await publisher.run(database, 'insert into public.late select generate_series(1, 1000)');
    const copied = async (body: object) => (await api.post(`${path}/refresh?dryRun=true`, body)).body.tables.copy;
    // Nobody has counted them yet.
    expect(await copied({})).toEqual({ tables: 1, bytes: expect.any(Number), rows: null });
    await publisher.run(database, 'analyze public.late');
    expect(await copied({})).toEqual({ tables: 1, bytes: expect.any(Number), rows: 1000 });
    expect((await copied({})).bytes).toBeGreaterThan(30_000);
    expect(await copied({ copyData: false })).toBeNull();
    expect(planned.warnings).toMatchObject([{ rule: 'tables-exist', detail: expect.stringContaining('public.late') }]);
    await subscriber.run(database, 'create table late (id int primary key)');
    expect((await api.post(`${path}/refresh?dryRun=true`)).body).toMatchObject({
      warnings: [],
      tables: { absent: [] },
    });
    expect((await api.post(`${path}/refresh`)).status).toBe(200);
    const names = (view: { tables: { name: string }[] }) => view.tables.map(({ name }) => name);
    expect(names(await until((view) => view.state === 'streaming'))).toEqual(['big', 'late']);
  }, 60_000);

  it('adds and drops publications, and tells before what comes and goes with them', async () => {
    await publisher.run(database, 'alter publication q add table small');
    const adding = await api.call('PATCH', `${path}?dryRun=true`, { addPublications: ['q', 'p', 'absent'] });
    const verb = to >= 14 ? 'add publication "q", "absent"' : 'set publication "p", "q", "absent"';
    expect(adding.body).toMatchObject({
      statements: [{ sql: expect.stringContaining(verb), transactional: false }],
      warnings: [{ rule: 'publications-exist', detail: expect.stringContaining('"absent"') }],
      tables: { added: [{ name: 'small' }], removed: [] },
    });
    const added = await api.call('PATCH', path, { addPublications: ['q'] });
    expect(added).toMatchObject({ status: 200, body: { publications: ['p', 'q'] } });
    const dropping = await api.call('PATCH', `${path}?dryRun=true`, { removePublications: ['p'] });
    expect(dropping.body.tables).toMatchObject({ added: [], removed: [{ name: 'big' }, { name: 'late' }] });
    const dropped = await api.call('PATCH', path, { removePublications: ['p'] });
    expect(dropped).toMatchObject({ status: 200, body: { publications: ['q'] } });
    const both = await api.call('PATCH', path, { addPublications: ['p'], removePublications: ['q'] });
    expect(both).toMatchObject({ status: 200, body: { publications: ['p'] } });
    expect(await api.call('PATCH', path, { removePublications: ['p'] })).toMatchObject({
      status: 400,
      body: { rule: 'publications-listed' },
    });
    expect(await api.call('PATCH', path, { publications: ['p'], addPublications: ['q'] })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '#/addPublications' }] },
    });
    const nothing = await api.call('PATCH', `${path}?dryRun=true`, { addPublications: ['p'] });
    expect(nothing.body).toEqual({ statements: [], warnings: [] });
  }, 60_000);

  it('names who holds up the slot of a raw connection string to a server that is registered', async () => {
    const blocker = await publisher.open(database);
    await blocker.execute('begin; select pg_catalog.txid_current()');
    const { host, port, user, password } = publisher;
    const connection = `host=${host} port=${port} dbname=${database} user=${user} password=${password} sslmode=disable`;
    const options = { slotName: `${slotName}_late` };
    const body = { name: 'late', connection, publications: ['p'], options, slotDeadlineMs: 600 };
    const late = await api.post(base, body);
    expect(late).toMatchObject({ status: 504, body: { code: 'SERVER_TIMEOUT', retryable: true } });
    const [first] = late.body.blockers.filter(({ pid }: { pid: number }) => pid === blocker.backendPid);
    expect(first).toMatchObject({ user: 'postgres', query: expect.stringContaining('txid_current') });
    expect(first.ageSeconds).toBeGreaterThan(0.5);
    expect(late.text).not.toContain(password);
    await blocker.execute('rollback');
    await blocker.close();
    // The publisher's walsender still waits for the transaction; then it finds its client gone, and the slot goes.
    const slot = `/v1/servers/source/replication-slots/${slotName}_late`;
    await eventually(async () => (await api.get(slot)).status === 404, { within: 20_000 });
    expect((await api.get(`${base}/late`)).status).toBe(404);
  }, 60_000);

  it('tells a publisher that does not answer from a transaction that is in the way, with a raw connection string', async () => {
    const network = await Network.to(publisher.port);
    const { host, user, password } = publisher;
    const connection = `host=${host} port=${network.port} dbname=${database} user=${user} password=${password} sslmode=disable`;
    const options = { slotName: `${slotName}_far` };
    const body = { name: 'far', connection, publications: ['p'], options, slotDeadlineMs: 600 };
    const blocker = await publisher.open(database);
    try {
      network.freeze();
      const silent = await api.post(base, body);
      expect(silent).toMatchObject({
        status: 504,
        body: {
          code: 'SERVER_TIMEOUT',
          publisherReached: false,
          blockers: null,
          hint: expect.stringContaining('firewalls'),
        },
      });
      expect(silent.body.detail).toContain(`127.0.0.1:${network.port} does not answer`);
      expect(silent.text).not.toContain(password);
      network.thaw();
      await blocker.execute('begin; select pg_catalog.txid_current()');
      const late = await api.post(base, body);
      expect(late).toMatchObject({ status: 504, body: { publisherReached: true } });
      expect(late.body.detail).toContain('waits for');
      expect(late.body.blockers.map(({ pid }: { pid: number }) => pid)).toContain(blocker.backendPid);
    } finally {
      await blocker.close();
      const slot = `/v1/servers/source/replication-slots/${slotName}_far`;
      await eventually(async () => (await api.get(slot)).status === 404, { within: 20_000 });
      await network.cut();
    }
  }, 60_000);

  it('is not streaming while its worker waits for a publisher that does not speak', async () => {
    const silent = createServer((socket) => socket.on('error', () => {}));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    await subscriber.run(
      database,
      `create subscription unheard connection 'host=127.0.0.1 port=${port} sslmode=disable password=unasked' publication p
         with (connect = false, slot_name = unheard);
       alter subscription unheard enable`,
    );
    try {
      const waiting = await eventually(
        async () => {
          const { status, body } = await api.get(`${base}/unheard`);
          expect(status).toBe(200);
          return body.workers.length > 0 && body;
        },
        { within: 20_000 },
      );
      expect(waiting).toMatchObject({
        state: 'catching-up',
        reason: expect.stringContaining('received nothing yet'),
        workers: [{ receivedLsn: null }],
        lag: { bytes: null },
      });
    } finally {
      await subscriber.run(
        database,
        'alter subscription unheard disable; alter subscription unheard set (slot_name = none); drop subscription unheard',
      );
      silent.close();
    }
  }, 60_000);

  it('warns of options that its publisher is too old to heed, and refuses those it refuses', async () => {
    const options = { slotName: `${slotName}_2`, copyData: false, ...(to >= 16 ? { origin: 'none' } : {}) };
    const body = { name: 'second', publisher: publisherPlace, publications: ['p'], options };
    const planned = await api.post(`${base}?dryRun=true`, body);
    const created = await api.post(base, body);
    expect(created.status).toBe(201);
    const second = `${base}/second`;
    try {
      const patched = await api.call('PATCH', `${second}?dryRun=true`, { options: { streaming: 'on' } });
      if (to < 16) {
        // Nothing asked for is unknown to its publisher; what the subscriber itself lacks is refused.
        expect([planned.body.warnings, created.body.warnings]).toEqual([[], []]);
        expect(patched).toMatchObject(to < 14 ? { status: 422 } : { status: 200, body: { warnings: [] } });
        return;
      }
      const ignored = { rule: 'older-publisher', option: 'origin', detail: expect.stringContaining('ignores origin') };
      expect(planned.body.warnings).toEqual([ignored]);
      expect(created.body.warnings).toEqual([ignored]);
      // What is the version's own default was asked for by nobody.
      expect((await api.get(second)).body.warnings).toEqual([ignored]);
      const parallel = await api.call('PATCH', `${second}?dryRun=true`, { options: { streaming: 'parallel' } });
      expect(parallel.body.warnings).toMatchObject([
        { option: 'streaming', detail: expect.stringContaining('needs 16') },
      ]);
      const failover = { ...body, name: 'third', options: { slotName: 'third', failover: true } };
      for (const query of ['', '?dryRun=true']) {
        expect(await api.post(`${base}${query}`, failover)).toMatchObject({
          status: 422,
          body: { code: 'OPTION_NOT_SUPPORTED', rule: 'older-publisher', minimumVersion: 17, serverVersion: from },
        });
      }
      expect((await api.get('/v1/servers/source/replication-slots/third')).status).toBe(404);
      const { host, port, user, password } = publisher;
      const connection = `host=${host} port=${port} dbname=${database} user=${user} password=${password}`;
      const raw = await api.post(`${base}?dryRun=true`, {
        ...{ name: 'raw', connection, publications: ['p'], options: { origin: 'none' } },
      });
      expect(raw.body.warnings).toEqual([ignored]);
    } finally {
      await api.call('DELETE', second);
    }
  }, 60_000);
});
