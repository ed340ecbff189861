import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LinkFixture } from '../database/verification/link-fixture.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

describe('a table being copied afresh when the process dies', () => {
  const database = 'resync_crash';
  let link: LinkFixture;
  let lockstep: Lockstep;

  beforeAll(async () => {
    const servers = [await TestServer.shared(14), await TestServer.shared(AVAILABLE_MAJORS.at(-1)!)] as const;
    link = await LinkFixture.create(...servers, database);
    await link.readers.drop();
    lockstep = await Lockstep.start();
    for (const [name, { host, port, user, password }] of Object.entries({ old: servers[0], new: servers[1] })) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', body);
    }
  }, 120_000);

  afterAll(async () => {
    await lockstep?.dispose();
    await link?.drop();
  });

  const subscription = () => `/v1/servers/new/databases/${database}/subscriptions/${link.subscription}`;
  const count = () =>
    link.subscriber.withSession(database, async (session) => {
      return (await session.row<{ n: number }>('select count(*)::int as n from sales.by_index')).n;
    });

  it.each(['resync.copied'])(
    'at %s: nothing is lost or left, applying goes on at once, and the next start copies it',
    async (point) => {
      await lockstep.kill();
      await lockstep.launch({ LOCKSTEP_FAILPOINTS: `${point}=kill` });
      await link.plant(`delete from sales.by_index where code like '%3'`);
      const { id } = await lockstep.ok<{ id: string }>('POST', `${subscription()}/tables/sales/by_index/resync`);
      await lockstep.ended(30_000);
      expect(lockstep.signal).toBe('SIGKILL');
      // Lockstep is gone, and its lock and its transaction with it.
      expect(await count()).toBe(450);
      await link.publisher.run(database, `update sales.by_index set note = '${point}' where code = 'c1'`);
      await eventually(
        () =>
          link.subscriber.withSession(database, async (session) => {
            return (await session.rows(`select from sales.by_index where note = '${point}'`)).length === 1;
          }),
        { within: 30_000 },
      );

      await lockstep.launch();
      const ended = await eventually(
        async () => {
          const operation = await lockstep.ok<{ state: string }>('GET', `/v1/operations/${id}`);
          return ['succeeded', 'failed'].includes(operation.state) ? operation : null;
        },
        { within: 60_000 },
      );
      expect(ended).toMatchObject({ state: 'succeeded', result: { rows: 500 } });
      expect(await count()).toBe(500);
      expect(await lockstep.ok('GET', subscription())).toMatchObject({ enabled: true });
      const slots = await link.publisher.withSession(database, (session) =>
        session.rows('select from pg_replication_slots where database = $1 and slot_name <> $2', [
          database,
          link.subscription,
        ]),
      );
      expect(slots).toEqual([]);
    },
    120_000,
  );
});
