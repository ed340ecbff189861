import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { TestServer } from '../test/support/postgres-fleet.js';
import { compareDatabases } from './compare-databases.js';

const DATABASE = 'demo_compare';
const CONTENT = `
  create table public.item (id integer primary key, price numeric, note text, at timestamptz, weight float8);
  insert into public.item select i, i / 3.0, 'note ' || i, timestamptz '2026-01-01 00:00+00' + i * interval '1 hour', i / 7.0
  from generate_series(1, 500) i;
  create table public.nothing ();
  create table public.parted (id integer) partition by range (id);
  create table public.parted_1 partition of public.parted for values from (0) to (1000);
  insert into public.parted select generate_series(1, 10);
  create sequence public.up; create sequence public.down increment by -2; create sequence public.round maxvalue 5 cycle;
  create sequence public.unused;
  select nextval('public.up'), nextval('public.down'), nextval('public.round') from generate_series(1, 3);`;

describe('comparing two servers without Lockstep', () => {
  let source: TestServer;
  let target: TestServer;

  const sideOf = (server: TestServer) => ({
    async withClient<T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
      const { host, port, user, password } = server;
      const client = new pg.Client({ host, port, user, password, database });
      await client.connect();
      try {
        return await work(client);
      } finally {
        await client.end();
      }
    },
  });
  const compare = () => compareDatabases(sideOf(source), sideOf(target), DATABASE, 0);

  beforeAll(async () => {
    [source, target] = await Promise.all([TestServer.shared(14), TestServer.shared(18)]);
    for (const server of [source, target]) {
      await server.freshDatabase(DATABASE);
      await server.run(DATABASE, CONTENT);
    }
  });
  afterAll(async () => {
    await Promise.all([source?.stop(), target?.stop()]);
  });

  it('calls equal what is equal, counting a partitioned table once', async () => {
    expect(await compare()).toEqual({ tables: 3, rows: 510, sequences: 4, differences: [] });
  });

  it.each([
    [
      'a value off by one microsecond',
      `update item set at = at + interval '1 microsecond' where id = 7`,
      /"item": 500 rows.*differ/,
    ],
    ['another scale of a numeric', `update item set price = price::numeric(20, 19) where id = 3`, /contents differ/],
    ['NULL for an empty string', `update item set note = null where id = 9`, /contents differ/],
    ['a missing row', `delete from item where id = 500`, /500 rows on the source, 499/],
    ['an extra row in a partition', `insert into parted values (11)`, /"parted": 10 rows on the source, 11/],
    ['a table of one side', `create table extra (id integer)`, /"extra" is on one server only/],
    ['an ascending sequence behind', `select setval('up', 2)`, /public.up: 2 on the target, 3/],
    ['a descending sequence behind', `select setval('down', -3)`, /public.down: -3 on the target, -5/],
    ['a sequence never moved', `alter sequence round restart`, /public.round: unused on the target/],
  ])('sees %s', async (_name, change, expected) => {
    await target.run(DATABASE, change);
    try {
      const { differences } = await compare();
      expect(differences).toHaveLength(1);
      expect(differences[0]).toMatch(expected);
    } finally {
      await target.freshDatabase(DATABASE);
      await target.run(DATABASE, CONTENT);
    }
  });

  it('lets the target be ahead in its sequences, whichever way they run', async () => {
    await target.run(DATABASE, `select setval('up', 100), setval('down', -100), setval('round', 1), nextval('unused')`);
    expect((await compare()).differences).toEqual([]);
  });
});
