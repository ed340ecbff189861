import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ChangeStream } from '../../src/postgres/replication/change-stream.js';
import type { ChangeStreamOptions } from '../../src/postgres/replication/change-stream-options.js';
import { createLogicalSlot, dropLogicalSlot, logicalSlotStatus } from '../../src/postgres/replication/logical-slot.js';
import { UNCHANGED, type StreamedTransaction } from '../../src/postgres/replication/streamed-transaction.js';
import { formatLsn, parseLsn, type Lsn } from '../../src/shared/lsn.js';
import { eventually } from '../support/eventually.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const MAJORS = AVAILABLE_MAJORS.filter((major) => [13, 14, 18].includes(major));

describe.each(MAJORS)('change stream from PostgreSQL %i', (major) => {
  let server: TestServer;
  const database = `stream_${major}`;
  const streams: ChangeStream[] = [];

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(database);
    await server.run(
      database,
      `create table t (id int primary key, v text, big text, n numeric, at timestamptz);
       alter table t alter column big set storage external;
       create table f (a int, b text); alter table f replica identity full;
       create publication "Odd, ""Pub""" for table t, f`,
    );
  });

  afterEach(async () => {
    await Promise.all(streams.splice(0).map((stream) => stream.close()));
    await server.withSession(database, (session) => dropLogicalSlot(session, `s_${major}`));
  });

  afterAll(() => server.stop());

  async function open(options: Partial<ChangeStreamOptions> = {}, seen: StreamedTransaction[] = []) {
    await createLogicalSlot(server.target(database), `s_${major}`, { deadlineMs: 20_000 });
    const stream = new ChangeStream({
      target: server.target(database),
      slotName: `s_${major}`,
      publications: ['Odd, "Pub"'],
      onTransaction: (transaction) => void (transaction.changes.length > 0 && seen.push(transaction)),
      ...options,
    });
    streams.push(stream);
    await stream.start();
    return { stream, seen };
  }

  async function caughtUp(stream: ChangeStream) {
    await stream.waitUntil(await here(), { timeoutMs: 10_000 });
  }

  async function here(): Promise<Lsn> {
    const { lsn } = await server.withSession(database, async (session) => {
      await session.execute(`select pg_logical_emit_message(true, 'test', '')`);
      await session.execute('set synchronous_commit = on');
      await session.execute(`select pg_logical_emit_message(true, 'test', '')`);
      return session.row<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn');
    });
    return parseLsn(lsn);
  }

  it('delivers every kind of change with values as the server prints them', async () => {
    const { stream, seen } = await open();
    await server.run(
      database,
      `begin;
       insert into t values (1, null, repeat('x', 9000), 1.500, '2026-01-02 03:04:05.123456+00'), (2, '', 'ü', null, null);
       update t set v = 'w' where id = 1;
       update t set id = 3 where id = 2;
       delete from t where id = 3;
       insert into f values (1, 'a'); update f set b = null; delete from f;
       truncate t restart identity cascade;
       commit`,
    );
    await caughtUp(stream);
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
});
