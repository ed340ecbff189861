import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Problem } from '../../src/problems/problem.js';
import { dropLogicalSlot } from '../../src/postgres/replication/logical-slot.js';
import { publisherSlotName } from '../../src/verification/link/link-objects.js';
import { type ResyncResult, resyncTable } from '../../src/verification/resync/resync-table.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { LinkFixture } from './verification/link-fixture.js';
import { MixedLoad } from './verification/mixed-load.js';

const NEWEST = AVAILABLE_MAJORS.at(-1)!;
/** Rows taken away on the subscriber, so that UPDATEs and DELETEs of them pass without effect and move no position. */
const DAMAGE: Record<string, string> = {
  orders: 'delete from sales.orders where id % 2 = 0',
  items: 'delete from sales.items where order_id % 2 = 0',
  by_index: `delete from sales.by_index where code like '%3'`,
  measured: 'delete from sales.measured where id % 2 = 0',
  full_keyed: 'delete from sales.full_keyed where ctid in (select ctid from sales.full_keyed limit 150)',
  insert_only: 'delete from sales.insert_only',
};
/** All tables on each pair, that many times; unset: some on each, once. */
const LONG = process.env.LOCKSTEP_RESYNC_ROUNDS;
const ROUNDS = Number(LONG ?? '1');

describe.each([
  [13, NEWEST, ['orders', 'by_index', 'insert_only']],
  [16, 14, ['items', 'measured', 'full_keyed']],
])('a table copied afresh under load, %i -> %i', (from, to, some) => {
  const database = `resync_${from}_${to}`;
  const readerId = `${database}_copy`;
  let link: LinkFixture;

  beforeAll(async () => {
    link = await LinkFixture.create(await TestServer.shared(from), await TestServer.shared(to), database);
  }, 120_000);
  afterAll(async () => {
    await link?.publisher.withSession(database, (session) => dropLogicalSlot(session, publisherSlotName(readerId)));
    await link?.drop();
    await link?.publisher.stop();
    await link?.subscriber.stop();
  });

  async function resync(name: string): Promise<ResyncResult> {
    return resyncTable({
      readerId,
      publisher: link.publisher.target(database),
      subscriber: link.subscriber.target(database),
      subscription: link.subscription,
      table: { schema: 'sales', name },
      signal: new AbortController().signal,
      onBytes: () => {},
      onCopy: () => {},
    });
  }

  it('is exactly what the publisher has, whatever was applied meanwhile, with effect or without', async () => {
    const load = MixedLoad.start(link.publisher, database);
    try {
      for (let round = 0; round < ROUNDS; round++) {
        for (const name of LONG === undefined ? some : Object.keys(DAMAGE)) {
          await link.plant(DAMAGE[name]!);
          const { rows } = await resync(name);
          expect([name, rows > 0]).toEqual([name, true]);
          const { tables } = await link.verify({ tables: [{ schema: 'sales', name }] });
          expect([round, tables]).toMatchObject([round, [{ name, verdict: 'equal' }]]);
        }
      }
    } finally {
      await load.stop();
    }
    expect(await link.verify()).toMatchObject({ verdict: 'equal' });
  }, 600_000);

  it('takes in what the worker passed by without effect and has not confirmed yet', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await link.plant('delete from sales.orders');
      // Each row once: one that is lost is not mended by a later one.
      const writing = link.publisher.withSession(database, async (session) => {
        for (let id = 1; id <= 2000; id += 2) {
          await session.execute(`update sales.orders set customer = customer + 100 where id in (${id}, ${id + 1})`);
        }
      });
      const { removed } = await resync('orders');
      expect(removed).toBe(0);
      await writing;
      const { tables } = await link.verify({ tables: [{ schema: 'sales', name: 'orders' }] });
      expect([round, tables]).toMatchObject([round, [{ name: 'orders', verdict: 'equal' }]]);
    }
  }, 600_000);

  it('has its old rows for whoever reads it, until all are new, and again when the copy is undone', async () => {
    const count = async () =>
      link.subscriber.withSession(database, async (session) => {
        const { n } = await session.row<{ n: number }>('select count(*)::int as n from sales.by_index');
        return n;
      });
    await link.plant(`delete from sales.by_index where code like '%7'`);
    const before = await count();
    const aborting = new AbortController();
    const failed = await resyncTable({
      readerId,
      publisher: link.publisher.target(database),
      subscriber: link.subscriber.target(database),
      subscription: link.subscription,
      table: { schema: 'sales', name: 'by_index' },
      signal: aborting.signal,
      onBytes: () => {},
      onCopy: () => aborting.abort(),
    }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(Problem);
    expect(await count()).toBe(before);
    const { removed, rows } = await resync('by_index');
    expect([removed, rows]).toEqual([before, 500]);
    expect(await count()).toBe(500);
  }, 60_000);

  it('fires no trigger and follows no foreign key, as applying does not', async () => {
    await link.plant(
      `alter table sales.items add constraint to_order foreign key (order_id) references sales.orders (id) on delete cascade not valid;
       create function sales.refuse() returns trigger language plpgsql as $$ begin raise 'fired'; end $$;
       create trigger refuse before insert or delete on sales.orders for each row execute function sales.refuse()`,
    );
    const { removed, rows } = await resync('orders');
    expect(removed).toBe(rows);
    await link.plant('alter table sales.items drop constraint to_order; drop function sales.refuse cascade');
    expect(await link.verify()).toMatchObject({ verdict: 'equal' });
  }, 60_000);

  it('is exact where the key is GENERATED ALWAYS AS IDENTITY, which an UPDATE by SQL may not set', async () => {
    const define = 'alter table sales.orders alter id add generated always as identity';
    await link.plant(define);
    const writing = { stopped: false };
    const writer = link.publisher.withSession(database, async (session) => {
      for (let n = 0; !writing.stopped; n++) {
        await session.execute(`update sales.orders set customer = customer + 1 where id = ${(n % 2000) + 1}`);
      }
    });
    try {
      for (let round = 0; round < 3; round++) {
        await link.plant('delete from sales.orders where id % 2 = 0');
        expect((await resync('orders')).rows).toBeGreaterThan(0);
      }
    } finally {
      writing.stopped = true;
      await writer;
      await link.plant('alter table sales.orders alter id drop identity');
    }
    const { tables } = await link.verify({ tables: [{ schema: 'sales', name: 'orders' }] });
    expect(tables).toMatchObject([{ name: 'orders', verdict: 'equal' }]);
  }, 60_000);

  it.each([
    ['that the subscriber publishes on', 'create publication onward for table sales.items', 'drop publication onward'],
    [
      'with columns of its own on the subscriber',
      'alter table sales.items add mine int',
      'alter table sales.items drop mine',
    ],
  ])('is refused for a table %s', async (_what, make, undo) => {
    await link.plant(make);
    try {
      await expect(resync('items')).rejects.toMatchObject({
        code: 'PREREQUISITE_FAILED',
        options: { hint: expect.any(String) },
      });
    } finally {
      await link.plant(undo);
    }
  });
});
