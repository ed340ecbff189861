import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createMarkerTable, markerPresent, writeMarker } from '../../src/postgres/ddl/marker.ddl.js';
import { flushedNow } from '../../src/postgres/flushed-now.js';
import type { Session } from '../../src/postgres/session.js';
import { parseLsn } from '../../src/shared/lsn.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

/** What is written inside a fence: a session that is of no use after a failure would keep every writer out for minutes. */
describe.each([AVAILABLE_MAJORS[0]!, AVAILABLE_MAJORS.at(-1)!])('marker and flush on PostgreSQL %i', (major) => {
  const database = 'marker_spec';
  const role = `marker_spec_${major}`;
  const write = (id: string) => session.execute(writeMarker('lockstep', 'marker', id));
  let server: TestServer;
  let session: Session;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(database);
    await server.withSession(database, async (session) => {
      for (const { sql } of createMarkerTable('lockstep', 'marker')) await session.execute(sql);
      await session.execute(`create role ${role}`);
    });
  });
  afterAll(async () => {
    await server.run('postgres', `drop database if exists ${database} with (force)`).catch(() => {});
    await server.run('postgres', `drop role if exists ${role}`);
    await server.stop();
  });
  beforeEach(async () => {
    session = await server.open(database);
  });
  afterEach(() => session.close());

  it('a marker that cannot be written leaves the session as it was, and is written by the next attempt', async () => {
    const other = await server.open(database);
    await other.execute('begin; lock table lockstep.marker in access exclusive mode');
    await session.execute(`set lock_timeout to '100ms'`);
    await expect(write('a')).rejects.toMatchObject({ options: { sqlstate: '55P03' } });
    await other.close();
    const find = () => session.rows<{ at: string }>(markerPresent('lockstep', 'marker', 'a'));
    expect(await find()).toEqual([]);
    await write('a');
    const [first] = await find();
    await write('a');
    const [second] = await find();
    expect(second!.at > first!.at).toBe(true);
  });

  it('a flush that is refused leaves the session as it was', async () => {
    await session.execute(
      `do $$ declare f text; begin
         for f in select p.oid::regprocedure from pg_proc as p where p.proname = 'pg_logical_emit_message' loop
           execute 'revoke execute on function ' || f || ' from public';
         end loop; end $$`,
    );
    await session.execute(`set role ${role}`);
    await expect(flushedNow(session)).rejects.toMatchObject({ options: { sqlstate: '42501' } });
    await session.execute('reset role');
    await flushedNow(session);
  });

  it('a flush writes out what was committed without waiting for it', async () => {
    await session.execute('set synchronous_commit to off');
    await session.execute(`insert into lockstep.marker values ('asynchronous', now())`);
    const { lsn } = await session.row<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
    expect(parseLsn(await flushedNow(session)) >= parseLsn(lsn)).toBe(true);
    const { setting } = await session.row<{ setting: string }>(
      `select current_setting('synchronous_commit') as setting`,
    );
    expect(setting).toBe('off');
  });
});
