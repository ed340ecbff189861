import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const ORPHANS = '/v1/orphaned-slots';

describe.each([
  [14, 18],
  [17, 15],
  [18, 13],
])('a subscription whose publisher is dead, %i -> %i', (from, to) => {
  const database = `orphans_${from}_${to}`;
  const name = `Odd "sub" ${from}`;
  const slotName = `left_by_${to}`;
  const base = `/v1/servers/sink/databases/${database}/subscriptions`;
  const path = `${base}/${encodeURIComponent(name)}`;
  const slots = '/v1/servers/source/replication-slots';
  let state: TestServer;
  let publisher: TestServer;
  let subscriber: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [state, publisher, subscriber] = await Promise.all([
      TestServer.shared(18),
      TestServer.start(from),
      TestServer.shared(to),
    ]);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, 'create table t (id int primary key)');
    }
    await publisher.run(database, 'create publication p for table t');
    api = await ApiUnderTest.start(state, await state.freshDatabase(`${database}_state`), {
      imports: [PublicationsModule, SubscriptionsModule, ReplicationSlotsModule],
    });
    for (const [server, { host, port, user, password }] of [
      ['source', publisher],
      ['sink', subscriber],
    ] as const) {
      const body = { name: server, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
  }, 120_000);

  afterAll(async () => {
    await api?.call('DELETE', `${path}?slot=keep`).catch(() => {});
    await api?.stop();
    for (const server of [state, publisher, subscriber]) await server?.stop();
  }, 60_000);

  const orphans = async () => (await api.get(ORPHANS)).body.items;
  const until = (holds: (view: Record<string, unknown>) => boolean) =>
    eventually(
      async () => {
        const { body } = await api.get(path);
        if (!holds(body)) throw new Error(JSON.stringify(body));
        return body;
      },
      { within: 30_000, every: 50 },
    );
  const subscribe = async () => {
    const publications = ['p'];
    const body = { name, publisher: { server: 'source', database }, publications, options: { slotName } };
    expect((await api.post(base, body)).status).toBe(201);
    await until((view) => view.state === 'streaming');
  };

  it('says that it stands still and why, and its lag is unknown', async () => {
    await subscribe();
    await publisher.crash();
    const stalled = await until((view) => view.state === 'stalled' && view.slot === null);
    expect(stalled.reason).toContain('the publisher source did not answer');
    expect(stalled.lag).toMatchObject({
      bytes: null,
      seconds: null,
      reason: expect.stringContaining('did not answer'),
    });
  }, 60_000);

  it('is not dropped with its slot, and the refusal says how to go on and what stays', async () => {
    const planned = await api.call('DELETE', `${path}?dryRun=true`);
    expect(planned.status).toBe(200);
    expect(planned.body.warnings).toMatchObject([
      { rule: 'drop-needs-publisher', detail: expect.stringContaining('?slot=keep') },
    ]);
    const refused = await api.call('DELETE', path);
    expect(refused).toMatchObject({
      status: 409,
      body: {
        code: 'CONFLICT',
        retryable: true,
        rule: 'drop-needs-publisher',
        retryWith: '?slot=keep',
        hint: expect.stringMatching(new RegExp(`slot=keep.*${slotName}.*stays.*/v1/orphaned-slots`)),
        wouldStay: { name: slotName, publisher: { server: 'source', database } },
      },
    });
    expect(refused.text).not.toContain(publisher.password);
    expect((await api.get(path)).body).toMatchObject({ enabled: true, slotName });
    expect(await orphans()).toEqual([]);
  }, 60_000);

  it('is dropped without it, which is recorded with where it is and whose it was', async () => {
    const planned = await api.call('DELETE', `${path}?slot=keep&dryRun=true`);
    expect(planned.body.statements.map(({ sql }: { sql: string }) => sql)).toEqual([
      expect.stringContaining('disable'),
      ...(to < 14 ? [] : [expect.stringContaining("port=''0''")]),
      expect.stringContaining('slot_name = none'),
      expect.stringContaining('drop subscription'),
    ]);
    expect(planned.body.warnings).toEqual([]);
    expect(await orphans()).toEqual([]);
    const dropped = await api.call('DELETE', `${path}?slot=keep`);
    const cleanUp = { method: 'DELETE', path: `${slots}/${slotName}`, sql: expect.stringContaining(slotName) };
    expect(dropped).toMatchObject({
      status: 200,
      body: { name, slotLeft: { name: slotName, port: String(publisher.port), database, cleanUp } },
    });
    expect((await api.get(path)).status).toBe(404);
    const listed = await api.get(ORPHANS);
    expect(listed.text).not.toContain(publisher.password);
    expect(listed.body.items).toEqual([
      {
        id: expect.any(String),
        slot: slotName,
        publisher: { server: 'source', host: '127.0.0.1', port: String(publisher.port), database },
        subscriber: { server: 'sink', database, subscription: name },
        leftAt: expect.any(String),
        state: 'unknown',
        reason: expect.stringContaining('127.0.0.1'),
        retainedBytes: null,
        cleanUp,
      },
    ]);
  }, 60_000);

  it('is known to the publisher that is back as an orphan with its origin, and cleaned up', async () => {
    await publisher.restart();
    const [orphan] = await eventually(
      async () => {
        const items = await orphans();
        return items[0]?.state === 'orphan' && items;
      },
      { within: 40_000, every: 100 },
    );
    expect(orphan).toMatchObject({ reason: null, retainedBytes: expect.any(Number) });
    const found = (await api.get(slots)).body.items.find((slot: { name: string }) => slot.name === slotName);
    expect(found).toMatchObject({
      orphan: true,
      ownerReason: null,
      owner: { kind: 'subscription', name, server: 'sink', database, live: false },
    });
    expect(found.owner.detail).toContain('which was dropped without it');
    expect((await api.call('DELETE', `${orphan.cleanUp.path}?dryRun=true`)).status).toBe(200);
    expect(await orphans()).toHaveLength(1);
    expect((await api.call(orphan.cleanUp.method, orphan.cleanUp.path)).status).toBe(204);
    expect(await orphans()).toEqual([]);
    expect((await api.get(`${slots}/${slotName}`)).status).toBe(404);
  }, 60_000);

  it('is forgotten when its slot was dropped by others, and is none while the slot is in use again', async () => {
    await subscribe();
    expect((await api.call('DELETE', `${path}?slot=keep`)).status).toBe(200);
    await eventually(async () => (await orphans())[0]?.state === 'orphan', { within: 20_000 });
    const publications = ['p'];
    const options = { slotName, createSlot: false, copyData: false };
    const again = await api.post(base, { name, publisher: { server: 'source', database }, publications, options });
    expect(again.status).toBe(201);
    expect(await orphans()).toMatchObject([{ state: 'in-use', reason: expect.stringContaining('Odd') }]);
    expect((await api.get(`${slots}/${slotName}`)).body).toMatchObject({ orphan: false, owner: { live: true } });
    expect((await api.call('DELETE', path)).status).toBe(200);
    expect(await orphans()).toEqual([]);
  }, 60_000);

  it('leaves a slot on a server that is not registered on record until it is told to forget it', async () => {
    await subscribe();
    const connection = `host=127.0.0.1 port=1 dbname=${database} user=nobody password=never-shown`;
    expect((await api.call('PATCH', path, { connection, force: true })).status).toBe(200);
    const dropped = await api.call('DELETE', `${path}?slot=keep`);
    expect(dropped.body.slotLeft).toMatchObject({ publisher: null, port: '1', cleanUp: { method: null, path: null } });
    const listed = await api.get(ORPHANS);
    expect(listed.text).not.toContain('never-shown');
    type Listed = { id: string; publisher: { port: string } };
    // Beside the one that it read from before.
    const orphan = (listed.body.items as Listed[]).find(({ publisher }) => publisher.port === '1')!;
    expect(orphan).toMatchObject({
      publisher: { server: null, host: '127.0.0.1', port: '1', database },
      state: 'unknown',
      reason: expect.stringContaining('not a registered server'),
    });
    expect((await api.call('DELETE', `${ORPHANS}/${orphan.id}?dryRun=true`)).status).toBe(200);
    expect(await orphans()).toHaveLength(2);
    expect((await api.call('DELETE', `${ORPHANS}/${orphan.id}`)).status).toBe(204);
    expect(await orphans()).toMatchObject([{ slot: slotName, publisher: { server: 'source' } }]);
    expect((await api.call('DELETE', `${ORPHANS}/${orphan.id}`)).status).toBe(404);
    await eventually(async () => (await api.call('DELETE', `${slots}/${slotName}`)).status === 204, { within: 20_000 });
    expect(await orphans()).toEqual([]);
  }, 60_000);
});
