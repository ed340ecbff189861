import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { emptyPublications } from '../../src/postgres/replication/empty-publications.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'empty_publications';
const TABLES = Array.from({ length: 20 }, (_, number) => `t${number}`);
const LASTS_MS = 4_000;

describe('dropping publications while their tables are written to', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await TestServer.shared(AVAILABLE_MAJORS.at(-1)!);
    await server.freshDatabase(DATABASE);
    await server.run(
      DATABASE,
      TABLES.map((name) => `create table ${name} (id int primary key, n int); insert into ${name} values (1, 0)`).join(
        ';',
      ),
    );
  });
  afterAll(() => server.stop());

  it('fails no writer', async () => {
    let over = false;
    const writers = [0, 1, 2].map(async (writer) =>
      server.withSession(DATABASE, async (session) => {
        let writes = 0;
        for (; !over; writes++) {
          await session.execute(`update public.t${(writes * 7 + writer) % TABLES.length} set n = n + 1`);
        }
        return writes;
      }),
    );
    try {
      await server.withSession(DATABASE, async (session) => {
        const list = TABLES.map((name) => `public.${name}`).join(', ');
        for (const until = Date.now() + LASTS_MS; Date.now() < until;) {
          await session.execute(`create publication a for table ${list}; create publication "B" for table ${list}`);
          await emptyPublications(session, ['a', 'B', 'none']);
          await session.execute('drop publication a, "B"');
        }
      });
    } finally {
      over = true;
    }
    for (const writes of await Promise.all(writers)) expect(writes).toBeGreaterThan(100);
  });

  it('does not wait for a table that is locked', async () => {
    await server.withSession(DATABASE, (session) => session.execute('create publication locked for table public.t0'));
    const holder = await server.open(DATABASE);
    try {
      await holder.execute('begin; lock table public.t0 in share update exclusive mode');
      await server.withSession(DATABASE, async (session) => {
        await emptyPublications(session, ['locked']);
        await session.execute('drop publication locked');
      });
    } finally {
      await holder.close();
    }
  }, 15_000);
});
