import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  compareDefinitions,
  compareFingerprints,
  compareSchemas,
  readFingerprint,
  unfollowedChanges,
} from '../../src/postgres/schema/fingerprint.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const BASE = `
  create table t (id integer primary key, a text); create table u (id integer primary key, t integer references t);
  create function f() returns integer language sql as 'select 1'; create sequence s; create view v as select a from t;
  create function tf() returns trigger language plpgsql as $$ begin return new; end $$;
  create trigger tr before insert on t for each row execute function tf(); create type e as enum ('a'); create extension citext;`;

/** DDL, and what of the fingerprint it must touch. */
const CHANGES: [string, string[]][] = [
  ['alter table t add b integer', ['changed table public.t']],
  ['alter table t alter a set default 7', ['changed table public.t']],
  ['create index i on t (a)', ['added index public.i']],
  ['drop table u', ['removed constraint u_pkey on public.u', 'removed constraint u_t_fkey on public.u']],
  [`create or replace function f() returns integer language sql as 'select 2'`, ['changed function public.f()']],
  ['alter sequence s increment 2', ['changed sequence public.s']],
  ['create or replace view v as select a || a as a from t', ['changed rule "_RETURN" on public.v']],
  ['alter table t disable trigger tr', ['changed trigger tr on public.t']],
  [`alter type e add value 'b'`, ['changed type public.e']],
  ['grant select (a) on t to pg_monitor', ['granted (a) pg_monitor SELECT on table public.t']],
  ['grant execute on function f() to pg_monitor', ['granted pg_monitor EXECUTE on function public.f()']],
  ['revoke execute on function f() from public', ['revoked public EXECUTE on function public.f()']],
  ['revoke delete on t from postgres', ['granted postgres without DELETE on table public.t']],
  ['alter table t rename to t2', ['removed table public.t', 'added table public.t2']],
  ['alter table t replica identity full', ['changed table public.t']],
  ['create schema x', ['added schema x']],
  [
    'alter default privileges grant select on tables to pg_monitor',
    ['granted pg_monitor SELECT on default privileges postgres * r'],
  ],
];

describe.each(AVAILABLE_MAJORS)('schema fingerprint of PostgreSQL %i', (major) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase('schema_fingerprint');
    await server.run('schema_fingerprint', BASE);
  });
  afterAll(async () => server?.stop());

  it('does not move while only rows, sequences and statistics do', async () => {
    await server.withSession('schema_fingerprint', async (session) => {
      const before = await readFingerprint(session);
      await session.execute(`insert into public.t select i, 'x' from pg_catalog.generate_series(1, 500) i on conflict do nothing;
        select pg_catalog.nextval('public.s')`);
      await session.execute(
        'analyze; create schema if not exists lockstep; create temp table mine (id integer primary key)',
      );
      expect(compareFingerprints(before, await readFingerprint(session))).toEqual([]);
      await session.execute('drop table pg_temp.mine; delete from public.t');
    });
  });

  it('names what each change of the schema touched', async () => {
    await server.withSession('schema_fingerprint', async (session) => {
      await session.execute('set search_path = public');
      const before = await readFingerprint(session);
      for (const [ddl, touched] of CHANGES) {
        await session.execute('begin');
        await session.execute(ddl);
        const named = compareFingerprints(before, await readFingerprint(session));
        await session.execute('rollback');
        expect({ ddl, named }).toEqual({ ddl, named: expect.arrayContaining(touched) });
      }
    });
  });

  it('a grant that was revoked again leaves nothing behind, and no grant is a change of a definition', async () => {
    await server.withSession('schema_fingerprint', async (session) => {
      const before = await readFingerprint(session);
      const each = async (verb: string, of: string) => {
        for (const what of ['table public.t', 'sequence public.s', 'function public.f()', 'schema public']) {
          const privilege = what.startsWith('function') ? 'execute' : what.startsWith('schema') ? 'create' : 'select';
          await session.execute(`${verb} ${privilege} on ${what} ${of} pg_monitor`);
        }
        await session.execute(`${verb} update (a) on public.t ${of} pg_monitor`);
        await session.execute(`${verb} usage on type public.e ${of} pg_monitor`);
        await session.execute(`alter default privileges ${verb} select on tables ${of} pg_monitor`);
      };
      await each('grant', 'to');
      const granted = await readFingerprint(session);
      expect(compareFingerprints(before, granted)).toHaveLength(7);
      expect(compareDefinitions(before, granted)).toEqual([]);
      await each('revoke', 'from');
      expect(compareFingerprints(before, await readFingerprint(session))).toEqual([]);
    });
  });
});

it('tells which changes of one server another has not followed', async () => {
  const servers = [await TestServer.shared(14), await TestServer.shared(AVAILABLE_MAJORS.at(-1)!)] as const;
  const database = 'schema_followed';
  const changes = [
    'create index i on t (a)',
    `create or replace function f() returns integer language sql as 'select 2'`,
    'drop table u',
    'create or replace view v as select a || a as a from t',
    'grant select on t to pg_monitor',
    'revoke execute on function tf() from public',
    'create procedure p(integer) language sql as $$ select 1 $$; grant execute on procedure p(integer) to pg_monitor',
  ];
  const read = () =>
    Promise.all(servers.map((server) => server.withSession(database, (session) => readFingerprint(session))));
  try {
    for (const server of servers) {
      await server.freshDatabase(database);
      await server.run(database, BASE);
    }
    const [sourceBefore, targetBefore] = await read();
    const unfollowed = async () => {
      const [sourceAfter, targetAfter] = await read();
      const target = { before: targetBefore!, after: targetAfter! };
      return unfollowedChanges({ before: sourceBefore!, after: sourceAfter! }, target);
    };
    expect(await unfollowed()).toEqual([]);
    for (const change of changes) {
      await servers[0].run(database, change);
      expect({ change, left: (await unfollowed()).length > 0 }).toEqual({ change, left: true });
      await servers[1].run(database, change);
      expect({ change, left: await unfollowed() }).toEqual({ change, left: [] });
    }
  } finally {
    for (const server of servers) await server.stop();
  }
});

it('takes a thousand tables', async () => {
  const server = await TestServer.shared(14);
  try {
    await server.freshDatabase('schema_fingerprint_many');
    await server.withSession('schema_fingerprint_many', async (session) => {
      for (let from = 0; from < 1000; from += 250) {
        await session.execute(`do $$ begin for i in ${from}..${from + 249} loop
          execute 'create table public.t' || i || ' (id bigint primary key, a text not null, b integer default 5, c jsonb, d timestamptz)'; end loop; end $$`);
      }
      await readFingerprint(session);
      const fingerprint = await readFingerprint(session);
      expect(fingerprint.entries.length).toBeGreaterThan(3000);
      expect(await compareSchemas(session, session)).toEqual([]);
    });
  } finally {
    await server.stop();
  }
});
