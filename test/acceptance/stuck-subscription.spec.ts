import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import type { ApiUnderTest } from './security-app.js';
import { Fleet, Link, ODD } from './stuck-link.js';

let fleet: Fleet;
let api: ApiUnderTest;

beforeAll(async () => {
  fleet = await Fleet.start('stuck_state');
  ({ api } = fleet);
}, 120_000);

afterAll(() => fleet?.stop());

describe.each([
  [15, 18],
  [17, 16],
  [14, 18],
])('a subscription stuck on a unique violation, %i -> %i', (from, to) => {
  let link: Link;
  beforeAll(async () => void (link = await Link.create(fleet, from, to)), 120_000);
  afterAll(() => link?.drop());

  let stuckAt: string;

  it('is idle before, and a diagnosis leaves nothing on the publisher', async () => {
    const plan = await api.post(`${link.path}/diagnose?dryRun=true`);
    expect(plan.body.statements).toMatchObject([
      { server: `pg${from}`, sql: expect.stringContaining('pg_copy_logical_replication_slot') },
    ]);
    expect(await link.diagnose()).toMatchObject({
      verdict: 'idle',
      transaction: null,
      transactionReason: expect.stringContaining('no transaction'),
      remedies: [],
    });
    expect(await eventually(async () => (await link.strangeSlots()).length === 0, { within: 5_000 })).toBe(true);
  });

  it('is told by its transaction: where, when, tables, keys and operations, and no values', async () => {
    const before = Date.now();
    await link.stick(500);
    await link.until('failing');
    const found = await link.diagnose();
    expect(found).toMatchObject({
      verdict: 'failing',
      transactionReason: null,
      passedOver: [],
      errors: { apply: expect.any(Number) },
      transaction: {
        finishLsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
        changeCount: 6,
        changesLeftOut: 0,
        tables: [
          { schema: 'public', name: 'orders', inserts: 1, updates: 3, deletes: 1, truncates: 0 },
          { schema: 'public', name: ODD, inserts: 1, updates: 0, deletes: 0, truncates: 0 },
        ],
      },
    });
    if (to >= 18) {
      expect(found.conflicts.insertExists).toBeGreaterThan(0);
    } else {
      expect(found.conflicts).toBeNull();
    }
    const few = (await api.post(`${link.path}/diagnose`, { mostChanges: 2 })).body.transaction;
    expect([few.changes.length, few.changesLeftOut, few.changeCount]).toEqual([2, 4, 6]);
    for (const mostChanges of [0, 10_001, 'all']) {
      const refused = await api.post(`${link.path}/diagnose`, { mostChanges });
      expect(refused).toMatchObject({ status: 400, body: { errors: [{ pointer: '#/mostChanges' }] } });
    }
    // Known once an error is counted while it is looked at.
    const failure = await eventually(async () => (await link.diagnose()).lastFailure, { within: 30_000 });
    expect(failure).toEqual({
      seenAt: expect.stringMatching(/^\d{4}-.*Z$/),
      conflicts: to >= 18 ? ['insertExists'] : [],
    });
    const { changes, committedAt, finishLsn, bytes } = found.transaction;
    expect(changes.slice(0, 2)).toEqual([
      { operation: 'insert', schema: 'public', table: 'orders', key: { id: '500' }, columns: null, onSubscriber: true },
      {
        ...{ operation: 'update', schema: 'public', table: 'orders', key: { id: '1' } },
        ...{ columns: ['id', 'total', 'note'], onSubscriber: true },
      },
    ]);
    expect(changes.slice(4)).toMatchObject([
      { operation: 'insert', table: ODD, key: { Id: '500', Teil: `a 'b'` }, onSubscriber: false },
      { operation: 'delete', table: 'orders', key: { id: '100' }, onSubscriber: true },
    ]);
    expect(Math.abs(Date.parse(committedAt) - before)).toBeLessThan(20_000);
    expect(bytes).toBeGreaterThan(100);
    expect(JSON.stringify(found)).not.toContain('secret of the customer');
    expect(found.remedies.flatMap(({ sql }: { sql: string[] }) => sql).join()).toContain(`skip (lsn = '${finishLsn}')`);
    expect(await eventually(async () => (await link.strangeSlots()).length === 0, { within: 5_000 })).toBe(true);
    stuckAt = finishLsn;
  });

  it('refuses to skip another transaction, unless told to', async () => {
    const { currentLsn } = (await api.get(link.path)).body.slot;
    const other = await api.post(`${link.path}/skip`, { lsn: currentLsn });
    expect(other).toMatchObject({ status: 409, body: { code: 'CONFLICT', stuckAt, verdict: 'failing' } });
    expect(other.body.hint).toContain('force');
    const forced = await api.post(`${link.path}/skip?dryRun=true`, { lsn: currentLsn, force: true });
    expect(forced).toMatchObject({ status: 200, body: { lost: null, lostReason: expect.any(String) } });
    expect(await api.post(`${link.path}/skip`, { lsn: '0/1', force: true })).toMatchObject({ status: 409 });
    expect((await api.get(link.path)).body.skipLsn).toBeNull();
    expect(await link.needs()).toEqual([
      [ODD, null],
      ['orders', null],
    ]);
  });

  it('shows what a skip loses, skips, and marks the tables that lost it', async () => {
    const plan = await api.post(`${link.path}/skip?dryRun=true`, { lsn: stuckAt });
    expect(plan).toMatchObject({
      status: 200,
      body: {
        statements: [{ server: `pg${to}`, sql: expect.stringContaining(`skip (lsn = '${stuckAt}')`) }],
        lost: { finishLsn: stuckAt, changeCount: 6, changes: expect.any(Array) },
        lostReason: null,
      },
    });
    expect((await api.get(link.path)).body.skipLsn).toBeNull();
    const skipped = await api.post(`${link.path}/skip`, { lsn: stuckAt });
    expect(skipped).toMatchObject({ status: 200, body: { name: ODD, lost: { finishLsn: stuckAt, changeCount: 6 } } });
    expect(skipped.body.lost.tables).toEqual(plan.body.lost.tables);
    await eventually(
      () =>
        link.subscriber.withSession(link.database, async (session) => {
          return (await session.rows('select from public.orders where id = 501')).length === 1;
        }),
      { within: 20_000 },
    );
    expect(await link.needs()).toEqual([
      [ODD, stuckAt],
      ['orders', stuckAt],
    ]);
    const { tables } = await link.until('streaming');
    expect(tables[0].needsVerification.reason).toContain('was skipped');
  });

  it('keeps the mark of a table that a verification finds different', async () => {
    expect(await link.verify()).toMatchObject({ state: 'succeeded', verdict: 'different' });
    expect(await link.needs()).toEqual([
      [ODD, stuckAt],
      ['orders', stuckAt],
    ]);
  });

  it('copies its tables afresh, each by itself, until a verification finds them equal', async () => {
    const plan = await api.post(`${link.resyncPath('orders')}?dryRun=true`);
    expect(plan.status).toBe(200);
    expect(plan.body.statements.map(({ server, sql }: { server: string; sql: string }) => [server, sql])).toEqual([
      [`pg${from}`, expect.stringContaining('pg_create_logical_replication_slot')],
      [`pg${from}`, 'copy (select t."id", t."total", t."note" from only "public"."orders" t) to stdout'],
      [`pg${to}`, 'lock table "public"."orders" in share row exclusive mode'],
      [`pg${to}`, 'delete from only "public"."orders" t'],
      [`pg${to}`, 'copy "public"."orders" ("id", "total", "note") from stdin'],
      [`pg${from}`, expect.stringContaining('pg_drop_replication_slot')],
    ]);
    const writing = link.write();
    const orders = await link.resync('orders');
    expect(orders).toMatchObject({ state: 'succeeded', result: { appliedLsn: expect.any(String) } });
    expect(orders.result.rows).toBeGreaterThan(100);
    const one = await link.verify();
    expect(one.tables).toMatchObject([
      { name: ODD, verdict: 'different', differences: { missing: 1, extra: 0, different: 0 } },
      { name: 'orders', verdict: 'equal' },
    ]);
    expect(await link.needs()).toEqual([
      [ODD, stuckAt],
      ['orders', null],
    ]);
    expect(await link.resync(ODD)).toMatchObject({ state: 'succeeded', result: { rows: 1, removed: 0 } });
    await writing.stop();
    expect(await link.verify()).toMatchObject({ state: 'succeeded', verdict: 'equal' });
    expect(await link.needs()).toEqual([
      [ODD, null],
      ['orders', null],
    ]);
    expect(await link.strangeSlots()).toEqual([]);
    const audit = (await api.get('/v1/audit-events?action=resync.copy')).body.items[0];
    expect(audit.sql.join()).toMatch(/delete from only .*from stdin/s);
  }, 120_000);
});

describe('what else a diagnosis tells, 14 -> 17', () => {
  let link: Link;
  beforeAll(async () => void (link = await Link.create(fleet, 14, 17)), 120_000);
  afterAll(() => link?.drop());

  it('passes over what has no effect on the subscriber, and says so', async () => {
    await api.post(`${link.path}/disable`);
    await link.subscriber.run(link.database, `delete from orders where id = 10; insert into orders values (600)`);
    await link.publisher.run(link.database, `update orders set note = 'y' where id = 10`);
    await link.publisher.run(link.database, `insert into orders values (600, 1, 'x')`);
    const found = await link.diagnose();
    expect(found).toMatchObject({
      verdict: 'disabled',
      transaction: { tables: [{ name: 'orders', inserts: 1 }], changes: [{ key: { id: '600' }, onSubscriber: true }] },
      passedOver: [{ changeCount: 1, reason: expect.stringContaining('without effect') }],
    });
    const early = await api.post(`${link.path}/skip`, { lsn: found.passedOver[0].finishLsn });
    expect(early).toMatchObject({ status: 409, body: { stuckAt: found.transaction.finishLsn } });
  });

  it('tells a subscription that disabled itself from one that somebody disabled', async () => {
    expect((await api.call('PATCH', link.path, { options: { disableOnError: true } })).status).toBe(200);
    await api.post(`${link.path}/enable`);
    await eventually(async () => (await api.get(link.path)).body.enabled === false, { within: 20_000 });
    const { verdict, reason, remedies } = await link.diagnose();
    expect([verdict, reason]).toEqual(['failing', expect.stringContaining('disabled itself')]);
    expect(remedies[1].sql).toEqual([expect.stringContaining('skip'), expect.stringContaining('enable')]);
    const resync = await api.post(link.resyncPath('orders'));
    expect(resync).toMatchObject({ status: 409, body: { code: 'PREREQUISITE_FAILED', hint: expect.any(String) } });
    await link.subscriber.run(link.database, 'delete from orders where id = 600');
    await api.post(`${link.path}/enable`);
    await link.until('streaming');
  });

  it('tells who blocks the apply worker', async () => {
    const blocker = await link.subscriber.open(link.database);
    await blocker.execute('begin; lock table public.orders in share mode');
    await link.publisher.run(link.database, `insert into orders values (700, 1, 'x')`);
    const waits = `select from pg_locks where not granted and relation = 'public.orders'::regclass`;
    await eventually(async () => (await blocker.rows(waits)).length > 0, { within: 20_000 });
    const { verdict, reason, transaction, remedies } = await link.diagnose();
    expect([verdict, remedies]).toEqual(['blocked', []]);
    expect(reason).toContain(`pid ${blocker.backendPid}`);
    expect(transaction).toMatchObject({ changes: [{ key: { id: '700' }, onSubscriber: false }] });
    await blocker.execute('rollback');
    await blocker.close();
    await link.until('streaming');
  });

  it('does not wait for each row of a table that is locked: whether they are there is not known then', async () => {
    const blocker = await link.subscriber.open(link.database);
    await blocker.execute('begin; lock table public.orders in access exclusive mode');
    await link.publisher.run(link.database, `update orders set note = 'z' where id <= 60`);
    const waits = `select from pg_locks where not granted and relation = 'public.orders'::regclass`;
    await eventually(async () => (await blocker.rows(waits)).length > 0, { within: 20_000 });
    const begin = Date.now();
    const { verdict, transaction } = await link.diagnose();
    // Far from a lock timeout for each of the rows.
    expect(Date.now() - begin).toBeLessThan(60_000);
    expect([verdict, transaction.changeCount]).toEqual(['blocked', 60]);
    expect(new Set(transaction.changes.map((change: { onSubscriber: unknown }) => change.onSubscriber))).toEqual(
      new Set([null]),
    );
    await blocker.execute('rollback');
    await blocker.close();
  }, 120_000);
});

describe('where there is no SKIP, 15 -> 14', () => {
  let link: Link;
  beforeAll(async () => void (link = await Link.create(fleet, 15, 14)), 120_000);
  afterAll(() => link?.drop());

  it('names the transaction all the same, refuses to skip it, and says what to do instead, which works', async () => {
    await link.stick(500);
    const found = await eventually(
      async () => {
        const diagnosis = await link.diagnose();
        return diagnosis.transaction && diagnosis.verdict !== 'applying' && diagnosis;
      },
      { within: 30_000 },
    );
    expect(found).toMatchObject({ transaction: { changeCount: 6 }, errors: null, conflicts: null, lastFailure: null });
    expect(['failing', 'stalled']).toContain(found.verdict);
    const { finishLsn, endLsn } = found.transaction;
    const refused = await api.post(`${link.path}/skip`, { lsn: finishLsn });
    expect(refused).toMatchObject({
      status: 422,
      body: {
        code: 'OPTION_NOT_SUPPORTED',
        minimumVersion: 15,
        stuckAt: finishLsn,
        lost: { changeCount: 6 },
        instead: [expect.stringContaining('disable'), expect.stringContaining(endLsn), expect.any(String)],
      },
    });
    const [disable, advance, enable] = refused.body.instead as [string, string, string];
    await link.subscriber.withSession(link.database, async (session) => {
      await session.execute(disable);
      await eventually(
        async () => {
          const working = `select from pg_stat_subscription w join pg_subscription s on s.oid = w.subid
             join pg_database d on d.oid = s.subdbid where d.datname = current_database() and w.pid is not null`;
          return (await session.rows(working)).length === 0;
        },
        { within: 10_000 },
      );
      await session.execute(advance);
      await session.execute(enable);
      const arrived = async () => (await session.rows('select from public.orders where id = 501')).length === 1;
      await eventually(arrived, { within: 20_000 });
      expect(await session.rows('select from public.orders where id = 100')).toHaveLength(1);
    });
  });
});
