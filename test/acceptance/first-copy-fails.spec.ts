import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { SubscriptionView } from '../../src/subscriptions/subscription-view.js';
import { LinksModule } from '../../src/links/links.module.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const TABLES = 'create table fine (id int primary key); create table "Blocked ü" (id int primary key)';

describe.each([
  [14, 18],
  [18, 14],
  [15, 13],
  [16, 17],
])('a first copy that fails for ever, %i -> %i', (from, to) => {
  const database = `copy_fails_${from}_${to}`;
  const path = `/v1/servers/sink/databases/${database}/subscriptions/copies`;
  let state: TestServer;
  let publisher: TestServer;
  let subscriber: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [state, publisher, subscriber] = await Promise.all([
      TestServer.shared(18),
      TestServer.shared(from),
      TestServer.shared(to),
    ]);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, `${TABLES}; insert into "Blocked ü" values (1)`);
    }
    await publisher.run(database, 'insert into fine values (1); create publication p for table fine, "Blocked ü"');
    api = await ApiUnderTest.start(state, await state.freshDatabase(`${database}_state`), {
      imports: [LinksModule],
      environment: { LOCKSTEP_SCHEMA_DRIFT_SECONDS: '0' },
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
  }, 60_000);

  const until = (holds: (view: SubscriptionView) => boolean) =>
    eventually(
      async () => {
        const body = (await api.get(path)).body as SubscriptionView;
        if (!holds(body)) throw new Error(JSON.stringify(body, null, 1));
        return body;
      },
      { within: 45_000, every: 200 },
    );

  it('is told of the subscription and of the table, and of no other; and no more once it went through', async () => {
    const created = await api.post(`/v1/servers/sink/databases/${database}/subscriptions`, {
      name: 'copies',
      publisher: { server: 'source', database },
      publications: ['p'],
      options: { slotName: database },
    });
    expect(created.status).toBe(201);
    const failing = await until(({ state, tables }) => state === 'failing' && tables.some((t) => t.state === 'ready'));
    expect(failing.reason).toContain('public.Blocked ü');
    expect(failing.reason).not.toContain('public.fine');
    const why = to < 15 ? /counts no errors.*server log/ : /[1-9]\d* table synchronization errors? .* counted within/;
    expect(failing.tables).toMatchObject([
      { name: 'Blocked ü', state: 'copying', copyFailure: expect.stringMatching(why) },
      { name: 'fine', state: 'ready', copyFailure: null },
    ]);
    expect((await api.get(`/v1/links/sink/${database}/copies`)).body).toMatchObject({
      state: 'failing',
      reason: expect.stringContaining('public.Blocked ü'),
    });
    await subscriber.run(database, 'delete from "Blocked ü"');
    const streaming = await until((view) => view.state === 'streaming');
    expect(streaming.tables.map(({ name, copyFailure }) => [name, copyFailure])).toEqual([
      ['Blocked ü', null],
      ['fine', null],
    ]);
    expect(streaming.reason).toBeNull();
  }, 120_000);
});
