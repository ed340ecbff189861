import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readSequences } from '../../src/postgres/catalog/sequences-list.js';
import { readWriteCounts } from '../../src/postgres/catalog/table-writes.js';
import type { Session } from '../../src/postgres/session.js';
import { writesOf } from '../../src/tables/write-rates.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

/** What is dropped by others between two statements of one answer. */
describe.each(AVAILABLE_MAJORS)('what is dropped between two looks on PostgreSQL %i', (major) => {
  const database = 'dropped_between';
  let server: TestServer;
  let session: Session;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(database);
    session = await server.open(database);
  });
  afterAll(async () => {
    await session.close();
    await server.stop();
  });

  it('a sequence is left out of the page', async () => {
    await server.run(database, 'create sequence a; create sequence b; create sequence c');
    const listed = () => server.run(database, 'drop sequence b');
    const page = await readSequences(interrupted(session, 1, listed));
    expect(page.map(({ name, lastValue, reason }) => [name, lastValue, reason])).toEqual([
      ['a', '1', null],
      ['c', '1', null],
    ]);
  });

  it('a sequence leaves room for the next one, so that a page that is not full is the last', async () => {
    await server.run(database, 'create sequence e; create sequence f; create sequence g');
    const listed = () => server.run(database, 'drop sequence e; drop sequence f');
    const after = { schema: 'public', name: 'd' };
    const page = await readSequences(interrupted(session, 1, listed), { after, limit: 2 });
    expect(page.map(({ name }) => name)).toEqual(['g']);
    await server.run(database, 'create sequence h; create sequence i');
    const again = () => server.run(database, 'drop sequence g');
    const full = await readSequences(interrupted(session, 1, again), { after, limit: 2 });
    expect(full.map(({ name }) => name)).toEqual(['h', 'i']);
  });

  it('a table that was never written has no rate, rather than 0', async () => {
    await server.run(database, 'create table t (id int)');
    const { oid } = await session.row<{ oid: string }>(`select 'public.t'::regclass::oid::text as oid`);
    const first = await readWriteCounts(session, [oid]);
    await server.run(database, 'drop table t');
    const second = await readWriteCounts(session, [oid]);
    expect(writesOf({ kind: 'table', oid }, first, second)).toMatchObject({
      ...{ inserted: null, perSecond: null, reason: expect.stringContaining('not there') },
    });
  });
});

/** The session, with `others` acting after its n-th answer. */
function interrupted(session: Session, after: number, others: () => Promise<void>): Session {
  let answers = 0;
  return new Proxy(session, {
    get(target, property) {
      const value = Reflect.get(target, property, target) as unknown;
      if (property !== 'rows') return typeof value === 'function' ? value.bind(target) : value;
      return async (...parameters: Parameters<Session['rows']>) => {
        const rows = await target.rows(...parameters);
        if (++answers === after) await others();
        return rows;
      };
    },
  });
}
