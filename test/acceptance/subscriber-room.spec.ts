import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { type Answer, ApiUnderTest } from './security-app.js';

const RULE = 'subscriber-has-room';
const WORKERS = 'max_logical_replication_workers';
const NAMES = ['first', 'second', 'third', 'fourth'];
const LOW = 'room_low';

describe.each([
  [17, 14],
  [15, 16],
  [14, 18],
])('a subscriber without room for another subscription, %i -> %i', (from, to) => {
  const database = `room_${from}_${to}`;
  const base = `/v1/servers/sink/databases/${database}/subscriptions`;
  const origins = to >= 18 ? 'max_active_replication_origins' : 'max_replication_slots';
  let publisher: TestServer;
  let subscriber: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [publisher, subscriber] = await Promise.all([TestServer.shared(from), TestServer.start(to, { [WORKERS]: '2' })]);
    const tables = NAMES.map((name) => `create table ${name} (id int primary key);`).join('');
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, `${tables} create table late (id int primary key)`);
    }
    for (const name of NAMES) {
      await publisher.run(database, `insert into ${name} values (1); create publication ${name} for table ${name}`);
    }
    await subscriber.run('postgres', `create role ${LOW} login password 'of-the-low'`);
    const state = await TestServer.shared(18);
    api = await ApiUnderTest.start(state, await state.freshDatabase(`${database}_state`), {
      imports: [SubscriptionsModule],
    });
    for (const [name, { host, port, user, password }] of [
      ['source', publisher],
      ['sink', subscriber],
      ['sink-by-low', { ...subscriber.target(), user: LOW, password: 'of-the-low' }],
    ] as const) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
  }, 60_000);

  afterAll(async () => {
    for (const name of NAMES) await api?.call('DELETE', `${base}/${name}`).catch(() => {});
    await api?.stop();
    for (const server of [publisher, subscriber]) await server?.stop();
  }, 60_000);

  const create = (name: string, options: object = {}, query = '', path = base) => {
    const body = { name, publisher: { server: 'source', database }, publications: [name] };
    return api.post(`${path}${query}`, { ...body, options: { slotName: `${database}_${name}`, ...options } });
  };
  const created = async (...given: Parameters<typeof create>) => {
    const answer = await create(...given);
    if (answer.status !== 201) throw new Error(answer.text);
    return answer;
  };
  const shortages = ({ body }: Answer): string[] =>
    (body.warnings as { rule: string; option: null; detail: string }[])
      .filter(({ rule }) => rule === RULE)
      .map(({ detail }) => detail);
  const states = async (server = 'sink') => {
    const { items } = (await api.get(`/v1/servers/${server}/databases/${database}/subscriptions`)).body;
    return items as { name: string; state: string; reason: string | null; workers: { kind: string }[] }[];
  };
  const told = (seen: Awaited<ReturnType<typeof states>>) =>
    seen.map(({ name, state, reason }) => `${name}: ${state} (${reason})`).join('\n');
  /** Those without an apply worker, once as many have one as there is room for. */
  const idle = (running: number) =>
    eventually(
      async () => {
        const seen = await states();
        const without = seen.filter(({ workers }) => !workers.some(({ kind }) => kind === 'apply'));
        if (seen.length - without.length !== running || without.some(({ state }) => state !== 'stalled')) {
          throw new Error(told(seen));
        }
        return without;
      },
      { within: 30_000 },
    );
  const streaming = (count: number) =>
    eventually(
      async () => {
        const seen = await states();
        const all = seen.length === count && seen.every(({ state }) => state === 'streaming');
        return all || Promise.reject(new Error(told(seen)));
      },
      { within: 30_000 },
    );
  const set = async (setting: string, value: number) => {
    await subscriber.run('postgres', `alter system set ${setting} = ${value}`);
    await subscriber.restart();
  };
  it('of workers: warns before first copies, or a subscription, have none, and shows what it comes to', async () => {
    // Its apply worker, and one for its copy.
    expect(shortages(await create('first', {}, '?dryRun=true'))).toEqual([]);
    expect(shortages(await created('first'))).toEqual([]);
    await streaming(1);

    expect(shortages(await create('second', { copyData: false }, '?dryRun=true'))).toEqual([]);
    expect(shortages(await create('second', { enabled: false }, '?dryRun=true'))).toEqual([]);
    const planned = shortages(await create('second', {}, '?dryRun=true'));
    expect(planned).toHaveLength(1);
    for (const text of [
      `${WORKERS} = 2`,
      '1 is taken',
      'first copies do not begin',
      `set ${WORKERS} = 3; then restart`,
    ]) {
      expect(planned[0]).toContain(text);
    }
    expect(shortages(await created('second'))).toEqual(planned);
    const uncopied = await eventually(
      async () => (await states()).find(({ name, workers }) => name === 'second' && workers.length === 1),
      { within: 10_000 },
    );
    expect(uncopied.reason).toContain(`${WORKERS} = 2`);
    await eventually(() => subscriber.log().includes('out of logical replication worker slots'), { within: 10_000 });

    expect((await created('third', { enabled: false })).body.warnings).toEqual([]);
    for (const query of ['?dryRun=true', '']) {
      const [enabled, ...more] = shortages(await api.post(`${base}/third/enable${query}`));
      expect(more).toEqual([]);
      expect(enabled).toContain('2 are taken');
      expect(enabled).toContain('not all of them run');
    }
    const [third] = await idle(2);
    expect(third!.reason).toMatch(/no apply worker is running.*the 3 enabled subscriptions/);
    expect(third!.reason).toContain(`${WORKERS} = 2`);
    // What they take of the cluster is not hidden from a login that may see little else.
    const [seen] = (await states('sink-by-low')).filter(({ name }) => name === third!.name);
    expect(seen!.reason).toContain(`${WORKERS} = 2`);
  }, 90_000);

  it('of workers: warns where tables that are taken up are not copied', async () => {
    await publisher.run(database, 'alter publication first add table late');
    for (const query of ['?dryRun=true', '']) {
      const [refreshed] = shortages(await api.post(`${base}/first/refresh${query}`));
      expect(refreshed).toContain(`${WORKERS} = 2`);
    }
    await publisher.run(database, 'create table later (id int primary key); create publication more for table later');
    await subscriber.run(database, 'create table later (id int primary key)');
    for (const query of ['?dryRun=true', '']) {
      const patched = await api.call('PATCH', `${base}/first${query}`, { addPublications: ['more'] });
      expect(patched.status).toBe(200);
      expect(shortages(patched)[0]).toContain(`${WORKERS} = 2`);
    }
    expect(shortages(await api.call('PATCH', `${base}/first`, { options: { synchronousCommit: 'local' } }))).toEqual(
      [],
    );
    // With the room that was asked for all of them run.
    await set(WORKERS, 16);
    await streaming(3);
    const refreshed = await api.post(`${base}/first/refresh`);
    expect([refreshed.status, shortages(refreshed)]).toEqual([200, []]);
  }, 90_000);

  it('of origins', async () => {
    await set(origins, 3);
    await streaming(3);
    const [planned, ...more] = shortages(await create('fourth', {}, '?dryRun=true'));
    expect(more).toEqual([]);
    for (const text of [`${origins} = 3`, '3 are taken', `set ${origins} = 5`]) expect(planned).toContain(text);
    // Which of those that exist are tracked is not for everybody to see.
    const low = await create('fourth', {}, '?dryRun=true', base.replace('/sink/', '/sink-by-low/'));
    expect(shortages(low)[0]).toContain(`${origins} = 3, of which up to 3 are taken`);
    expect(shortages(await created('fourth'))).toEqual([planned]);
    const [fourth] = await idle(3);
    expect(fourth!.reason).toContain(`${origins} = 3`);
    expect(subscriber.log()).toContain('could not find free replication state slot');
    await set(origins, 20);
    await streaming(4);
  }, 90_000);

  it('of worker processes', async () => {
    // One is the launcher's.
    await set('max_worker_processes', 4);
    const [idler] = await idle(3);
    expect(idler!.reason).toContain('max_worker_processes = 4');
    const [planned, ...more] = shortages(await api.post(`${base}/fourth/enable?dryRun=true`));
    expect(more).toEqual([]);
    expect(planned).toContain('max_worker_processes = 4');
    expect(planned).toContain('set max_worker_processes = 5;');
    expect((await api.post(`${base}/fourth/disable`)).status).toBe(200);
    await eventually(
      async () => {
        const others = (await states()).filter(({ name }) => name !== 'fourth');
        return others.every(({ state }) => state === 'streaming');
      },
      { within: 30_000 },
    );
  }, 90_000);
});
