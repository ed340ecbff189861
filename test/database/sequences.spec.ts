import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { identifier } from '../../src/postgres/quoting.js';
import {
  applySequences,
  compareSequences,
  readSequences,
  transferSequences,
} from '../../src/postgres/schema/sequences.js';
import { Session } from '../../src/postgres/session.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const KINDS = `
  create schema "odd ""s";
  create sequence plain; create sequence "odd ""s"."Seq;'x" start 7;
  create sequence small as smallint maxvalue 5; create sequence down increment -2 minvalue -9 maxvalue 9 start 9 cycle;
  create sequence wide minvalue -9223372036854775808 start 0;
  create sequence set_unused; create sequence never;
  create table t (id bigint generated always as identity (start 100 increment 10), s serial);`;

const USE = `
  select nextval('plain') from generate_series(1, 3);
  select setval('small', 5); select nextval('down') from generate_series(1, 14);
  select setval('wide', -9223372036854775808, false); select setval('set_unused', 50, false);
  select nextval('"odd ""s"."Seq;''x"'); insert into t default values; insert into t default values;`;

describe.each(AVAILABLE_MAJORS)('sequences of PostgreSQL %i', (major) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.shared(major);
    for (const database of ['sequences_a', 'sequences_b']) {
      await server.freshDatabase(database);
      await server.run(database, KINDS);
    }
    await server.run('sequences_a', USE);
  });
  afterAll(async () => server?.stop());

  it('reads every kind exactly', async () => {
    const states = await server.withSession('sequences_a', readSequences);
    const brief = states.map(({ name, dataType, lastValue, isCalled }) =>
      [name, dataType, lastValue, isCalled].join(' '),
    );
    expect(brief).toEqual([
      `Seq;'x bigint 7 true`,
      'down bigint 3 true',
      'never bigint 1 false',
      'plain bigint 3 true',
      'set_unused bigint 50 false',
      'small smallint 5 true',
      't_id_seq bigint 110 true',
      't_s_seq integer 2 true',
      'wide bigint -9223372036854775808 false',
    ]);
  });

  it('carries them over, then back, touching only what changed', async () => {
    const a = await server.open('sequences_a');
    const b = await server.open('sequences_b');
    try {
      const there = await transferSequences(a, b);
      expect(there.differences).toEqual([]);
      expect(there.applied).toBe(8);
      await b.execute(`select pg_catalog.nextval('public.plain')`);
      expect(compareSequences(await readSequences(a), await readSequences(b))).toEqual([
        { schema: 'public', name: 'plain', kind: 'different', expected: '3 called', actual: '4 called' },
      ]);
      const back = await transferSequences(b, a);
      expect(back).toMatchObject({ applied: 1, differences: [] });
    } finally {
      await a.close();
      await b.close();
    }
  });

  it('leaves out what belongs to an extension, unless it marks that as data, and what only the other side has', async () => {
    await server.run(
      'sequences_b',
      `create sequence of_extension; create sequence of_data;
       alter extension plpgsql add sequence of_extension; alter extension plpgsql add sequence of_data;
       update pg_catalog.pg_extension set extconfig = array['of_data'::regclass::oid], extcondition = array['']
        where extname = 'plpgsql'`,
    );
    const [a, b] = [await server.open('sequences_a'), await server.open('sequences_b')];
    try {
      const transfer = await transferSequences(a, b);
      expect(transfer).toMatchObject({ differences: [], extra: [{ schema: 'public', name: 'of_data' }] });
    } finally {
      await a.close();
      await b.close();
      await server.run(
        'sequences_b',
        `update pg_catalog.pg_extension set extconfig = null, extcondition = null where extname = 'plpgsql';
         alter extension plpgsql drop sequence of_extension; alter extension plpgsql drop sequence of_data;
         drop sequence of_extension, of_data`,
      );
    }
  });

  it('calls what it may not read unknown, and names what is missing', async () => {
    const role = `sequences_reader_${major}`;
    await server.withSession('sequences_a', async (session) => {
      await session.execute(`drop role if exists ${identifier(role)}`);
      await session.execute(`create role ${identifier(role)} login password 'sequence-reader-secret'`);
    });
    const reader = await Session.open({
      ...server.target('sequences_a'),
      user: role,
      password: 'sequence-reader-secret',
    });
    try {
      const states = await readSequences(reader);
      expect(states).toHaveLength(9);
      expect(states.every(({ lastValue, isCalled }) => lastValue === null && isCalled === null)).toBe(true);
      expect(await applySequences(reader, states)).toBe(0);
      const all = await server.withSession('sequences_a', readSequences);
      expect(new Set(compareSequences(all, states).map(({ kind }) => kind))).toEqual(new Set(['unknown']));
      expect(compareSequences(all, all.slice(1)).map(({ kind, name }) => `${kind} ${name}`)).toEqual([
        `missing Seq;'x`,
      ]);
    } finally {
      await reader.close();
      await server.run('sequences_a', `drop role ${identifier(role)}`);
    }
  });
});

describe.each([14, 18])('10,000 sequences of PostgreSQL %i', (major) => {
  it('are read, applied and compared', async () => {
    const server = await TestServer.shared(major);
    try {
      for (const database of ['sequences_many_a', 'sequences_many_b']) {
        await server.freshDatabase(database);
        await server.withSession(database, async (session) => {
          for (let from = 0; from < 10_000; from += 1000) {
            await session.execute(`do $$ begin for i in ${from}..${from + 999} loop
              execute 'create sequence public.s' || i; end loop; end $$`);
          }
        });
      }
      await server.run(
        'sequences_many_a',
        `select setval(('s' || i)::regclass, i + 1, i % 2 = 0) from generate_series(0, 4999) i`,
      );
      await server.run(
        'sequences_many_a',
        `select setval(('s' || i)::regclass, i + 1, i % 2 = 0) from generate_series(5000, 9999) i`,
      );
      const a = await server.open('sequences_many_a');
      const b = await server.open('sequences_many_b');
      try {
        await readSequences(a);
        const states = await readSequences(a);
        expect(await applySequences(b, states)).toBe(10_000);
        expect(compareSequences(states, await readSequences(b))).toEqual([]);
      } finally {
        await a.close();
        await b.close();
      }
    } finally {
      await server.stop();
    }
  });
});
