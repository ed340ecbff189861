import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { ChangeStream } from '../../src/postgres/replication/change-stream.js';
import { createLogicalSlot, dropLogicalSlot, logicalSlotStatus } from '../../src/postgres/replication/logical-slot.js';
import type { TransactionBlocker } from '../../src/postgres/replication/slot-blockers.js';
import type { Problem } from '../../src/problems/problem.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';

// A transaction anywhere in the cluster holds up every slot being created there, hence servers of its own.
describe.each([14, 18])('logical slots, PostgreSQL %i', (major) => {
  let server: TestServer;
  const database = 'slots';

  beforeAll(async () => {
    server = await TestServer.start(major);
    await server.freshDatabase(database);
    await server.run(database, 'create table t (id int); create publication p for table t');
  });

  afterEach(() => server.withSession(database, (session) => dropLogicalSlot(session, 'one')));
  afterAll(() => server.stop());

  const status = () => server.withSession(database, (session) => logicalSlotStatus(session, 'one'));
  const create = (deadlineMs = 20_000, signal?: AbortSignal) =>
    createLogicalSlot(server.target(database), 'one', signal ? { deadlineMs, signal } : { deadlineMs });

  it('creates once, finds it the next time, drops once', async () => {
    expect((await create()).created).toBe(true);
    const again = await create();
    expect(again).toMatchObject({ created: false, status: { plugin: 'pgoutput', database, active: false } });
    expect(again.status.confirmedFlushLsn).not.toBeNull();
    await server.withSession(database, async (session) => {
      expect(await dropLogicalSlot(session, 'one')).toBe(true);
      expect(await dropLogicalSlot(session, 'one')).toBe(false);
    });
  });

  it('refuses a slot of that name with another plugin, and a name no slot can have', async () => {
    await server.run(database, `select pg_create_logical_replication_slot('one', 'test_decoding')`);
    await expect(create()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await expect(createLogicalSlot(server.target(database), 'One"', { deadlineMs: 1 })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
  });

  it('cuts a long statement of another between characters: no state keeps half of one', async () => {
    const blocker = await server.open('postgres');
    try {
      await blocker.execute('begin; select pg_current_xact_id()');
      const start = `select /* ${'x'.repeat(189)}`;
      await blocker.execute(`${start}🐘🐘🐘 */ 1`);
      expect(start).toHaveLength(199);
      const problem: { options: { extra: { blockers: TransactionBlocker[] } } } = await create(1_500).catch(
        (error) => error,
      );
      const found = problem.options.extra.blockers.find(({ pid }) => pid === blocker.backendPid);
      expect(found!.query).toBe(start);
    } finally {
      await blocker.close();
    }
  });

  it('names the open and the prepared transaction it waits for, and leaves nothing behind', async () => {
    const blocker = await server.open('postgres');
    try {
      await server.run(database, `begin; insert into t values (1); prepare transaction 'held'`);
      await blocker.execute('begin; select pg_current_xact_id()');
      const problem: { options: { extra: { blockers: TransactionBlocker[] } } } = await create(1_500).catch(
        (error) => error,
      );
      expect(problem).toMatchObject({ code: 'PREREQUISITE_FAILED', retryable: true });
      expect(problem).toHaveProperty('detail', expect.stringContaining(`pid ${blocker.backendPid}`));
      expect(problem).toHaveProperty('detail', expect.stringContaining('"held"'));
      const found = problem.options.extra.blockers;
      expect(found).toContainEqual(
        expect.objectContaining({
          kind: 'session',
          pid: blocker.backendPid,
          user: server.user,
          state: 'idle in transaction',
        }),
      );
      expect(found).toContainEqual(expect.objectContaining({ kind: 'prepared-transaction', gid: 'held', database }));
      expect(await status()).toBeNull();
    } finally {
      await blocker.close();
      await server.run(database, `rollback prepared 'held'`);
    }
    expect((await create()).created).toBe(true);
  });

  it('leaves nothing behind when cancelled', async () => {
    const blocker = await server.open('postgres');
    try {
      await blocker.execute('begin; select pg_current_xact_id()');
      const cancel = new AbortController();
      const creating = create(30_000, cancel.signal);
      const outcome = expect(creating).rejects.toMatchObject({ code: 'SERVER_TIMEOUT' });
      await eventually(status, { within: 10_000 });
      cancel.abort();
      await outcome;
      expect(await status()).toBeNull();
    } finally {
      await blocker.close();
    }
  });

  it('whose creation is not answered is named with its server and how to drop it, and found by the next attempt', async () => {
    const network = await Network.to(server.port);
    const blocker = await server.open('postgres');
    try {
      await blocker.execute('begin; select pg_current_xact_id()');
      const target = { ...server.target(database), port: network.port };
      const creating = createLogicalSlot(target, 'one', { deadlineMs: 3_000 }).catch((error: unknown) => error);
      await eventually(status, { within: 10_000 });
      network.freeze();
      await blocker.execute('commit');
      await eventually(async () => (await status())?.confirmedFlushLsn, { within: 10_000 });
      const problem = (await creating) as Problem;
      expect(problem).toMatchObject({ code: 'SERVER_UNREACHABLE', retryable: true });
      const { slot, server: named, drop } = problem.options.extra as Record<string, string>;
      expect({ slot, named }).toEqual({ slot: 'one', named: `127.0.0.1:${network.port}/${database}` });
      for (const text of [slot, named]) expect(problem.detail).toContain(text);
      expect(problem.options.hint).toContain(drop);
      expect((await create()).created).toBe(false);
      await server.run(database, drop!);
      expect(await status()).toBeNull();
    } finally {
      await blocker.close();
      await network.cut();
    }
  });

  it('that is still being created for a client long gone is not taken for one', async () => {
    const network = await Network.to(server.port);
    const blocker = await server.open('postgres');
    try {
      await blocker.execute('begin; select pg_current_xact_id()');
      const target = { ...server.target(database), port: network.port };
      const lost = createLogicalSlot(target, 'one', { deadlineMs: 60_000 }).catch((error: unknown) => error);
      await eventually(status, { within: 10_000 });
      network.dropClients();
      expect(await lost).toMatchObject({ options: { extra: { slot: 'one' } } });
      const orphan = await status();
      expect(orphan).toMatchObject({ active: true, confirmedFlushLsn: null });
      const creating = create();
      await eventually(async () => ![null, orphan!.activePid].includes((await status())?.activePid ?? null), {
        within: 10_000,
      });
      await blocker.execute('commit');
      expect(await creating).toMatchObject({ created: true, status: { active: false } });
      expect((await status())!.confirmedFlushLsn).not.toBeNull();
    } finally {
      await blocker.close();
      await network.cut();
    }
  });

  it('ends our own walsender to drop its slot, but nobody else’s', async () => {
    await create();
    const stream = new ChangeStream({ target: server.target(database), slotName: 'one', publications: ['p'] });
    await stream.start();
    expect(await status()).toMatchObject({ active: true, activeApplication: 'lockstep stream one' });
    await server.withSession(database, async (session) => {
      expect(await dropLogicalSlot(session, 'one')).toBe(true);
    });
    await stream.close();

    await create();
    const { host, port, user, password } = server;
    const options = { host, port, user, password, database, application_name: 'other', replication: 'database' };
    const foreign = new Client(options);
    foreign.on('error', () => {});
    await foreign.connect();
    void foreign
      .query(`START_REPLICATION SLOT "one" LOGICAL 0/0 (proto_version '1', publication_names 'p')`)
      .catch(() => {});
    await eventually(async () => (await status())?.active, { within: 5_000 });
    await server.withSession(database, async (session) => {
      await expect(dropLogicalSlot(session, 'one')).rejects.toMatchObject({ code: 'SLOT_ACTIVE' });
    });
    expect(await status()).toMatchObject({ active: true, activeApplication: 'other' });
    await foreign.end();
    await eventually(async () => !(await status())?.active, { within: 5_000 });
  });
});
