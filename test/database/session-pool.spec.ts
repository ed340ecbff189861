import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { SessionPool } from '../../src/postgres/session-pool.js';
import { SessionPools } from '../../src/postgres/session-pools.js';
import { Session } from '../../src/postgres/session.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';

describe('session pool', () => {
  let server: TestServer;
  let pool: SessionPool;
  beforeAll(async () => {
    server = await TestServer.shared(18);
    await server.freshDatabase('pool');
  });
  afterEach(() => pool?.close());
  afterAll(() => server?.stop());

  const pid = async (session: Session): Promise<number> => session.backendPid;

  async function backends(): Promise<number> {
    return server.withSession('postgres', async (session) => {
      const row = await session.row<{ n: number }>(
        `select count(*)::int as n from pg_stat_activity where datname = 'pool'`,
      );
      return row.n;
    });
  }

  it('has a server notice that we are gone while it runs a statement of ours', async () => {
    const network = await Network.to(server.port);
    const session = await Session.open({ ...server.target('pool'), port: network.port }, { statementTimeoutMs: 0 });
    const sleeping = session.rows('select pg_sleep(120)').catch((error: unknown) => error);
    try {
      await eventually(async () => (await backends()) === 1, { within: 5_000 });
    } finally {
      await network.cut();
    }
    expect(await sleeping).toMatchObject({ code: 'SERVER_UNREACHABLE' });
    await eventually(async () => (await backends()) === 0, { within: 30_000 });
  }, 60_000);

  it('takes leave of a server that does not answer any more', async () => {
    const network = await Network.to(server.port);
    try {
      const session = await Session.open({ ...server.target('pool'), port: network.port });
      network.freeze();
      const begun = Date.now();
      await session.close();
      expect(Date.now() - begun).toBeLessThan(10_000);
    } finally {
      await network.cut();
    }
  });

  it('lends the same session again', async () => {
    pool = new SessionPool(server.target('pool'));
    expect(await pool.use(pid)).toBe(await pool.use(pid));
    expect(pool.size).toBe(1);
  });

  it('opens no more than its limit, and makes the rest wait', async () => {
    pool = new SessionPool(server.target('pool'), { max: 2 });
    let most = 0;
    await Promise.all(
      Array.from({ length: 12 }, () =>
        pool.use(async (session) => {
          most = Math.max(most, pool.size);
          await session.rows('select pg_sleep(0.01)');
        }),
      ),
    );
    expect(most).toBe(2);
    expect(await backends()).toBe(2);
  });

  it('does not wait for ever', async () => {
    pool = new SessionPool(server.target('pool'), { max: 1, waitMs: 50 });
    await pool.use(async () => {
      await expect(pool.use(pid)).rejects.toMatchObject({ code: 'SERVER_TIMEOUT', retryable: true });
    });
    expect(await pool.use(pid)).toBeGreaterThan(0);
  });

  it.each<[string, (session: Session) => Promise<void>]>([
    ['failed', (session) => session.execute('select 1/0')],
    ['is left in a transaction', (session) => session.execute('begin')],
    ['was ended by the server', (session) => session.execute('select pg_terminate_backend(pg_backend_pid())')],
  ])('does not lend a session again that %s', async (_case, spoil) => {
    pool = new SessionPool(server.target('pool'));
    const before = await pool.use(pid);
    await pool.use(spoil).catch(() => {});
    expect(await pool.use(pid)).not.toBe(before);
  });

  it('closes idle sessions, and old ones', async () => {
    pool = new SessionPool(server.target('pool'), { idleMs: 20 });
    await pool.use(pid);
    await eventually(async () => pool.size === 0 && (await backends()) === 0, { within: 5_000 });
    await pool.close();
    pool = new SessionPool(server.target('pool'), { lifetimeMs: 0 });
    expect(await pool.use(pid)).not.toBe(await pool.use(pid));
  });

  it('asks a dead server rarely, and a living one at once', async () => {
    pool = new SessionPool({ ...server.target('pool'), port: 1 }, { backOffMs: 60_000, backOffMaxMs: 60_000 });
    const failures = await Promise.allSettled([1, 2, 3].map(() => pool.use(pid)));
    const later = await pool.use(pid).catch((error: unknown) => error);
    expect(failures.map((failure) => (failure as PromiseRejectedResult).reason as unknown)).toContain(later);
    pool.forgetFailure();
    const asked = await pool.use(pid).catch((error: unknown) => error);
    expect(asked).toMatchObject({ code: 'SERVER_UNREACHABLE' });
    expect(asked).not.toBe(later);
  });

  it('does not hold an unknown database against the server', async () => {
    pool = new SessionPool(server.target('pool_later'), { backOffMs: 60_000, backOffMaxMs: 60_000 });
    await expect(pool.use(pid)).rejects.toMatchObject({ code: 'DATABASE_NOT_FOUND' });
    await server.freshDatabase('pool_later');
    expect(await pool.use(pid)).toBeGreaterThan(0);
  });

  it('closed, ends idle sessions now and lent ones when they come back', async () => {
    const pools = new SessionPools();
    pool = pools.for('one', 'r1', server.target('pool'));
    expect(pools.for('one', 'r1', server.target('pool'))).toBe(pool);
    await pool.use(async (session) => {
      const next = pools.for('one', 'r2', server.target('pool'));
      expect(next).not.toBe(pool);
      expect(session.alive).toBe(true);
      await expect(pool.use(pid)).rejects.toMatchObject({ code: 'CONFLICT', retryable: true });
      await next.use(pid);
    });
    await pools.close();
    expect(() => pools.for('one', 'r2', server.target('pool'))).toThrow(/shutting down/);
    await eventually(async () => (await backends()) === 0, { within: 5_000 });
  });
});
