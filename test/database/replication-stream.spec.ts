import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { dropLogicalSlot } from '../../src/postgres/replication/logical-slot.js';
import { ReplicationConnection } from '../../src/postgres/replication/replication-connection.js';
import { UNCHANGED, type StreamedTransaction } from '../../src/postgres/replication/streamed-transaction.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { insertedIds, StreamFixture } from './replication-fixture.js';

const MAJORS = AVAILABLE_MAJORS.filter((major) => [13, 14, 18].includes(major));

describe.each(MAJORS)('change stream from PostgreSQL %i', (major) => {
  let server: TestServer;
  let fixture: StreamFixture;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    fixture = new StreamFixture(server, `stream_${major}`);
    await fixture.create();
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await fixture.closeStreams();
    await server.withSession(fixture.database, (session) => dropLogicalSlot(session, fixture.slotName));
    await fixture.run('truncate t, f');
  });

  afterAll(() => server.stop());

  it('delivers every kind of change with values as the server prints them', async () => {
    const { stream, seen } = await fixture.open();
    await fixture.run(
      `begin;
       insert into t values (1, null, repeat('x', 9000), 1.500, '2026-01-02 03:04:05.123456+00'), (2, '', 'ü', null, null);
       update t set v = 'w' where id = 1;
       update t set id = 3 where id = 2;
       delete from t where id = 3;
       insert into f values (1, 'a'); update f set b = null; delete from f;
       truncate t restart identity cascade;
       commit`,
    );
    await fixture.caughtUp(stream);
    expect(seen).toHaveLength(1);
    const changes = seen[0]!.changes.map((change) => {
      if (change.kind === 'truncate') return [change.kind, change.relations.map((r) => r.name), change.restartIdentity];
      const old = 'old' in change && change.old ? [change.old.kind, change.old.tuple] : null;
      return [change.kind, change.relation.name, old, 'new' in change ? change.new : null];
    });
    const big = 'x'.repeat(9000);
    const at = '2026-01-02 03:04:05.123456+00';
    expect(changes).toEqual([
      ['insert', 't', null, ['1', null, big, '1.500', at]],
      ['insert', 't', null, ['2', '', 'ü', null, null]],
      ['update', 't', null, ['1', 'w', UNCHANGED, '1.500', at]],
      ['update', 't', ['key', ['2', null, null, null, null]], ['3', '', 'ü', null, null]],
      ['delete', 't', ['key', ['3', null, null, null, null]], null],
      ['insert', 'f', null, ['1', 'a']],
      ['update', 'f', ['full', ['1', 'a']], ['1', null]],
      ['delete', 'f', ['full', ['1', null]], null],
      ['truncate', ['t'], true],
    ]);
    expect(stream.failed).toBeNull();
  });

  it('names a relation anew after it changed', async () => {
    const { stream, seen } = await fixture.open();
    await fixture.run('insert into f values (1, null)');
    await fixture.run('alter table f add column c int; insert into f values (2, null, 7); alter table f drop column c');
    await fixture.caughtUp(stream);
    const columns = seen.map(({ changes: [change] }) =>
      change?.kind === 'insert' ? change.relation.columns.map((column) => column.name) : null,
    );
    expect(columns).toEqual([
      ['a', 'b'],
      ['a', 'b', 'c'],
    ]);
  });

  it('gives logical messages where the server can send them', async () => {
    const messages: unknown[] = [];
    const { stream } = await fixture.open({
      messages: true,
      onTransaction: (transaction) => void messages.push(...transaction.messages),
    });
    await fixture.run(`select pg_logical_emit_message(true, 'p', 'content'), pg_logical_emit_message(false, 'q', 'x')`);
    await fixture.caughtUp(stream);
    const expected = [
      { prefix: 'p', content: Buffer.from('content') },
      { prefix: 'test', content: Buffer.from('') },
    ];
    expect(messages).toEqual(major >= 14 ? expected : []);
  });

  it.each(['any', 'none'] as const)('names the origin of a transaction, asked for origin %s', async (origin) => {
    const { stream, seen } = await fixture.open({ origin });
    const name = `lockstep_test_${fixture.database}`;
    await server.withSession(fixture.database, async (session) => {
      await session.execute(`select pg_replication_origin_create('${name}')`);
      try {
        await session.execute(`select pg_replication_origin_session_setup('${name}')`);
        await session.execute(`begin; select pg_replication_origin_xact_setup('1/AB', now());
          insert into public.t values (1); commit; select pg_replication_origin_session_reset()`);
        await session.execute('insert into public.t values (2)');
      } finally {
        await session.execute(`select pg_replication_origin_drop('${name}')`);
      }
    });
    await fixture.caughtUp(stream);
    const found = seen.map((transaction) => [...insertedIds([transaction]), transaction.origin]);
    const foreign = [1, { name, lsn: 0x1_0000_00abn }];
    expect(found).toEqual(origin === 'any' ? [foreign, [2, null]] : [[2, null]]);
  });

  it('cuts a transaction short that is larger than it may hold', async () => {
    const { stream, seen } = await fixture.open({ maxTransactionChanges: 10 });
    await fixture.run('insert into t select generate_series(1, 11)');
    await fixture.run('insert into t select generate_series(21, 30)');
    await fixture.caughtUp(stream);
    expect(seen.map(({ changes, overflow }) => [changes.length, overflow])).toEqual([
      [10, true],
      [10, false],
    ]);
  });

  it('delivers a commit that starts exactly where the confirmed one ended', async () => {
    const { stream, seen } = await fixture.open();
    const last = await eventually(
      async () => {
        await fixture.run('truncate t');
        const [a, b] = await Promise.all([server.open(fixture.database), server.open(fixture.database)]);
        await a.execute('begin; insert into public.t values (1)');
        await b.execute('begin; insert into public.t values (2)');
        await Promise.all([a.execute('commit'), b.execute('commit')]);
        await Promise.all([a.close(), b.close()]);
        await fixture.caughtUp(stream);
        const [first, second] = seen.slice(-2);
        return first!.endLsn === second!.commitLsn ? { first: first!, second: second! } : null;
      },
      { within: 20_000, every: 1 },
    );
    stream.confirm(last.first.endLsn);
    await stream.close();
    const again = await fixture.open();
    await fixture.caughtUp(again.stream);
    expect(again.seen.map(({ xid }) => xid)).toEqual([last.second.xid]);
    // What the stream began with is what the owner declared, not a byte more.
    expect(again.stream.startPosition).toBe(last.first.endLsn);
  });

  it('confirms nothing the owner has not declared, however long it only receives', async () => {
    const statuses = jest.spyOn(ReplicationConnection.prototype, 'sendStatus');
    const { stream, seen } = await fixture.open({ silenceTimeoutMs: 600 });
    await fixture.insert(1, 2, 3);
    await fixture.caughtUp(stream);
    statuses.mockClear();
    await eventually(() => statuses.mock.calls.length >= 3, { within: 5_000 });
    expect((await fixture.slot()).confirmed).toBeLessThanOrEqual(seen[0]!.commitLsn);
    expect(stream.confirmed).toBeLessThanOrEqual(seen[0]!.commitLsn);
    // With everything declared, an idle stream lets the server go on.
    stream.confirm(seen[2]!.endLsn);
    const target = await fixture.flushed();
    await eventually(async () => (await fixture.slot()).confirmed >= target, { within: 5_000 });
    expect(() => stream.confirm((stream.position + 1n) as typeof target)).toThrow(RangeError);
  });

  it('stops at a handler that fails, and gives that transaction again', async () => {
    const handled: number[] = [];
    const { stream } = await fixture.open({
      onTransaction: async (transaction) => {
        const [id] = insertedIds([transaction]);
        if (id === 2) throw new Error('cannot store it');
        if (id !== undefined) handled.push(id);
        await Promise.resolve();
        stream.confirm(transaction.endLsn);
      },
    });
    await fixture.insert(1, 2, 3);
    await eventually(() => stream.failed, { within: 10_000 });
    expect(stream.state).toBe('failed');
    expect(handled).toEqual([1]);
    await expect(stream.waitUntil(stream.position, { timeoutMs: 1 })).rejects.toBe(stream.failed);
    await stream.close();
    const again = await fixture.open();
    await fixture.caughtUp(again.stream);
    expect(insertedIds(again.seen)).toEqual([2, 3]);
  });

  it('hands over one at a time, holds the server back while the owner is slow, and goes on', async () => {
    const seen: StreamedTransaction[] = [];
    let running = 0;
    let release = () => {};
    const blocked = new Promise<void>((resolve) => (release = resolve));
    const { stream } = await fixture.open({
      bufferBytes: 50_000,
      silenceTimeoutMs: 900,
      onTransaction: async (transaction) => {
        expect(++running).toBe(1);
        await blocked;
        seen.push(transaction);
        running--;
      },
    });
    const pid = (await fixture.slot()).pid;
    await fixture.run(
      `do $$ begin for i in 1..3000 loop
         insert into public.t values (i, null, repeat(md5(i::text), 100)); if i % 10 = 0 then commit; end if;
       end loop; end $$`,
    );
    const written = await fixture.flushed();
    const lag = () =>
      server.withSession(fixture.database, (session) =>
        session.row<{ sent: string; unsent: number }>(
          `select sent_lsn::text as sent, pg_wal_lsn_diff(pg_current_wal_lsn(), sent_lsn)::float8 as unsent
             from pg_stat_replication where pid = ${pid}`,
        ),
      );
    // 10 MB were written; what does not fit the buffers of the sockets stays at the server, beyond the silence timeout.
    await expect(stream.waitUntil(written, { timeoutMs: 1_500 })).rejects.toMatchObject({ code: 'SERVER_TIMEOUT' });
    expect((await lag()).unsent).toBeGreaterThan(1_000_000);
    expect((await fixture.slot()).pid).toBe(pid);
    release();
    await stream.waitUntil(written, { timeoutMs: 20_000 });
    expect(insertedIds(seen)).toEqual(Array.from({ length: 3000 }, (_, i) => i + 1));
  });

  it('resumes after its walsender was ended: nothing lost, nothing twice', async () => {
    const { stream, seen } = await fixture.open();
    for (let id = 1; id <= 30; id++) {
      await fixture.insert(id);
      if (id % 10 === 0) await fixture.killWalsender();
    }
    await fixture.caughtUp(stream);
    expect(insertedIds(seen)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    // All may have come before the walsender that was ended last was gone.
    await eventually(() => stream.state === 'streaming', { within: 20_000 });
  });

  it('gives a transaction once that was waiting for the owner when the connection broke', async () => {
    const seen: number[] = [];
    let release = () => {};
    const blocked = new Promise<void>((resolve) => (release = resolve));
    const { stream } = await fixture.open({
      onTransaction: async (transaction) => {
        await blocked;
        seen.push(...insertedIds([transaction]));
      },
    });
    await fixture.insert(1, 2, 3);
    const written = await fixture.flushed();
    const { pid } = await fixture.slot();
    await eventually(async () => (await sent(pid)) >= written, { within: 10_000 });
    await fixture.killWalsender();
    await eventually(async () => ((await fixture.slot()).pid ?? pid) !== pid, { within: 10_000 });
    release();
    await fixture.insert(4);
    await fixture.caughtUp(stream);
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  async function sent(pid: number | null): Promise<bigint> {
    const [row] = await server.withSession(fixture.database, (session) =>
      session.rows<{ sent: string }>(
        `select pg_wal_lsn_diff(sent_lsn, '0/0')::text as sent from pg_stat_replication where pid = $1`,
        [pid],
      ),
    );
    return BigInt(row?.sent ?? '0');
  }

  it('reconnects when the server falls silent', async () => {
    const { stream, seen } = await fixture.open({ silenceTimeoutMs: 900 });
    const { pid } = await fixture.slot();
    process.kill(pid!, 'SIGSTOP');
    try {
      await eventually(() => stream.state === 'reconnecting', { within: 5_000 });
    } finally {
      process.kill(pid!, 'SIGCONT');
    }
    await fixture.insert(1);
    await stream.waitUntil(await fixture.flushed(), { timeoutMs: 20_000 });
    expect(insertedIds(seen)).toEqual([1]);
  });

  it('fails for good when its slot is gone', async () => {
    const failures: string[] = [];
    const { stream } = await fixture.open({ onFailed: (problem) => failures.push(problem.code) });
    await server.withSession(fixture.database, (session) => dropLogicalSlot(session, fixture.slotName));
    await eventually(() => stream.failed, { within: 10_000 });
    expect(stream.failed).toMatchObject({ code: 'NOT_FOUND' });
    expect(failures).toEqual(['NOT_FOUND']);
    await expect(stream.waitUntil((stream.position + 1n) as typeof stream.position, { timeoutMs: 1 })).rejects.toBe(
      stream.failed,
    );
  });

  it('refuses to go on when somebody else moved its slot while the network was cut', async () => {
    const network = await Network.to(server.port);
    try {
      const { stream } = await fixture.open({ target: { ...server.target(fixture.database), port: network.port } });
      await network.cut();
      await eventually(async () => (await fixture.slot()).pid === null, { within: 5_000 });
      await fixture.insert(1);
      await fixture.flushed();
      await fixture.run(`select pg_replication_slot_advance('${fixture.slotName}', pg_current_wal_flush_lsn())`);
      await eventually(() => stream.state === 'reconnecting', { within: 5_000 });
      await network.restore();
      await eventually(() => stream.failed, { within: 10_000 });
      expect(stream.failed).toMatchObject({ code: 'PREREQUISITE_FAILED' });
      await stream.close();
    } finally {
      await network.cut();
    }
  });

  it('does not answer once per message', async () => {
    const statuses = jest.spyOn(ReplicationConnection.prototype, 'sendStatus');
    const { stream, seen } = await fixture.open();
    statuses.mockClear();
    await fixture.run('do $$ begin for i in 1..1000 loop insert into public.t values (i); commit; end loop; end $$');
    await fixture.caughtUp(stream);
    expect(seen).toHaveLength(1000);
    expect(statuses.mock.calls.length).toBeLessThan(100);
  });

  it('tells its clock right, and connects where the server has no TLS to prefer', async () => {
    const { stream } = await fixture.open({
      target: { ...server.target(fixture.database), tls: { mode: 'prefer' } },
      silenceTimeoutMs: 300,
    });
    expect(stream.state).toBe('streaming');
    const skew = await eventually(
      () =>
        server.withSession(fixture.database, async (session) => {
          const [row] = await session.rows<{ skew: number | null }>(
            `select abs(date_part('epoch', clock_timestamp() - reply_time))::float8 as skew from pg_stat_replication r
               join pg_replication_slots s on s.active_pid = r.pid where s.slot_name = $1`,
            [fixture.slotName],
          );
          return row?.skew ?? null;
        }),
      { within: 5_000 },
    );
    expect(skew).toBeLessThan(5);
  });
});
