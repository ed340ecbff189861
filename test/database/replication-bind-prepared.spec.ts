import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { bindPair } from '../../src/postgres/replication/bind.js';
import { BindSessionPool } from '../../src/postgres/replication/bind-sessions.js';
import type { BindRequest } from '../../src/postgres/replication/bind-request.js';
import type { ChangeStream } from '../../src/postgres/replication/change-stream.js';
import { dropLogicalSlot } from '../../src/postgres/replication/logical-slot.js';
import type { Session } from '../../src/postgres/session.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { StreamFixture } from './replication-fixture.js';

const DATABASE = 'prepared';
const PREPARED = { max_prepared_transactions: '10' };
/** Makes a commit wait between moving the origin and becoming visible, where else only the flush of its WAL lies. */
const ABSENT_STANDBY = { synchronous_standby_names: 'absent', synchronous_commit: 'local' };

describe('binding while the subscriber commits what was prepared before, 16 to 18', () => {
  let publisher: TestServer;
  let subscriber: TestServer;
  let source: StreamFixture;
  let own: StreamFixture;
  let stream: ChangeStream;
  let ownStream: ChangeStream;
  let sessions: BindSessionPool;
  let subscription: BindRequest['subscription'];

  beforeAll(async () => {
    [publisher, subscriber] = await Promise.all([
      TestServer.start(16, PREPARED),
      TestServer.start(18, { ...PREPARED, ...ABSENT_STANDBY }),
    ]);
    source = new StreamFixture(publisher, DATABASE);
    own = new StreamFixture(subscriber, DATABASE);
    await Promise.all([source.create(), own.create()]);
    const { host, port, user, password } = publisher;
    await own.run(
      `create subscription prepared connection 'host=${host} port=${port} user=${user} password=${password} dbname=${DATABASE}'
       publication "Odd, ""Pub""" with (two_phase = true, synchronous_commit = 'local')`,
    );
    await eventually(() => shown('select bool_and(srsubstate = $$r$$) as found from pg_subscription_rel'), {
      within: 20_000,
    });
    await eventually(() => shown(`select subtwophasestate = 'e' as found from pg_subscription`), { within: 20_000 });
    const oid = (await shown(`select oid as found from pg_subscription`)) as number;
    subscription = { oid, name: 'prepared', slotName: 'prepared' };
    sessions = new BindSessionPool(publisher.target(DATABASE), subscriber.target(DATABASE));
    [{ stream }, { stream: ownStream }] = await Promise.all([source.open(), own.open()]);
  }, 120_000);

  afterAll(async () => {
    await sessions?.close();
    await Promise.all([source?.closeStreams(), own?.closeStreams()]);
    await subscriber?.run('postgres', `alter system set synchronous_standby_names = ''`);
    await subscriber?.run('postgres', 'select pg_reload_conf()');
    await own?.run('drop subscription prepared');
    await publisher?.withSession(DATABASE, (session) => dropLogicalSlot(session, source.slotName));
    await Promise.all([publisher?.stop(), subscriber?.stop()]);
  });

  async function shown(sql: string): Promise<unknown> {
    return subscriber.withSession(DATABASE, async (session) => (await session.row<{ found: unknown }>(sql)).found);
  }

  const bind = (method: 'own-slot' | 'positions', deadlineMs: number) =>
    bindPair({
      publisher: { stream },
      subscriber: { stream: method === 'own-slot' ? ownStream : null },
      ...{ sessions, subscription, deadlineMs, tables: [{ schema: 'public', name: 't' }] },
    });

  const idsIn = async (session: Session) =>
    (await session.rows<{ id: number }>('select id from public.t order by id')).map(({ id }) => id);

  it('waits until the rows can be seen, by either method', async () => {
    await source.run(`begin; insert into t values (1); prepare transaction 'one'`);
    await eventually(() => shown('select count(*) = 1 as found from pg_prepared_xacts'), { within: 10_000 });
    await own.run(`alter subscription prepared set (synchronous_commit = 'on')`);
    await source.run(`commit prepared 'one'`);
    await eventually(() => shown(`select count(*) = 1 as found from pg_stat_activity where wait_event = 'SyncRep'`), {
      within: 20_000,
    });
    for (const method of ['own-slot', 'positions'] as const) {
      await expect(bind(method, 1500)).rejects.toMatchObject({ code: 'PREREQUISITE_FAILED' });
    }

    const bound = Promise.all([bind('own-slot', 20_000), bind('positions', 20_000)]);
    await subscriber.run('postgres', `alter system set synchronous_standby_names = ''`);
    await subscriber.run('postgres', 'select pg_reload_conf()');
    for (const pair of await bound) {
      expect(await idsIn(pair.publisher.session)).toEqual([1]);
      expect(await idsIn(pair.subscriber.session)).toEqual([1]);
      expect([pair.rollForward, pair.inDoubt]).toEqual([[], []]);
      await pair.release();
    }
  }, 60_000);
});
