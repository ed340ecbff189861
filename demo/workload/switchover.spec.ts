import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { eventually } from '../../test/support/eventually.js';
import { TestServer } from '../../test/support/postgres-fleet.js';
import { held } from './ledger.js';
import { createDemoDatabase, demoRoles, type Endpoint } from './schema.js';
import { Workload } from './workload.js';

const DATABASE = 'demo_switchover';
const WRITERS = demoRoles().writers.map((login) => login.user);

/** The writers must hold over a real switch between two servers before they can judge Lockstep's. */
describe('writers that are moved from PostgreSQL 14 to 18', () => {
  let source: TestServer;
  let target: TestServer;
  let writeTo: Endpoint | null;
  const workload = new Workload({ writeTo: () => writeTo, writers: 3, perSecond: 400 });

  beforeAll(async () => {
    [source, target] = await Promise.all([TestServer.start(14), TestServer.start(18)]);
    await createDemoDatabase(source.target(), DATABASE, { rows: 3000 });
    await createDemoDatabase(target.target(), DATABASE, { rows: 0 });
    writeTo = endpoint(source);
  });
  afterAll(async () => {
    await workload.stop(0);
    await Promise.all([source?.stop(), target?.stop()]);
  });

  function endpoint({ host, port }: TestServer): Endpoint {
    return { host, port, database: DATABASE };
  }

  async function check(server: TestServer) {
    const { user, password } = server;
    const client = new pg.Client({ ...endpoint(server), user, password });
    await client.connect();
    try {
      return await workload.ledger.check(client);
    } finally {
      await client.end();
    }
  }

  async function bar(server: TestServer): Promise<void> {
    for (const role of WRITERS) await server.run(DATABASE, `alter role ${role} nologin`);
    await eventually(
      () =>
        server.withSession(DATABASE, async (session) => {
          const left = await session.rows(
            `select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity where usename = any($1)`,
            [WRITERS],
          );
          return left.length === 0;
        }),
      { within: 10_000 },
    );
  }

  /** Everything committed on the source so far has been applied, and confirmed, by the target. */
  async function drained(): Promise<boolean> {
    return source.withSession(DATABASE, async (session) => {
      const slot = await session.row<{ drained: boolean }>(
        `select confirmed_flush_lsn >= pg_catalog.pg_current_wal_lsn() as drained
         from pg_catalog.pg_replication_slots where slot_name = 'demo_sub'`,
      );
      return slot.drained;
    });
  }

  it('lose nothing, repeat nothing, and notice when a sequence was left behind', async () => {
    const { host, port, user, password } = source;
    await source.run(DATABASE, `create publication demo_pub for all tables with (publish_via_partition_root = true)`);
    await target.run(
      DATABASE,
      `create subscription demo_sub connection 'host=${host} port=${port} user=${user} password=${password} dbname=${DATABASE}' publication demo_pub`,
    );
    await workload.start();
    await eventually(() => workload.figures.acknowledged > 300, { within: 30_000 });
    await eventually(
      () =>
        target.withSession(DATABASE, async (session) => {
          const { pending } = await session.row<{ pending: number }>(
            `select count(*)::int as pending from pg_catalog.pg_subscription_rel where srsubstate <> 'r'`,
          );
          return pending === 0;
        }),
      { within: 30_000 },
    );

    // writeTo still says "source" while the server throws the writers out: they must come through that too.
    await bar(source);
    writeTo = null;
    await eventually(drained, { within: 20_000 });
    const sequences = await source.withSession(DATABASE, (session) =>
      session.rows<{ move: string }>(
        `select pg_catalog.format('select pg_catalog.setval(%L, %s)', pg_catalog.format('%I.%I', schemaname, sequencename), last_value) as move
         from pg_catalog.pg_sequences where last_value is not null and sequencename <> 'ticket_number'`,
      ),
    );
    await target.run(DATABASE, sequences.map(({ move }) => move).join('; '));
    await target.run(DATABASE, 'drop subscription demo_sub');
    writeTo = endpoint(target);
    await eventually(() => workload.figures.moves.length === 3, { within: 20_000 });
    await eventually(() => workload.figures.defects.length > 0, { within: 20_000 });
    await workload.stop();

    const verdict = await check(target);
    expect(verdict).toMatchObject({ lost: [], duplicated: [], mismatches: [] });
    expect(held(verdict)).toBe(true);
    const { moves, defects, failedAttempts, retried, longestPauseMs } = workload.figures;
    for (const move of moves) expect(move).toMatchObject({ from: endpoint(source), to: endpoint(target) });
    expect(Math.max(...moves.map((move) => move.pauseMs))).toBeLessThanOrEqual(longestPauseMs);
    expect(failedAttempts).toBeGreaterThan(0);
    expect(retried).toBeGreaterThan(0);
    // The one sequence left behind on purpose, and nothing else.
    expect(new Set(defects.map((defect) => defect.replace(/^\w+: /, '')))).toEqual(
      new Set([expect.stringContaining('ticket_pkey')]),
    );
    expect((await check(source)).lost.length).toBeGreaterThan(0);
  });
});
