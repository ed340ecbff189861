import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { SUBSCRIBER_MAJORS, TestServer } from '../support/postgres-fleet.js';

interface Orphans {
  items: { slot: string; state: string; cleanUp: { path: string } }[];
}

describe('a subscription being dropped without its slot when the process dies', () => {
  const database = 'drop_crash';
  const path = `/v1/servers/new/databases/${database}/subscriptions/dying`;
  let publisher: TestServer;
  let subscriber: TestServer;
  let lockstep: Lockstep;

  beforeAll(async () => {
    const to = SUBSCRIBER_MAJORS.includes(15) ? 15 : 16;
    [publisher, subscriber] = await Promise.all([TestServer.shared(17), TestServer.shared(to)]);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, 'create table t (id int primary key)');
    }
    await publisher.run(database, 'create publication p for table t');
    lockstep = await Lockstep.start();
    for (const [name, { host, port, user, password }] of Object.entries({ old: publisher, new: subscriber })) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', body);
    }
    const body = { name: 'dying', publisher: { server: 'old', database }, publications: ['p'] };
    await lockstep.ok('POST', path.replace('/dying', ''), body);
  }, 120_000);

  afterAll(async () => {
    await lockstep?.dispose();
    await subscriber
      ?.run(
        database,
        'alter subscription dying disable; alter subscription dying set (slot_name = none); drop subscription dying',
      )
      .catch(() => {});
    await publisher?.run(database, `select pg_catalog.pg_drop_replication_slot('dying')`).catch(() => {});
    for (const server of [publisher, subscriber]) await server?.stop();
  });

  const dieAt = async (point: string) => {
    await lockstep.kill();
    await lockstep.launch({ LOCKSTEP_FAILPOINTS: `${point}=kill` });
    await lockstep.request('DELETE', `${path}?slot=keep`).catch(() => {});
    await lockstep.ended(30_000);
    expect(lockstep.signal).toBe('SIGKILL');
    await lockstep.launch();
  };
  const orphans = async () => (await lockstep.ok<Orphans>('GET', '/v1/orphaned-slots')).items;

  it('after the slot was recorded: the subscription is there, and the record goes', async () => {
    await dieAt('subscription.drop.recorded');
    await eventually(async () => (await orphans()).length === 0, { within: 20_000 });
    expect(await lockstep.ok('GET', path)).toMatchObject({ enabled: true, slotName: 'dying' });
  }, 120_000);

  it('after it was dropped: the slot is an orphan, and is cleaned up', async () => {
    await dieAt('subscription.drop.done');
    expect((await lockstep.request('GET', path)).status).toBe(404);
    const [orphan] = await eventually(
      async () => {
        const items = await orphans();
        return items[0]?.state === 'orphan' ? items : null;
      },
      { within: 20_000, every: 100 },
    );
    await lockstep.ok('DELETE', orphan!.cleanUp.path);
    expect(await orphans()).toEqual([]);
  }, 120_000);
});
