import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { eventually } from '../../test/support/eventually.js';
import { TestServer } from '../../test/support/postgres-fleet.js';
import { held, type LedgerVerdict } from './ledger.js';
import { createDemoDatabase, type Endpoint } from './schema.js';
import { Workload } from './workload.js';

const DATABASE = 'demo_workload';

async function withClient<T>(server: TestServer, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const { host, port, user, password } = server;
  const client = new pg.Client({ host, port, user, password, database: DATABASE });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

describe.each([14, 18])('a workload on PostgreSQL %i', (major) => {
  let server: TestServer;
  let here: Endpoint;

  beforeAll(async () => {
    server = await TestServer.start(major);
    here = { host: server.host, port: server.port, database: DATABASE };
    await createDemoDatabase(server.target(), DATABASE, { rows: 3000 });
  });
  afterAll(() => server?.stop());

  const check = (workload: Workload): Promise<LedgerVerdict> =>
    withClient(server, (client) => workload.ledger.check(client));

  async function ran(writes: number): Promise<Workload> {
    const workload = new Workload({ writeTo: () => here, perSecond: 2000 });
    await workload.start();
    await eventually(() => workload.figures.acknowledged >= writes, { within: 30_000 });
    await workload.stop();
    return workload;
  }

  describe('after a quiet run', () => {
    let workload: Workload;
    beforeAll(async () => {
      workload = await ran(1500);
    });

    it('finds every acknowledged write once and as written, and no defect in any kind of transaction', async () => {
      const verdict = await check(workload);
      expect(verdict).toMatchObject({ lost: [], duplicated: [], mismatches: [] });
      expect(held(verdict)).toBe(true);
      expect(verdict.acknowledged).toBe(workload.figures.acknowledged);
      expect(workload.figures).toMatchObject({ defects: [], failedAttempts: 0 });
      const kinds = await withClient(server, (client) =>
        client.query(`select kind from app.client_write where run = $1 group by kind`, [workload.ledger.run]),
      );
      expect(kinds.rows).toHaveLength(9);
    });

    const run = (): string => workload.ledger.run;
    const planted: [string, () => string, Partial<Record<'lost' | 'duplicated' | 'mismatches', number>>][] = [
      [
        'a lost write',
        () =>
          `delete from app.client_write where ctid = (select ctid from app.client_write where run = '${run()}' limit 1)`,
        { lost: 1, duplicated: 0, mismatches: 0 },
      ],
      [
        'a write applied twice',
        () => `alter table app.client_write drop constraint client_write_pkey;
               insert into app.client_write select * from app.client_write where run = '${run()}' limit 1`,
        { lost: 0, duplicated: 1, mismatches: 0 },
      ],
      [
        'a row doubled in the table without a key',
        () => `insert into app.event_log select * from app.event_log where source like '${run()}-%' limit 1`,
        { lost: 0, duplicated: 1, mismatches: 0 },
      ],
      [
        'a lost update of a counter',
        () => `update app.account set balance = balance - 0.01 where id = 7`,
        { lost: 0, duplicated: 0, mismatches: 1 },
      ],
      [
        'a lost update of a long text',
        () =>
          `update catalog.document set body = body || ' ' where id = (select id from catalog.document where author like '${run()}-%' limit 1)`,
        { mismatches: 1 },
      ],
      [
        'NULL become an empty string',
        () =>
          `update app.event_log set message = '' where ctid = (select ctid from app.event_log where source like '${run()}-%' and message is null limit 1)`,
        { mismatches: 1 },
      ],
      [
        'a deleted row come back',
        () => `insert into app.cart values ('${run()}-0', 'cart 999999', 1, null)`,
        { mismatches: 1 },
      ],
      [
        'a savepoint that was rolled back',
        () => `insert into app.cart values ('${run()}-1', 'ghost 1', 1, 'never committed')`,
        { mismatches: 1 },
      ],
      [
        'a write nobody made',
        () => `insert into app.client_write values (gen_random_uuid(), '${run()}', 0, 0, 1, 'cart')`,
        { mismatches: 1 },
      ],
    ];

    it.each(planted)('sees %s', async (_name, sql, expected) => {
      const verdict = await withClient(server, async (client) => {
        await client.query('begin');
        try {
          await client.query(sql());
          return await workload.ledger.check(client);
        } finally {
          await client.query('rollback');
        }
      });
      const { lost, duplicated, mismatches } = verdict;
      expect({ lost: lost.length, duplicated: duplicated.length, mismatches: mismatches.length }).toMatchObject(
        expected,
      );
      expect(held(verdict)).toBe(false);
    });
  });

  it('comes through crashes of the server with nothing lost and nothing twice', async () => {
    const workload = new Workload({ writeTo: () => here, perSecond: 2000 });
    await workload.start();
    for (let crash = 0; crash < 3; crash++) {
      const before = workload.figures.acknowledged;
      await eventually(() => workload.figures.acknowledged > before + 200, { within: 30_000 });
      await server.crash();
      await server.restart();
    }
    const before = workload.figures.acknowledged;
    await eventually(() => workload.figures.acknowledged > before + 200, { within: 30_000 });
    await workload.stop();
    const verdict = await check(workload);
    expect(verdict).toMatchObject({ lost: [], duplicated: [], mismatches: [] });
    expect(workload.figures.defects).toEqual([]);
    expect(workload.figures.failedAttempts).toBeGreaterThan(0);
    expect(workload.figures.longestPauseMs).toBeGreaterThan(50);
  });

  it('waits while nobody may write, and leaves a write that cannot end in doubt', async () => {
    let writeTo: Endpoint | null = here;
    const workload = new Workload({ writeTo: () => writeTo, perSecond: 500 });
    await workload.start();
    await eventually(() => workload.figures.acknowledged > 100, { within: 30_000 });
    await server.crash();
    writeTo = null;
    await workload.stop(100);
    await server.restart();
    const verdict = await check(workload);
    expect(verdict).toMatchObject({ lost: [], duplicated: [], mismatches: [] });
    expect(verdict.inDoubt.committed + verdict.inDoubt.rolledBack).toBeGreaterThan(0);
  });
});
