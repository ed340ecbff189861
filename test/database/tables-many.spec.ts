import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readSequences } from '../../src/postgres/catalog/sequences-list.js';
import { readIdentityIndexes } from '../../src/postgres/catalog/table-indexes.js';
import { readWriteCounts } from '../../src/postgres/catalog/table-writes.js';
import { readTables } from '../../src/postgres/catalog/tables.js';
import { Session } from '../../src/postgres/session.js';
import { TestServer } from '../support/postgres-fleet.js';

const TABLES = 10_000;
const PAGE = 200;

describe.each([13, 18])('10,000 tables on PostgreSQL %i', (major) => {
  const database = 'tables_many';
  const statements: string[] = [];
  let server: TestServer;
  let session: Session;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(database);
    await server.withSession(database, async (maker) => {
      for (let from = 0; from < TABLES; from += 1000) {
        // One thousand with a sequence of its own.
        const type = from === 5000 ? 'serial' : 'int';
        await maker.execute(`do $$ begin for i in ${from}..${from + 999} loop
          execute 'create table public."T ' || i || '" (id ${type} primary key, n int not null)'; end loop; end $$`);
      }
      await maker.execute('analyze pg_catalog.pg_class, pg_catalog.pg_attribute, pg_catalog.pg_index');
    });
    session = await Session.open({ ...server.target(database), onStatement: (sql) => statements.push(sql) });
  }, 120_000);
  afterAll(async () => {
    await session.close();
    await server.withSession('postgres', (maker) => maker.execute(`drop database ${database} with (force)`));
    await server.stop();
  });

  it.each([
    ['the first', undefined],
    ['one in the middle', { schema: 'public', name: 'T 5' }],
  ])('%s page of tables is had in three statements', async (_which, after) => {
    statements.length = 0;
    const tables = await readTables(session, { after, limit: PAGE });
    const oids = tables.map(({ oid }) => oid);
    const indexes = await readIdentityIndexes(session, oids);
    const writes = await readWriteCounts(session, oids);
    expect([tables.length, indexes.size, writes.counts!.size]).toEqual([PAGE, PAGE, PAGE]);
    expect(statements).toHaveLength(3);
  });

  it('a page of sequences is had without a statement for each', async () => {
    statements.length = 0;
    const sequences = await readSequences(session, { after: { schema: 'public', name: 'T 5' }, limit: PAGE });
    expect(sequences).toHaveLength(PAGE);
    expect(sequences.every(({ lastValue, ownedBy }) => lastValue === '1' && ownedBy !== null)).toBe(true);
    expect(statements.length).toBeLessThanOrEqual(3);
  });
});
