import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Socket } from 'node:net';
import { Problem } from '../../src/problems/problem.js';
import { dropCreated } from '../../src/postgres/schema/created-objects.js';
import { parseDump, type DumpItem } from '../../src/postgres/schema/dump-statements.js';
import { compareSchemas } from '../../src/postgres/schema/fingerprint.js';
import { dumpSchema } from '../../src/postgres/schema/pg-dump.js';
import { refreshMaterializedViews } from '../../src/postgres/schema/refresh.js';
import { restoreEntries } from '../../src/postgres/schema/restore.js';
import { TestServer } from '../support/postgres-fleet.js';

const SOURCE = 'resume_source';
const SCHEMA = `
  create schema s; create type s.e as enum ('a'); create table s.a (id integer primary key, b integer, e s.e);
  create table s.b (id integer primary key, a integer references s.a); alter table s.a add foreign key (b) references s.b;
  create table s.c (id serial primary key); create view s.v as select * from s.a; create index on s.b (a);
  create materialized view s.m2 as select count(*) as n from s.v; create materialized view s.m1 as select n + 1 as n from s.m2;
  create view s.over_m1 as select n from s.m1; create materialized view s.a0 as select n from s.over_m1;
  create materialized view s.unfilled as select 1 as x with no data;
  create function s.f() returns trigger language plpgsql as 'begin return new; end'; create trigger t before insert on s.a for each row execute function s.f();`;

describe('a restore', () => {
  let server: TestServer;
  let pre: DumpItem[];
  let post: DumpItem[];

  beforeAll(async () => {
    server = await TestServer.shared(18);
    await server.freshDatabase(SOURCE);
    await server.run(SOURCE, SCHEMA);
    pre = parseDump(await dumpSchema(server.target(SOURCE), { section: 'pre-data' }));
    post = parseDump(await dumpSchema(server.target(SOURCE), { section: 'post-data' }));
  });
  afterAll(async () => server?.stop());

  it('continues after the last committed entry, whatever transaction its session died in', async () => {
    const total = pre.filter(({ kind }) => kind === 'entry').length;
    const database = await server.freshDatabase('resume_target');
    let restored = 0;
    for (let attempt = 0; ; attempt++) {
      const session = await server.open(database);
      let steps = 0;
      // Every attempt loses its session after two more transactions, before the third can commit.
      const onProgress = () => {
        if (++steps === 2)
          (session.driver as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
      };
      try {
        const result = await restoreEntries(session, pre, {
          section: 'pre-data',
          onProgress,
          entriesPerTransaction: 2,
        });
        restored += steps * 2;
        expect(result.alreadyDone + result.restored).toBe(total);
        break;
      } catch (error) {
        expect(error).toMatchObject({ code: 'SERVER_UNREACHABLE' });
        expect(attempt).toBeLessThan(total);
      } finally {
        await session.close();
      }
    }
    await server.withSession(database, async (session) => {
      await restoreEntries(session, post, { section: 'post-data' });
      const { path, timeout } = await session.row<{ path: string; timeout: string }>(
        `select current_setting('search_path') as path, current_setting('statement_timeout') as timeout`,
      );
      expect({ path, timeout }).toEqual({ path: 'pg_catalog', timeout: '30s' });
      expect(await restoreEntries(session, post, { section: 'post-data' })).toMatchObject({ restored: 0 });
      await server.withSession(SOURCE, async (source) => expect(await compareSchemas(source, session)).toEqual([]));
    });
    expect(restored).toBeLessThan(total);
  });

  it('names the object, the statement and the SQLSTATE when the target refuses', async () => {
    const database = await server.freshDatabase('resume_refused');
    await server.run(database, 'create schema s; create table s.c (mine text)');
    await server.withSession(database, async (session) => {
      const failure = await restoreEntries(session, pre, { section: 'pre-data' }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(Problem);
      expect((failure as Problem).options).toMatchObject({
        sqlstate: '42P06',
        extra: { object: { type: 'SCHEMA', name: 's' }, statement: 'CREATE SCHEMA s;' },
      });
      expect(await dropCreated(session)).toEqual({ dropped: 0, left: [] });
      expect(await session.rows(`select mine from s.c`)).toEqual([]);
    });
  });

  it('refuses to mix two dumps that differ, and two restores at once', async () => {
    const database = await server.freshDatabase('resume_changed');
    const first = await server.open(database);
    const second = await server.open(database);
    try {
      let clash: unknown;
      await restoreEntries(first, pre, {
        section: 'pre-data',
        onProgress: () => {
          clash ??= restoreEntries(second, pre, { section: 'pre-data' }).catch((error: unknown) => error);
        },
        entriesPerTransaction: 1,
      });
      expect(await clash).toMatchObject({ code: 'OBJECT_IN_USE' });
      const changed = pre.filter((item) => item.kind === 'setting' || item.name !== 'v');
      await expect(restoreEntries(second, changed, { section: 'pre-data' })).rejects.toMatchObject({
        code: 'CONFLICT',
      });
    } finally {
      await first.close();
      await second.close();
    }
  });

  it('leaves and names what somebody else put on top of it, and takes the rest', async () => {
    const database = await server.freshDatabase('resume_foreign');
    await server.withSession(database, async (session) => {
      await restoreEntries(session, pre, { section: 'pre-data' });
      await restoreEntries(session, post, { section: 'post-data' });
      await session.execute(
        `create table public.theirs (e s.e, b integer references s.b); create table s.theirs_too (x integer)`,
      );
      const report = await dropCreated(session);
      expect(Object.fromEntries(report.left.map(({ object, because }) => [object, because]))).toEqual({
        'table s.b': ['constraint theirs_b_fkey on table public.theirs'],
        'type s.e': ['column e of table public.theirs'],
        'schema s': expect.arrayContaining(['table s.theirs_too']),
      });
      await session.execute('drop table public.theirs, s.theirs_too');
      expect((await dropCreated(session)).left).toEqual([]);
      expect(await session.rows(`select from pg_namespace where nspname in ('s', 'lockstep')`)).toEqual([]);
    });
  });

  it('fills materialized views in an order that works, those that were filled', async () => {
    const database = await server.freshDatabase('resume_refresh');
    await server.withSession(database, async (session) => {
      await restoreEntries(session, pre, { section: 'pre-data' });
      await server.withSession(SOURCE, async (source) => {
        expect(await refreshMaterializedViews(source, session)).toEqual(['s.m2', 's.m1', 's.a0']);
        expect(await refreshMaterializedViews(source, session)).toEqual([]);
      });
      expect(await session.rows('select n::int from s.a0')).toEqual([{ n: 1 }]);
    });
  });
});
