import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compareFingerprints, compareSchemas, readFingerprint } from '../../src/postgres/schema/fingerprint.js';
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
  ['grant select (a) on t to pg_monitor', ['changed table public.t']],
  ['grant execute on function f() to pg_monitor', ['changed function public.f()']],
  ['alter table t rename to t2', ['removed table public.t', 'added table public.t2']],
  ['alter table t replica identity full', ['changed table public.t']],
  ['create schema x', ['added schema x']],
  ['alter default privileges grant select on tables to pg_monitor', ['added default privileges postgres 0 r']],
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
});

it('takes a thousand tables in a fraction of a second', async () => {
  const server = await TestServer.shared(14);
  try {
    await server.freshDatabase('schema_fingerprint_many');
    await server.withSession('schema_fingerprint_many', async (session) => {
      for (let from = 0; from < 1000; from += 250) {
        await session.execute(`do $$ begin for i in ${from}..${from + 249} loop
          execute 'create table public.t' || i || ' (id bigint primary key, a text not null, b integer default 5, c jsonb, d timestamptz)'; end loop; end $$`);
      }
      await readFingerprint(session);
      const start = performance.now();
      const fingerprint = await readFingerprint(session);
      const ms = performance.now() - start;
      expect(fingerprint.entries.length).toBeGreaterThan(3000);
      expect(ms).toBeLessThan(2000);
      expect(await compareSchemas(session, session)).toEqual([]);
    });
  } finally {
    await server.stop();
  }
});
