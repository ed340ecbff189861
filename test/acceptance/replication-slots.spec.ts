import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { TestServer } from '../support/postgres-fleet.js';

interface Slot {
  name: string;
  active: boolean;
  orphan: boolean | null;
  owner: { kind: string; name: string; server: string | null; database: string | null; live: boolean } | null;
  ownerReason: string | null;
  unanswered: string[];
  reader: { application: string | null } | null;
  outlook: {
    health: string;
    reasons: string[];
    limit: string | null;
    bytesToLimit: number | null;
    secondsToLimit: number | null;
  };
  safeWalSize: number | null;
  retainedBytes: number | null;
  walStatus: string | null;
  restartLsn: string | null;
  currentLsn: string | null;
}

const DATABASE = 'slot_owners';

describe.each([
  [14, 18],
  [17, 15],
  [16, 18],
])('replication slots and who reads from them, %i -> %i', (from, to) => {
  let lockstep: Lockstep;
  let publisher: TestServer;
  let subscriber: TestServer;

  beforeAll(async () => {
    [lockstep, publisher, subscriber] = await Promise.all([
      Lockstep.start({ environment: { LOCKSTEP_LSN_SAMPLE_SECONDS: '1' } }),
      TestServer.start(from),
      TestServer.start(to),
    ]);
    for (const [name, server] of [
      ['old', publisher],
      ['new', subscriber],
    ] as const) {
      await server.freshDatabase(DATABASE);
      await server.run(DATABASE, 'create table t (id int primary key)');
      const { host, port, user, password } = server;
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', body);
    }
    await publisher.run(DATABASE, 'create publication p for table t');
    await lockstep.ok('POST', `/v1/servers/new/databases/${DATABASE}/subscriptions`, {
      name: 'Odd "sub"',
      publisher: { server: 'old', database: DATABASE },
      publications: ['p'],
      options: { slotName: 'read_by_odd' },
    });
  }, 90_000);

  afterAll(async () => {
    await lockstep.dispose();
    await Promise.all([publisher.stop(), subscriber.stop()]);
  }, 60_000);

  const SLOTS = '/v1/servers/old/replication-slots';
  const slot = (name: string) => lockstep.ok<Slot>('GET', `${SLOTS}/${name}`);

  it('names the subscription that a slot is kept for, and keeps it from being dropped', async () => {
    const read = await eventually(
      async () => {
        const now = await slot('read_by_odd');
        return now.active ? now : null;
      },
      { within: 20_000 },
    );
    expect(read).toMatchObject({
      owner: { kind: 'subscription', name: 'Odd "sub"', server: 'new', database: DATABASE, live: true },
      orphan: false,
      outlook: { health: 'ok', reasons: [] },
    });
    expect(read.reader!.application).toBe('Odd "sub"');
    await lockstep.ok('POST', `/v1/servers/new/databases/${DATABASE}/subscriptions/Odd%20%22sub%22/disable`);
    await eventually(async () => !(await slot('read_by_odd')).active, { within: 20_000 });
    for (const path of [`${SLOTS}/read_by_odd`, `${SLOTS}/read_by_odd?dryRun=true`]) {
      const refused = await lockstep.request<{ code: string; detail: string }>('DELETE', path);
      expect([refused.status, refused.body.code]).toEqual([409, 'CONFLICT']);
      expect(refused.body.detail).toContain('Odd \\"sub\\"');
    }
    expect((await slot('read_by_odd')).orphan).toBe(false);
    await lockstep.ok('POST', `/v1/servers/new/databases/${DATABASE}/subscriptions/Odd%20%22sub%22/enable`);
  }, 60_000);

  it('copies a slot; nobody claims the copy, and it says how long it may stand still', async () => {
    const plan = await lockstep.ok<{ statements: { sql: string; transactional: boolean }[] }>(
      'POST',
      `${SLOTS}/read_by_odd/copy?dryRun=true`,
      { name: 'watched' },
    );
    expect(plan.statements).toMatchObject([
      { sql: expect.stringContaining('pg_catalog.pg_copy_logical_replication_slot'), transactional: false },
    ]);
    const copy = await lockstep.ok<Slot>('POST', `${SLOTS}/read_by_odd/copy`, { name: 'watched' });
    expect(copy).toMatchObject({
      name: 'watched',
      owner: null,
      orphan: null,
      outlook: { health: 'warning', limit: null },
    });
    expect(copy.ownerReason).toContain('not registered');
    const again = await lockstep.request<{ code: string }>('POST', `${SLOTS}/read_by_odd/copy`, { name: 'watched' });
    expect(again).toMatchObject({ status: 409, body: { code: 'ALREADY_EXISTS' } });
    const foreign = { name: 'foreign', plugin: 'no_such_plugin' };
    const unknown = { status: 400, body: { code: 'INVALID_INPUT', errors: [{ pointer: '#/plugin' }] } };
    expect(await lockstep.request('POST', `${SLOTS}/read_by_odd/copy`, foreign)).toMatchObject(unknown);
    const created = { ...foreign, kind: 'logical', database: DATABASE };
    expect(await lockstep.request('POST', SLOTS, created)).toMatchObject(unknown);

    // One megabyte less than it keeps by now is over the budget at once; a gigabyte is some way off.
    await lockstep.ok('PATCH', '/v1/servers/old', { walBudgetBytes: 1_000_000_000 });
    const foreseen = await eventually(
      async () => {
        await publisher.run(DATABASE, `select pg_logical_emit_message(false, 'fill', repeat('x', 500000))`);
        const now = await slot('watched');
        return now.outlook.secondsToLimit === null ? null : now;
      },
      { within: 30_000 },
    );
    expect(foreseen.outlook).toMatchObject({ limit: 'walBudgetBytes' });
    await lockstep.ok('PATCH', '/v1/servers/old', { walBudgetBytes: 1 });
    expect((await slot('watched')).outlook).toMatchObject({ health: 'critical', secondsToLimit: 0 });
    // The server's own limit and the budget both hold: the nearer one counts, whichever it is.
    await publisher.run('postgres', `alter system set max_slot_wal_keep_size = '1GB'`);
    await publisher.run('postgres', 'select pg_reload_conf()');
    const limited = async (limit: string) =>
      eventually(
        async () => {
          const { outlook, safeWalSize, retainedBytes } = await slot('watched');
          return outlook.limit === limit
            ? { ...outlook, safeWalSize: safeWalSize!, retainedBytes: retainedBytes! }
            : null;
        },
        { within: 10_000 },
      );
    const MANY = 100_000_000_000;
    await lockstep.ok('PATCH', '/v1/servers/old', { walBudgetBytes: MANY });
    const lossFirst = await limited('max_slot_wal_keep_size');
    expect(lossFirst.bytesToLimit).toBe(lossFirst.safeWalSize);
    await lockstep.ok('PATCH', '/v1/servers/old', { walBudgetBytes: 500_000_000 });
    const budgetFirst = await limited('walBudgetBytes');
    expect(budgetFirst.bytesToLimit).toBe(500_000_000 - budgetFirst.retainedBytes);
    expect(budgetFirst.bytesToLimit!).toBeLessThan(budgetFirst.safeWalSize);
    await publisher.run('postgres', 'alter system reset max_slot_wal_keep_size');
    await publisher.run('postgres', 'select pg_reload_conf()');
    await lockstep.ok('PATCH', '/v1/servers/old', { walBudgetBytes: null });
    expect((await lockstep.request('DELETE', `${SLOTS}/watched`)).status).toBe(204);
  }, 90_000);

  it('knows a slot that a table synchronization left behind, and one whose subscriber does not answer', async () => {
    const { sub, rel, system } = await subscriber.withSession(DATABASE, (session) =>
      session.row<{ sub: string; rel: string; system: string }>(
        `select s.oid::text as sub, 'public.t'::regclass::oid::text as rel, (select system_identifier::text from pg_control_system()) as system
           from pg_subscription s`,
      ),
    );
    const left = `pg_${sub}_sync_${rel}_${system}`;
    await publisher.run(DATABASE, `select pg_create_logical_replication_slot('${left}', 'pgoutput')`);
    expect(await slot(left)).toMatchObject({
      owner: { kind: 'table-synchronization', name: 'Odd "sub"', live: false },
      orphan: true,
    });
    await subscriber.stop();
    const unasked = await slot(left);
    expect(unasked).toMatchObject({ owner: null, orphan: null });
    expect(unasked.ownerReason).toContain('new did not answer');
    expect(unasked.unanswered).toEqual(['new']);
  }, 60_000);

  it('neither drops nor advances what may be kept for a server that does not answer, unless forced', async () => {
    const { lsn } = await publisher.withSession(DATABASE, (session) =>
      session.row<{ lsn: string }>('select pg_catalog.pg_current_wal_insert_lsn()::text as lsn'),
    );
    const path = `${SLOTS}/read_by_odd`;
    for (const query of ['', '?dryRun=true']) {
      const answers = [
        await lockstep.request<{ detail: string; hint: string }>('DELETE', `${path}${query}`),
        await lockstep.request<{ detail: string; hint: string }>('POST', `${path}/advance${query}`, { lsn }),
      ];
      for (const { status, body } of answers) {
        expect([status, body]).toEqual([409, expect.objectContaining({ code: 'CONFLICT', unanswered: ['new'] })]);
        expect(body.detail).toContain('new did not answer');
        expect(body.hint).toMatch(/force/);
      }
    }
    expect(await slot('read_by_odd')).toMatchObject({ name: 'read_by_odd' });
    await lockstep.ok('POST', `${path}/advance?dryRun=true`, { lsn, force: true });
    expect((await lockstep.request('DELETE', `${path}?force=true`)).status).toBe(204);
  }, 60_000);

  it('never takes a lost slot for a good one', async () => {
    await publisher.run('postgres', `alter system set max_slot_wal_keep_size to '1MB'`);
    await publisher.run('postgres', 'select pg_reload_conf()');
    await publisher.run(DATABASE, `select pg_create_logical_replication_slot('lost_one', 'pgoutput')`);
    await eventually(
      async () => {
        await publisher.run(
          DATABASE,
          `select pg_logical_emit_message(false, 'fill', repeat('x', 1000000)), pg_switch_wal()`,
        );
        await publisher.run(DATABASE, 'checkpoint');
        return (await slot('lost_one')).walStatus === 'lost';
      },
      { within: 60_000, every: 20 },
    );
    const lost = await slot('lost_one');
    expect(lost).toMatchObject({ restartLsn: null, outlook: { health: 'lost', secondsToLimit: null } });
    const copy = await lockstep.request<{ code: string }>('POST', `${SLOTS}/lost_one/copy`, { name: 'worse' });
    expect(copy).toMatchObject({ status: 409, body: { code: 'WRONG_STATE' } });
    for (const query of ['', '?dryRun=true']) {
      const body = { lsn: lost.currentLsn, force: true };
      const advanced = await lockstep.request<{ detail: string }>('POST', `${SLOTS}/lost_one/advance${query}`, body);
      expect(advanced).toMatchObject({
        status: 409,
        body: { code: 'WRONG_STATE', hint: expect.stringContaining('afresh') },
      });
    }
  }, 90_000);
});
