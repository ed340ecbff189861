import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readTableSizes } from '../../src/postgres/catalog/table-sizes.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'table_sizes';
const ODD = 'Wéird "Name" / ü';

describe.each(AVAILABLE_MAJORS)('sizes of tables on %i', (major) => {
  let server: TestServer;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(DATABASE);
    await server.run(
      DATABASE,
      `create table "${ODD.replaceAll('"', '""')}" (id int primary key) with (autovacuum_enabled = off);
       create table unanalyzed (id int primary key) with (autovacuum_enabled = off);
       create table empty (id int primary key);
       create table parted (id int primary key) partition by range (id);
       create table part_a partition of parted for values from (0) to (1000) with (autovacuum_enabled = off);
       create table part_b partition of parted for values from (1000) to (2000) with (autovacuum_enabled = off);
       insert into "${ODD.replaceAll('"', '""')}" select generate_series(1, 500);
       insert into unanalyzed select generate_series(1, 500);
       insert into parted select generate_series(500, 1499);
       analyze "${ODD.replaceAll('"', '""')}"; analyze parted;
       create publication all_of_it for all tables`,
    );
  });
  afterAll(() => server.stop());

  it('estimates rows where something is known of them, and says nothing where not', async () => {
    const names = [ODD, 'unanalyzed', 'empty', 'parted', 'missing'].map((name) => ({ schema: 'public', name }));
    const found = await server.withSession(DATABASE, (session) => readTableSizes(session, names, ['all_of_it']));
    const byName = new Map(
      found.map(({ name, rows, bytes, filtered }) => [name, { rows, bytes: bytes > 0, filtered }]),
    );
    expect(Object.fromEntries(byName)).toEqual({
      [ODD]: { rows: 500, bytes: true, filtered: false },
      unanalyzed: { rows: null, bytes: true, filtered: false },
      empty: { rows: 0, bytes: false, filtered: false },
      parted: { rows: 1000, bytes: true, filtered: false },
    });
  });
});
