import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { bindPair } from '../../src/postgres/replication/bind.js';
import { BindSessionPool } from '../../src/postgres/replication/bind-sessions.js';
import type { BindRequest } from '../../src/postgres/replication/bind-request.js';
import type { BoundPair } from '../../src/postgres/replication/bound-pair.js';
import { dropLogicalSlot } from '../../src/postgres/replication/logical-slot.js';
import type { ChangeStream } from '../../src/postgres/replication/change-stream.js';
import type { Session } from '../../src/postgres/session.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { insertedIds, StreamFixture } from './replication-fixture.js';

/** Commits that wait for this standby are in the WAL, delivered, applied, and not yet visible on the publisher. */
const ABSENT_STANDBY = { synchronous_standby_names: 'absent', synchronous_commit: 'local' };

describe('binding at the edges, 14 to 18', () => {
  let publisher: TestServer;
  let subscriber: TestServer;
  let source: StreamFixture;
  let own: StreamFixture;
  let subscription: BindRequest['subscription'];
  let stream: ChangeStream;
  let bindSessions: BindSessionPool;
  const sessions: Session[] = [];
  const pairs: BoundPair[] = [];

  beforeAll(async () => {
    [publisher, subscriber] = await Promise.all([TestServer.start(14, ABSENT_STANDBY), TestServer.shared(18)]);
    bindSessions = new BindSessionPool(publisher.target('edges'), subscriber.target('edges'));
    source = new StreamFixture(publisher, 'edges');
    own = new StreamFixture(subscriber, 'edges');
    await Promise.all([source.create(), own.create()]);
    const { host, port, user, password } = publisher;
    await own.run(
      `create subscription edges connection 'host=${host} port=${port} user=${user} password=${password} dbname=edges'
       publication "Odd, ""Pub"""`,
    );
    await eventually(() => rowOf('select bool_and(srsubstate = $$r$$) as found from pg_subscription_rel'), {
      within: 20_000,
    });
    const oid = (await rowOf(`select oid as found from pg_subscription where subname = 'edges'`)) as number;
    subscription = { oid, name: 'edges', slotName: 'edges' };
  });

  beforeEach(async () => {
    ({ stream } = await source.open());
  });

  afterEach(async () => {
    await Promise.all(pairs.splice(0).map((pair) => pair.release()));
    await Promise.all(sessions.splice(0).map((session) => session.close()));
    await source.run(
      `select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep' or state = 'idle in transaction'`,
    );
    await Promise.all([source.closeStreams(), own.closeStreams()]);
    await publisher.withSession('edges', (session) => dropLogicalSlot(session, source.slotName));
    await subscriber.withSession('edges', (session) => dropLogicalSlot(session, own.slotName));
  });

  afterAll(async () => {
    await bindSessions.close();
    await own.run('drop subscription edges');
    await Promise.all([publisher.stop(), subscriber.stop()]);
  });

  async function rowOf(sql: string): Promise<unknown> {
    return subscriber.withSession('edges', async (session) => (await session.row<{ found: unknown }>(sql)).found);
  }

  async function bind(more: Partial<BindRequest> = {}): Promise<BoundPair> {
    const pair = await bindPair({
      publisher: { stream },
      subscriber: { stream: null },
      sessions: bindSessions,
      subscription,
      tables: [{ schema: 'public', name: 't' }],
      deadlineMs: 10_000,
      ...more,
    });
    pairs.push(pair);
    return pair;
  }

  const idsIn = async (session: Session) =>
    (await session.rows<{ id: number }>('select id from public.t order by id')).map(({ id }) => id);

  /** Commits, in the WAL and on the subscriber, what stays invisible on the publisher for as long as the session lives. */
  async function commitUnseen(id: number, rows = 1): Promise<Session> {
    const session = await publisher.open('edges');
    sessions.push(session);
    await session.execute('set synchronous_commit = remote_write');
    void session
      .execute(`insert into public.t select i from generate_series(${id}, ${id + rows - 1}) i`)
      .catch(() => {});
    await eventually(() => rowOf(`select count(*) = ${rows} as found from public.t where id >= ${id}`), {
      within: 10_000,
    });
    await source.caughtUp(stream);
    return session;
  }

  it.each(['own-slot', 'positions'] as const)(
    'rolls forward what was delivered before it became visible, by %s',
    async (method) => {
      const ownStream = method === 'own-slot' ? (await own.open()).stream : null;
      const id = method === 'own-slot' ? 100 : 200;
      await commitUnseen(id);
      const pair = await bind({ subscriber: { stream: ownStream } });
      expect(await idsIn(pair.publisher.session)).not.toContain(id);
      expect(await idsIn(pair.subscriber.session)).toContain(id);
      expect(insertedIds(pair.rollForward)).toEqual([id]);
      expect(pair.inDoubt).toEqual([]);
    },
  );

  it('does not take a snapshot that lacks what the stream delivered too long ago, and names who is committing', async () => {
    const committing = await commitUnseen(300);
    await source.run(`do $$ begin for i in 1..1100 loop insert into public.f values (i); commit; end loop; end $$`);
    await source.caughtUp(stream);
    await expect(bind({ deadlineMs: 1_000 })).rejects.toMatchObject({
      code: 'PREREQUISITE_FAILED',
      options: { extra: { blockers: [expect.objectContaining({ pid: committing.backendPid })] } },
    });
    await source.run(`select pg_cancel_backend(${committing.backendPid})`);
    const pair = await bind();
    expect(await idsIn(pair.publisher.session)).toContain(300);
    expect(insertedIds(pair.rollForward)).toEqual([]);
  });

  it('does not take a snapshot that lacks what an earlier reader confirmed', async () => {
    const idle = await publisher.open('edges');
    sessions.push(idle);
    await idle.execute('begin; insert into public.f values (0)');
    const committing = await commitUnseen(400);
    stream.confirm(stream.position);
    await source.closeStreams();
    ({ stream } = await source.open());
    await expect(bind({ deadlineMs: 1_000 })).rejects.toMatchObject({
      code: 'PREREQUISITE_FAILED',
      options: { extra: { blockers: [expect.objectContaining({ pid: committing.backendPid })] } },
    });
    // A transaction as old that is merely open does not matter.
    await source.run(`select pg_cancel_backend(${committing.backendPid})`);
    await bind();
  });

  it('refuses a transaction that is larger than the stream may hold', async () => {
    await source.closeStreams();
    ({ stream } = await source.open({ maxTransactionChanges: 10 }));
    await commitUnseen(500, 20);
    await expect(bind()).rejects.toMatchObject({ code: 'LIMIT_REACHED', retryable: true });
  });

  it('does not wait for a transaction that has no effect on the subscriber', async () => {
    await source.run('insert into t values (600)');
    await eventually(() => rowOf('select count(*) = 1 as found from public.t where id = 600'), { within: 10_000 });
    await own.run('delete from t where id = 600');
    await source.run(`update t set v = 'x' where id = 600`);
    const pair = await bind();
    expect(await idsIn(pair.publisher.session)).toContain(600);
    expect(await idsIn(pair.subscriber.session)).not.toContain(600);
  });

  it('opens further sessions in the same snapshots, and holds off TRUNCATE', async () => {
    const pair = await bind();
    await source.run('insert into t values (700)');
    const session = await pair.publisher.openSession('further');
    sessions.push(session);
    expect(await idsIn(session)).not.toContain(700);
    await expect(source.run(`set lock_timeout = '200ms'; truncate t`)).rejects.toMatchObject({
      code: 'SERVER_TIMEOUT',
    });
    expect(inspect([pair, stream], { depth: 6 })).not.toContain(publisher.password);
    await pair.release();
    await pair.release();
    await expect(pair.publisher.openSession('late')).rejects.toMatchObject({ code: 'WRONG_STATE' });
  });

  it('names the privilege that is missing', async () => {
    await subscriber.run('postgres', 'drop role if exists edges_reader');
    await own.run(`create role edges_reader login password 'pw'; grant select on t to edges_reader`);
    const reader = { ...subscriber.target('edges'), user: 'edges_reader', password: 'pw' };
    const readers = new BindSessionPool(publisher.target('edges'), reader);
    try {
      await expect(bind({ sessions: readers })).rejects.toMatchObject({
        code: 'SERVER_PRIVILEGE_MISSING',
        options: { hint: expect.stringContaining('pg_replication_origin_progress') },
      });
      await own.run(
        'grant execute on function pg_catalog.pg_replication_origin_progress(text, boolean) to edges_reader',
      );
      expect((await bind({ sessions: readers })).method).toBe('positions');
    } finally {
      await Promise.all(pairs.splice(0).map((pair) => pair.release()));
      await readers.close();
      await own.run('drop owned by edges_reader; drop role edges_reader');
    }
  });

  it('says that the subscription is disabled, or keeps failing, and where it stands', async () => {
    await own.run('alter subscription edges disable');
    await source.run('insert into t values (800)');
    const stalled = {
      code: 'PREREQUISITE_FAILED',
      options: { extra: { stalledAt: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) } },
    };
    await expect(bind()).rejects.toMatchObject(stalled);
    await own.run('insert into t values (800); alter subscription edges enable');
    await expect(bind({ deadlineMs: 2_500 })).rejects.toMatchObject({
      ...stalled,
      detail: expect.stringMatching(/keeps failing|no apply worker|did not move/),
    });
    await own.run('delete from t where id = 800');
    await bind();
  });

  it('can be cancelled, and leaves no session behind', async () => {
    await own.run('alter subscription edges disable; alter subscription edges enable');
    await expect(bind({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'SERVER_TIMEOUT' });
    const left = () =>
      publisher.withSession('edges', (session) =>
        session.row<{ n: number }>(
          `select count(*)::int as n from pg_stat_activity where application_name like 'lockstep bind%'`,
        ),
      );
    await eventually(async () => (await left()).n === 0, { within: 5_000 });
  });
});
