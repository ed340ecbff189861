import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parseLsn } from '../../src/shared/lsn.js';
import { eventually } from '../support/eventually.js';
import { arrives, endPrepared, loggedLsns, prepare, preparedOnSubscriber } from './prepared-on-link.js';
import type { ApiUnderTest } from './security-app.js';
import { Fleet, Link, ODD } from './stuck-link.js';

let fleet: Fleet;
let api: ApiUnderTest;

// What is prepared holds up every slot that is made meanwhile.
beforeAll(async () => {
  fleet = await Fleet.start('stuck_prepared_state', { 15: {}, 16: {}, 17: {}, 18: {} }, [15, 16, 17, 18]);
  ({ api } = fleet);
}, 120_000);

afterAll(() => fleet?.stop());

describe.each([
  [15, 18],
  [17, 16],
  [18, 15],
])('a subscription with two_phase, %i -> %i', (from, to) => {
  let link: Link;
  let stuckAt: string;
  let secondGid: string;

  beforeAll(async () => {
    link = await Link.create(fleet, from, to, { twoPhase: true });
    await eventually(async () => (await api.get(link.path)).body.twoPhaseState === 'enabled', { within: 20_000 });
  }, 120_000);
  afterAll(async () => {
    if (link) await endPrepared(link);
    await link?.drop();
  });

  it('is idle while what is prepared on both sides waits for its end', async () => {
    const { currentLsn } = (await api.get(link.path)).body.slot;
    await prepare(
      link,
      'first',
      `insert into orders values (200, 1, 'a secret'); update orders set total = 7 where id = 7`,
    );
    await eventually(async () => (await preparedOnSubscriber(link)).length === 1, { within: 20_000 });
    const found = await link.diagnose();
    expect(found).toMatchObject({
      verdict: 'idle',
      transaction: null,
      transactionReason: expect.stringContaining('no transaction'),
      passedOver: [],
    });
    expect(parseLsn(found.originLsn)).toBeGreaterThan(parseLsn(currentLsn));
  });

  it('is told by the PREPARE it is stuck on, whatever follows', async () => {
    const before = Date.now();
    await link.subscriber.run(link.database, `insert into orders values (300, 0, 'in the way')`);
    const xid = await prepare(
      link,
      'second',
      `insert into orders values (300, 1, 'a secret of the customer');
       update orders set total = total + 1000 where id <= 3;
       insert into "Odd ""ü"" /%-- ;'" values (300, 'a', 7)`,
    );
    await link.publisher.run(link.database, `insert into orders values (301, 1, 'behind it')`);
    await link.until('failing');
    const found = await link.diagnose();
    expect(found).toMatchObject({
      verdict: 'failing',
      transactionReason: null,
      passedOver: [],
      transaction: {
        ...{ kind: 'prepare', gid: 'second', xid, changeCount: 5, changesLeftOut: 0 },
        tables: [
          { schema: 'public', name: 'orders', inserts: 1, updates: 3, deletes: 0, truncates: 0 },
          { schema: 'public', name: ODD, inserts: 1, updates: 0, deletes: 0, truncates: 0 },
        ],
      },
    });
    const { changes, committedAt, finishLsn, bytes } = found.transaction;
    expect(await loggedLsns(link, xid)).toEqual([finishLsn]);
    expect(changes[0]).toEqual({
      ...{ operation: 'insert', schema: 'public', table: 'orders', key: { id: '300' }, columns: null },
      onSubscriber: true,
    });
    expect(changes[4]).toMatchObject({ table: ODD, key: { Id: '300', Teil: 'a' }, onSubscriber: false });
    expect(Math.abs(Date.parse(committedAt) - before)).toBeLessThan(20_000);
    expect(bytes).toBeGreaterThan(100);
    expect(JSON.stringify(found)).not.toContain('a secret');
    const skip = found.remedies.find(({ sql }: { sql: string[] }) =>
      sql.join().includes(`skip (lsn = '${finishLsn}')`),
    );
    expect(skip.does).toContain('COMMIT PREPARED');
    expect(await eventually(async () => (await link.strangeSlots()).length === 0, { within: 5_000 })).toBe(true);
    stuckAt = finishLsn;
  });

  it('goes on once the PREPARE is skipped, which leaves it empty, and its COMMIT PREPARED passes', async () => {
    const { currentLsn } = (await api.get(link.path)).body.slot;
    const other = await api.post(`${link.path}/skip`, { lsn: currentLsn });
    expect(other).toMatchObject({ status: 409, body: { code: 'CONFLICT', stuckAt } });
    const lost = { kind: 'prepare', gid: 'second', finishLsn: stuckAt, changeCount: 5 };
    const plan = await api.post(`${link.path}/skip?dryRun=true`, { lsn: stuckAt });
    expect(plan).toMatchObject({ status: 200, body: { lost, lostReason: null } });
    expect((await api.get(link.path)).body.skipLsn).toBeNull();
    expect(await api.post(`${link.path}/skip`, { lsn: stuckAt })).toMatchObject({ status: 200, body: { lost } });
    await arrives(link, 301);
    const prepared = await preparedOnSubscriber(link);
    expect(prepared).toHaveLength(2);
    secondGid = prepared[1]!;
    expect(await link.diagnose()).toMatchObject({ verdict: 'idle', transaction: null });
    const marks = [
      [ODD, stuckAt],
      ['orders', stuckAt],
    ];
    expect(await link.needs()).toEqual(marks);
    await link.publisher.run(link.database, `commit prepared 'second'`);
    await eventually(async () => !(await preparedOnSubscriber(link)).includes(secondGid), { within: 20_000 });
    await link.until('streaming');
    const { tables } = (await api.get(link.path)).body;
    expect(tables[0].needsVerification.reason).toContain('COMMIT PREPARED');
  });

  it('is told by a COMMIT PREPARED, with what it brings, or by a ROLLBACK PREPARED', async () => {
    await prepare(link, 'third', `insert into orders values (400, 1, 'x')`);
    await prepare(link, 'fourth', `insert into orders values (401, 1, 'x')`);
    await eventually(async () => (await preparedOnSubscriber(link)).length === 3, { within: 20_000 });
    await api.post(`${link.path}/disable`);
    await link.publisher.run(link.database, `commit prepared 'third'`);
    const told = await link.diagnose();
    expect(told).toMatchObject({
      verdict: 'disabled',
      transaction: {
        ...{ kind: 'commitPrepared', gid: 'third', changeCount: 1 },
        changes: [{ operation: 'insert', table: 'orders', key: { id: '400' }, onSubscriber: false }],
      },
    });
    const lsn = told.transaction.finishLsn;
    for (const force of [false, true]) {
      const refused = await api.post(`${link.path}/skip?dryRun=true`, { lsn, force });
      expect(refused).toMatchObject({ status: 409, body: { code: 'CONFLICT', kind: 'commitPrepared', stuckAt: lsn } });
    }
    await api.post(`${link.path}/enable`);
    await arrives(link, 400);
    await link.until('streaming');
    await api.post(`${link.path}/disable`);
    await link.publisher.run(link.database, `rollback prepared 'fourth'`);
    expect(await link.diagnose()).toMatchObject({
      transaction: { kind: 'rollbackPrepared', gid: 'fourth', changeCount: 0, tables: [] },
    });
    await api.post(`${link.path}/enable`);
    await eventually(async () => (await preparedOnSubscriber(link)).length === 1, { within: 20_000 });
  });

  it('is told, where it can be, by a COMMIT PREPARED of what the subscriber has not any more', async () => {
    const xid = await link.publisher.withSession(link.database, async (session) => {
      return Number((await session.row<{ xid: string }>('select transaction::text as xid from pg_prepared_xacts')).xid);
    });
    const [gid] = await preparedOnSubscriber(link);
    await link.subscriber.run(link.database, `rollback prepared '${gid}'`);
    await link.publisher.run(link.database, `commit prepared 'first'`);
    await link.publisher.run(link.database, `insert into orders values (402, 1, 'behind it')`);
    await link.until('failing');
    const [finishLsn] = await loggedLsns(link, xid);
    const { transaction, transactionReason, remedies } = await link.diagnose();
    const empty = { sql: ['begin', `prepare transaction '${gid}'`] };
    if (from >= 18) {
      expect(transaction).toMatchObject({ kind: 'commitPrepared', gid: 'first', xid, finishLsn, changeCount: 2 });
      expect(remedies).toContainEqual(expect.objectContaining(empty));
      const refused = await api.post(`${link.path}/skip`, { lsn: finishLsn });
      expect(refused).toMatchObject({ status: 409, body: { kind: 'commitPrepared', stuckAt: finishLsn } });
    } else {
      expect(transaction).toBeNull();
      for (const told of [String(xid), finishLsn, gid]) expect(transactionReason).toContain(told);
      expect(await api.post(`${link.path}/skip`, { lsn: finishLsn })).toMatchObject({ status: 409 });
    }
    await link.subscriber.run(link.database, empty.sql.join(';'));
    await arrives(link, 402);
    expect(await preparedOnSubscriber(link)).toEqual([]);
  });

  it('is told by an ordinary transaction, which is skipped', async () => {
    await link.stick(500);
    await link.until('failing');
    const { transaction } = await link.diagnose();
    expect(transaction).toMatchObject({ kind: 'commit', gid: null, changeCount: 6 });
    expect(await api.post(`${link.path}/skip`, { lsn: transaction.finishLsn })).toMatchObject({
      status: 200,
      body: { lost: { kind: 'commit', changeCount: 6 } },
    });
    await arrives(link, 501);
    expect(await link.needs()).toEqual([
      [ODD, transaction.finishLsn],
      ['orders', transaction.finishLsn],
    ]);
  });
});
