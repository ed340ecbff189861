import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createOrigin, dropOrigin } from '../../src/verification/repair/repair-origin.js';
import { literal } from '../../src/postgres/quoting.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { LinkFixture } from './verification/link-fixture.js';
import { repair } from './verification/repairing.js';

describe('repair of tables that both sides write and send to each other, 17 -> 16', () => {
  const database = 'repair_both_ways';
  const origin = 'lockstep_r_both_ways';
  let link: LinkFixture;

  beforeAll(async () => {
    link = await LinkFixture.create(await TestServer.shared(17), await TestServer.shared(16), database, {
      ...{ publisher: '', subscriber: 'create publication back_pub for table sales.by_index', publications: [] },
      options: 'origin = none, copy_data = false',
    });
    await link.subscriber.run(database, 'alter table sales.by_index replica identity using index by_index_identity');
  }, 120_000);
  afterAll(async () => {
    await link?.publisher.run(
      database,
      'alter subscription back disable; alter subscription back set (slot_name = none); drop subscription back',
    );
    await link?.subscriber.run(database, `select pg_drop_replication_slot('repair_back')`);
    await link?.drop();
  });

  it('is refused, as what differs may be right and still on its way', async () => {
    // Without the copy the tables begin as they are here.
    await link.plant(`insert into sales.by_index select 'c' || i, 'r' || i % 4, 'n' from generate_series(1, 500) i`);
    await link.subscriber.withSession(database, (session) =>
      session.rows(`select pg_create_logical_replication_slot('repair_back', 'pgoutput')`),
    );
    const { host, port, user, password } = link.subscriber;
    const conninfo = literal(`host=${host} port=${port} user=${user} password=${password} dbname=${database}`);
    await link.publisher.run(
      database,
      `create subscription back connection ${conninfo} publication back_pub
         with (create_slot = false, slot_name = repair_back, copy_data = false, origin = none)`,
    );
    // A write of an application, here, arrives there, and the rows that differ are those that are planted quietly.
    await link.plant(`update sales.by_index set note = 'ours' where code = 'c1'`);
    const there = (code: string) =>
      link.publisher.withSession(database, async (session) => {
        const rows = await session.rows<{ note: string }>('select note from sales.by_index where code = $1', [code]);
        return rows[0]?.note ?? null;
      });
    await eventually(async () => (await there('c1')) === 'ours', { within: 30_000 });

    expect(await createOrigin(link.subscriber.target(database), origin)).toBe(true);
    const tables = [{ schema: 'sales', name: 'by_index' }];
    await link.subscriber.withSession(database, async (session) => {
      await session.rows('select pg_replication_origin_session_setup($1)', [origin]);
      await session.execute(
        `delete from sales.by_index where code in ('c2', 'c3'); update sales.by_index set note = 'wrong' where code = 'c4'`,
      );
    });
    const found = await link.verify({ tables });
    expect(found.differences).toHaveLength(3);

    // What an application wrote here, and has not reached the publisher, looks the same.
    const refused = {
      outcome: 'not-repairable',
      reason: expect.stringContaining('the publisher subscribes to the table itself (back)'),
    };
    expect(await repair(link, found, 'quiet', origin)).toMatchObject(Array(3).fill(refused));
    expect(await link.verify({ tables })).toMatchObject({ verdict: 'different' });
    await dropOrigin(link.subscriber.target(database), origin);
    expect(
      await link.subscriber.withSession(database, (session) =>
        session.rows('select from pg_replication_origin where roname = $1', [origin]),
      ),
    ).toEqual([]);
  }, 120_000);
});
