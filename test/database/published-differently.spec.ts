import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readPublishedDifferently } from '../../src/postgres/catalog/published-differently.js';
import type { Session } from '../../src/postgres/session.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'published_differently';
const PUBLICATIONS = ['a', 'b', 'c'];

interface Case {
  what: string;
  since?: number;
  /** Of `t`, or of the leaf `leaf`, with publications a, b and perhaps c. */
  sql: string;
  change?: string;
}

const PLAIN = 'create table t (id int primary key, x int, y int)';
const CHANGE = 'insert into t (id) values (1)';
const CASES: Case[] = [
  {
    what: 'other lists',
    sql: `${PLAIN}; create publication a for table t (id, x); create publication b for table t (id)`,
  },
  {
    what: 'one list in another order',
    sql: `${PLAIN}; create publication a for table t (id, x); create publication b for table t (x, id)`,
  },
  {
    what: 'all columns, and no list',
    sql: `${PLAIN}; create publication a for table t (id, x, y); create publication b for table t`,
  },
  {
    what: 'all columns that are left, and no list',
    sql: `${PLAIN}; alter table t drop column y;
          create publication a for table t (id, x); create publication b for table t`,
  },
  {
    what: 'a list, and all tables',
    sql: `${PLAIN}; create publication a for table t (id); create publication b for all tables`,
  },
  {
    what: 'a list, and the schema',
    sql: `${PLAIN}; create publication a for table t (id); create publication b for tables in schema public`,
  },
  {
    what: 'no list, and all tables',
    sql: `${PLAIN}; create publication a for table t; create publication b for all tables`,
  },
  {
    what: 'other lists, of which one sends TRUNCATE alone',
    sql: `${PLAIN}; create publication a for table t (id, x);
          create publication b for table t (id) with (publish = 'truncate')`,
  },
  {
    what: 'other lists, of which all send TRUNCATE alone',
    sql: `${PLAIN}; create publication a for table t (id, x) with (publish = 'truncate');
          create publication b for table t (id) with (publish = 'truncate')`,
  },
  {
    what: 'a generated column that all leave out',
    sql: `create table t (id int primary key, g int generated always as (id + 1) stored);
          create publication a for table t (id); create publication b for table t`,
  },
  {
    what: 'a generated column that one sends',
    since: 18,
    sql: `create table t (id int primary key, g int generated always as (id + 1) stored);
          create publication a for table t with (publish_generated_columns = stored); create publication b for table t`,
  },
  {
    what: 'a generated column that one lists and one sends',
    since: 18,
    sql: `create table t (id int primary key, g int generated always as (id + 1) stored);
          create publication a for table t with (publish_generated_columns = stored);
          create publication b for table t (id, g)`,
  },
  {
    what: 'a virtual column and other settings',
    since: 18,
    sql: `create table t (id int primary key, g int generated always as (id + 1) virtual);
          create publication a for table t with (publish_generated_columns = stored); create publication b for table t`,
  },
  {
    what: 'other settings and no generated column',
    since: 18,
    sql: `${PLAIN}; create publication a for table t with (publish_generated_columns = stored);
          create publication b for table t`,
  },
  {
    what: 'other lists of a leaf that a third sends as its root',
    sql: `create table t (id int primary key, x int) partition by range (id);
          create table leaf partition of t for values from (0) to (10);
          create publication a for table t with (publish_via_partition_root = true);
          create publication b for table leaf (id); create publication c for table leaf (id, x)`,
  },
  {
    what: 'other lists of a leaf',
    sql: `create table t (id int primary key, x int) partition by range (id);
          create table leaf partition of t for values from (0) to (10);
          create publication a for table t; create publication b for table leaf (id)`,
  },
  {
    what: 'a leaf by its root and by itself',
    sql: `create table t (id int primary key, x int) partition by range (id);
          create table leaf partition of t for values from (0) to (10);
          create publication a for table t; create publication b for table leaf`,
  },
];

describe.each(AVAILABLE_MAJORS.filter((major) => major >= 15))(
  'tables that publications do not send alike are those that PostgreSQL %i refuses to send',
  (major) => {
    let server: TestServer;
    let session: Session;

    beforeAll(async () => {
      server = await TestServer.shared(major);
      await server.freshDatabase(DATABASE);
      session = await server.open(DATABASE);
      await session.execute('set search_path = public; set synchronous_commit = on');
    });
    afterAll(async () => {
      await session?.close();
      await server?.stop();
    });

    async function refusal(change: string): Promise<string | null> {
      const slot = `differently_${major}`;
      await session.rows(`select pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
      try {
        await session.execute(change);
        const rows = await session.rows(
          `select data from pg_catalog.pg_logical_slot_peek_binary_changes($1, null, null,
             'proto_version', '1', 'publication_names', $2)`,
          [slot, (await existing()).join()],
        );
        expect(rows).toBeDefined();
        return null;
      } catch (error) {
        return (error as Error).message;
      } finally {
        await session.rows('select pg_catalog.pg_drop_replication_slot($1)', [slot]);
      }
    }

    const existing = async () =>
      (
        await session.rows<{ name: string }>('select pubname::text as name from pg_catalog.pg_publication order by 1')
      ).map(({ name }) => name);

    it.each(CASES.filter(({ since = 15 }) => since <= major))('$what', async ({ sql, change = CHANGE }) => {
      try {
        await session.execute(sql);
        const { columns } = await readPublishedDifferently(session, PUBLICATIONS);
        const refused = await refusal(change);
        if (refused !== null)
          expect(refused).toMatch(/cannot use different (column lists|values of publish_generated)/);
        expect(columns.length > 0).toBe(refused !== null);
      } finally {
        for (const name of PUBLICATIONS) await session.execute(`drop publication if exists ${name}`);
        await session.execute('drop table if exists t');
      }
    });

    it('row filters differ where one has another, or none', async () => {
      await session.execute(
        `${PLAIN}; create table u (id int primary key); create table same (id int primary key);
         create publication a for table t where (id > 1), u where (id > 2), same where (id > 3);
         create publication b for table t where (id > 2), u, same where (id > 3)`,
      );
      const { filters, columns } = await readPublishedDifferently(session, PUBLICATIONS);
      expect([filters.map(({ name }) => name), columns]).toEqual([['t', 'u'], []]);
      expect(await readPublishedDifferently(session, ['a'])).toEqual({ columns: [], filters: [] });
    });
  },
);
