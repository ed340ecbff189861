import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import type { SubscriptionView } from '../../src/subscriptions/subscription-view.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { OWNER_LOGIN } from '../support/owner-login.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const SAMPLES = `select from lockstep.lsn_sample where server = 'source'`;
const OWNER = 'options_live_owner';
const TABLES = [
  ...['narrow', 'owned', 'plain', 'made', 'behind', 'copied'].map((table) => ({ schema: 'public', name: table })),
];

/** Options do what they say: each is given over HTTP, read back, and seen at work. */
describe.each([
  [17, 18],
  [18, 17],
  [16, 18],
])('options of subscriptions at work, %i -> %i', (from, to) => {
  const database = `options_live_${from}_${to}`;
  const base = `/v1/servers/sink/databases/${database}/subscriptions`;
  const publications = `/v1/servers/source/databases/${database}/publications`;
  let state: TestServer;
  let publisher: TestServer;
  let subscriber: TestServer;
  let api: ApiUnderTest;
  const made: string[] = [];

  beforeAll(async () => {
    state = await TestServer.shared(18);
    [publisher, subscriber] = await Promise.all([TestServer.shared(from), TestServer.shared(to)]);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(
        database,
        `create table owned (id int primary key, applied_by text); create table plain (id int primary key);
         create table behind (id int primary key); create table copied (id int primary key)`,
      );
    }
    await publisher.run(
      database,
      `create table narrow (id int primary key, value int);
       create table made (id int primary key, doubled int generated always as (id * 2) stored);
       insert into copied values (1), (2)`,
    );
    await subscriber.run(
      database,
      `create table narrow (id int primary key, value bigint); create table made (id int primary key, doubled int);
       do $$ begin create role ${OWNER} login; exception when duplicate_object or unique_violation then null; end $$;
       grant create on database ${database} to ${OWNER}; grant usage, create on schema public to ${OWNER};
       ${OWNER_LOGIN === null ? '' : `grant ${OWNER} to ${OWNER_LOGIN.user};`}
       alter table owned owner to ${OWNER}; alter table plain owner to ${OWNER};
       create function applied() returns trigger language plpgsql as
         $$ begin new.applied_by := current_user; return new; end $$;
       create trigger applied before insert on owned for each row execute function applied();
       alter table owned enable always trigger applied`,
    );
    api = await ApiUnderTest.start(state, await state.freshDatabase(`${database}_state`), {
      imports: [PublicationsModule, SubscriptionsModule, ReplicationSlotsModule],
      environment: { LOCKSTEP_LSN_SAMPLE_SECONDS: '1' },
    });
    for (const [name, { host, port, user, password }] of [
      ['source', publisher],
      ['sink', subscriber],
    ] as const) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
    for (const table of TABLES) {
      const body = { name: table.name, target: { kind: 'tables', tables: [table] } };
      expect((await api.post(publications, body)).status).toBe(201);
    }
  }, 60_000);

  afterAll(async () => {
    for (const name of made) await api?.call('DELETE', `${base}/${name}`).catch(() => {});
    await api?.stop();
    await subscriber?.run('postgres', `drop database if exists ${database} with (force)`).catch(() => {});
  }, 60_000);

  const view = async (name: string) => (await api.get(`${base}/${name}`)).body as SubscriptionView;
  const until = (name: string, holds: (view: SubscriptionView) => boolean) =>
    eventually(
      async () => {
        const now = await view(name);
        if (!holds(now)) throw new Error(JSON.stringify(now));
        return now;
      },
      { within: 30_000, every: 50 },
    );
  async function create(table: string, options: Record<string, unknown>, more: Record<string, unknown> = {}) {
    const name = `${table}_sub`;
    const body = {
      ...{ name, publications: [table], publisher: { server: 'source', database }, ...more },
      options: { slotName: `live_${from}_${to}_${table}`, ...options },
    };
    if (more.connection !== undefined) delete (body as { publisher?: unknown }).publisher;
    const created = await api.post(base, body);
    expect([created.status, created.body]).toEqual([201, expect.anything()]);
    made.push(name);
    return created.body as SubscriptionView;
  }
  const patch = async (name: string, body: unknown) => {
    const { status, body: answer } = await api.call('PATCH', `${base}/${name}`, body);
    expect([status, answer]).toEqual([200, expect.anything()]);
  };
  const rows = <T extends Record<string, unknown>>(sql: string) =>
    subscriber.withSession(database, (session) => session.rows<T>(sql));
  const arrives = (sql: string, expected: unknown[]) =>
    eventually(async () => expect(await rows(sql)).toEqual(expected) ?? true, { within: 20_000, every: 50 });

  it('binary refuses what text would take; disableOnError disables the subscription for it, and says so', async () => {
    const created = await create('narrow', { binary: true, disableOnError: true, copyData: false });
    expect(created.options).toMatchObject({ binary: true, disableOnError: true });
    await publisher.run(database, 'insert into narrow values (1, 1)');
    const disabled = await until('narrow_sub', ({ state, reason }) => state === 'disabled' && reason !== null);
    expect(disabled).toMatchObject({ enabled: false, reason: expect.stringContaining('disable_on_error is on') });
    expect(disabled.errors!.apply).toBe(1);
    expect(await rows('select from public.narrow')).toEqual([]);
    await patch('narrow_sub', { options: { binary: false } });
    expect((await api.post(`${base}/narrow_sub/enable`)).status).toBe(200);
    await arrives('select id, value::int as value from public.narrow', [{ id: 1, value: 1 }]);
    expect((await until('narrow_sub', ({ state }) => state === 'streaming')).options).toMatchObject({ binary: false });
  }, 60_000);

  it('runAsOwner applies as the owner of the subscription, else as that of the table', async () => {
    const created = await create('owned', { runAsOwner: true, copyData: false });
    expect(created.options).toMatchObject({ runAsOwner: true });
    await publisher.run(database, 'insert into owned values (1)');
    await arrives('select applied_by from public.owned where id = 1', [{ applied_by: created.owner }]);
    await patch('owned_sub', { options: { runAsOwner: false } });
    expect((await view('owned_sub')).options).toMatchObject({ runAsOwner: false });
    await publisher.run(database, 'insert into owned values (2)');
    await arrives('select applied_by from public.owned where id = 2', [{ applied_by: OWNER }]);
    expect(created.owner).not.toBe(OWNER);
  }, 60_000);

  if (OWNER_LOGIN === null) {
    it('passwordRequired false lets an owner who is no superuser do without a password in the connection string', async () => {
      const file = join(tmpdir(), `lockstep-options-live-${from}-${to}-${process.pid}`);
      const { host, port, user, password } = publisher;
      // The subscriber's own, which libpq takes from nobody else.
      await subscriber.run('postgres', `copy (select '*:*:*:*:${password}') to program 'umask 077; cat > ${file}'`);
      try {
        const connection = `host=${host} port=${port} dbname=${database} user=${user} passfile=${file} sslmode=disable`;
        const created = await create('plain', { passwordRequired: false, copyData: false }, { connection });
        expect(created.options).toMatchObject({ passwordRequired: false });
        await patch('plain_sub', { owner: OWNER });
        await until('plain_sub', ({ state, owner }) => state === 'streaming' && owner === OWNER);
        await publisher.run(database, 'insert into plain values (1)');
        await arrives('select id from public.plain', [{ id: 1 }]);
        await patch('plain_sub', { options: { passwordRequired: true } });
        expect((await view('plain_sub')).options).toMatchObject({ passwordRequired: true });
        await publisher.run(database, 'insert into plain values (2)');
        await until('plain_sub', ({ workers, state }) => state !== 'streaming' && workers.length === 0);
        expect(await rows('select id from public.plain')).toEqual([{ id: 1 }]);
        await patch('plain_sub', { options: { passwordRequired: false } });
        await arrives('select id from public.plain order by id', [{ id: 1 }, { id: 2 }]);
      } finally {
        await api.call('DELETE', `${base}/plain_sub`);
        rmSync(file, { force: true });
      }
    }, 60_000);
  }

  it('a raw connection string, to a publisher that is no registered server: created with its slot, copies and streams', async () => {
    const { host, port, user, password } = publisher;
    const connection = `host=localhost port=${port} dbname=${database} user=${user} password=${password} sslmode=disable`;
    const failover = from >= 17 ? { failover: true } : {};
    expect((await api.call('DELETE', '/v1/servers/source')).status).toBe(204);
    try {
      const created = await create('copied', failover, { connection });
      expect(created).toMatchObject({ publisher: null, connection: { host: 'localhost', dbname: database } });
      await arrives('select id from public.copied order by id', [{ id: 1 }, { id: 2 }]);
      await publisher.run(database, 'insert into copied values (3)');
      await arrives('select id from public.copied order by id', [{ id: 1 }, { id: 2 }, { id: 3 }]);
      const seen = await until('copied_sub', ({ tables }) => tables.every(({ state }) => state === 'ready'));
      expect(seen).toMatchObject({ slot: null, lag: { bytes: null, seconds: null, reason: expect.any(String) } });
      expect(JSON.stringify(seen)).not.toContain(password);
    } finally {
      const body = { name: 'source', host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
    const slot = `/v1/servers/source/replication-slots/live_${from}_${to}_copied`;
    expect((await api.get(slot)).body).toMatchObject({ active: true, failover: from >= 17 ? true : null });
  }, 60_000);

  if (from >= 17) {
    it('failover marks the slot that is made on the publisher, and unmarks it', async () => {
      const created = await create('behind', { failover: true, copyData: false });
      expect(created).toMatchObject({ options: { failover: true }, slot: { failover: true } });
      await api.post(`${base}/behind_sub/disable`);
      await eventually(async () => (await patch('behind_sub', { options: { failover: false } })) ?? true, {
        within: 20_000,
      });
      expect(await view('behind_sub')).toMatchObject({ options: { failover: false }, slot: { failover: false } });
      expect((await api.call('DELETE', `${base}/behind_sub`)).status).toBe(200);
    }, 60_000);
  }

  if (from >= 18) {
    it('generatedColumns stored sends what the publisher computed; none does not', async () => {
      await patchPublication({ generatedColumns: 'stored' });
      await create('made', { copyData: false });
      await publisher.run(database, 'insert into made values (3)');
      await arrives('select id, doubled from public.made', [{ id: 3, doubled: 6 }]);
      await patchPublication({ generatedColumns: 'none' });
      await publisher.run(database, 'insert into made values (4)');
      await arrives('select id, doubled from public.made where id = 4', [{ id: 4, doubled: null }]);
    }, 60_000);
  }

  async function patchPublication(body: { generatedColumns: string }) {
    expect((await api.call('PATCH', `${publications}/made`, body)).status).toBe(200);
    expect((await api.get(`${publications}/made`)).body).toMatchObject(body);
  }

  it('lag.seconds is a number that grows while nothing is applied, and falls once it is', async () => {
    await create('behind', { copyData: false });
    // The clock has a position that the subscription is past: what came before the first one is not known in seconds.
    await eventually(
      () => state.withSession(`${database}_state`, async (session) => (await session.rows(SAMPLES)).length > 0),
      { within: 20_000 },
    );
    await publisher.run(database, 'insert into behind values (0)');
    await arrives('select id from public.behind', [{ id: 0 }]);
    await until('behind_sub', ({ state, lag }) => state === 'streaming' && lag.seconds !== null && lag.seconds < 2);
    const holder = await subscriber.open(database);
    try {
      await holder.execute('begin; lock table public.behind in access exclusive mode');
      await publisher.run(database, 'insert into behind values (1)');
      const first = await until('behind_sub', ({ lag }) => lag.seconds !== null && lag.seconds >= 1);
      expect(first.lag).toMatchObject({ bytes: expect.any(Number), reason: null });
      expect(first.lag.bytes).toBeGreaterThan(0);
      await until('behind_sub', ({ lag }) => lag.seconds !== null && lag.seconds >= first.lag.seconds! + 2);
    } finally {
      await holder.close();
    }
    await arrives('select id from public.behind order by id', [{ id: 0 }, { id: 1 }]);
    await until('behind_sub', ({ lag }) => lag.seconds !== null && lag.seconds < 1);
  }, 90_000);
});
