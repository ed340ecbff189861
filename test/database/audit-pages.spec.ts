import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Config } from '../../src/config/config.js';
import { AuditRepository } from '../../src/security/audit.repository.js';
import { AuditService } from '../../src/security/audit.service.js';
import { StateDatabase } from '../../src/storage/state-database.js';
import { TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'audit_pages';

let server: TestServer;
let state: StateDatabase;
let audit: AuditService;

beforeAll(async () => {
  server = await TestServer.shared(18);
  await server.freshDatabase(DATABASE);
  const { user, password, host, port } = server;
  state = await StateDatabase.open(
    Config.load({ DATABASE_URL: `postgresql://${user}:${password}@${host}:${port}/${DATABASE}` }),
  );
  audit = new AuditService(new AuditRepository(state.dataSource));
  // Three to each microsecond, several microseconds to each millisecond.
  await state.dataSource.query(
    `insert into lockstep.audit_event (at, action, subject, outcome)
     select timestamptz '2026-01-02 03:04:05.678901+00' + (n / 3) * interval '1 microsecond', 'x.y',
            (array['servers/a', 'servers/a/databases/b', 'servers/a-b', 'servers/a0', 'servers/A'])[1 + n % 5], 'succeeded'
       from generate_series(0, 49) n`,
  );
});

afterAll(async () => {
  await state?.onApplicationShutdown();
  await server?.stop();
});

async function all(filter: Parameters<AuditService['list']>[0], limit: number): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await audit.list(filter, limit, cursor);
    ids.push(...page.items.map(({ id }) => id));
    if (page.nextCursor === null) return ids;
    cursor = page.nextCursor;
  }
}

it('pages through events of one instant without skipping or repeating any, newest first', async () => {
  const ids = await all({}, 4);
  expect(ids).toEqual([...Array(50).keys()].map((n) => String(50 - n)));
});

it('takes a subject with what is below it, and nothing that merely begins alike', async () => {
  const ids = await all({ subject: 'servers/a' }, 7);
  expect(ids.map(Number).sort((a, b) => a - b)).toEqual(
    [...Array(50).keys()].map((n) => n + 1).filter((id) => (id - 1) % 5 < 2),
  );
});

it.each([['["x","1"]'], ['["1","1; drop"]'], ['["1"]'], ['["1.5","2"]'], ['[-1,2]']])(
  'refuses the cursor %s',
  async (key) => {
    await expect(audit.list({}, 5, Buffer.from(key).toString('base64url'))).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
  },
);
