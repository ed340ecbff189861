import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { VerificationDto } from '../../src/verification/verification.dto.js';
import { LinkFixture } from '../database/verification/link-fixture.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

describe('a verification whose process or session dies', () => {
  const database = 'verification_crash';
  let link: LinkFixture;
  let lockstep: Lockstep;

  beforeAll(async () => {
    const servers = [await TestServer.shared(14), await TestServer.shared(AVAILABLE_MAJORS.at(-1)!)] as const;
    link = await LinkFixture.create(...servers, database);
    await link.readers.drop();
    lockstep = await Lockstep.start();
    for (const [name, { host, port, user, password }] of Object.entries({ old: servers[0], new: servers[1] })) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', body);
    }
  }, 120_000);

  afterAll(async () => {
    await lockstep?.dispose();
    await link?.drop();
  });

  it.each(['verification.opened', 'verification.stored'])(
    'at %s goes on after the next start, and leaves nothing behind',
    async (point) => {
      await lockstep.kill();
      await lockstep.launch({ LOCKSTEP_FAILPOINTS: `${point}=kill` });
      const subscriber = { server: 'new', database, subscription: link.subscription };
      const { id } = await lockstep.ok<{ id: string }>('POST', '/v1/verifications', { kind: 'at-rest', subscriber });
      await lockstep.ended(30_000);
      expect(lockstep.signal).toBe('SIGKILL');
      expect(await slots(link)).toHaveLength(2);

      await lockstep.launch();
      const ended = await eventually(
        async () => {
          const verification = await lockstep.ok<{ state: string }>('GET', `/v1/verifications/${id}`);
          return ['succeeded', 'failed'].includes(verification.state) ? verification : null;
        },
        { within: 60_000 },
      );
      expect(ended).toMatchObject({ state: 'succeeded', verdict: 'equal' });
      expect(await slots(link)).toEqual([]);
    },
    120_000,
  );

  it('killed three times between chunks, goes on with the next one each time', async () => {
    const subscriber = { server: 'new', database, subscription: link.subscription };
    const pacing = { mostRows: 150, chunkSeconds: 1 };
    await lockstep.kill();
    await lockstep.launch({ LOCKSTEP_FAILPOINTS: 'verification.chunk=kill:3' });
    const body = { kind: 'at-rest', subscriber, pacing };
    const { id } = await lockstep.ok<{ id: string }>('POST', '/v1/verifications', body);
    for (let life = 1; life <= 3; life++) {
      await lockstep.ended(60_000);
      expect(lockstep.signal).toBe('SIGKILL');
      await lockstep.launch(life < 3 ? { LOCKSTEP_FAILPOINTS: 'verification.chunk=kill:3' } : {});
    }
    const ended = await eventually(
      async () => {
        const verification = await lockstep.ok<VerificationDto>('GET', `/v1/verifications/${id}`);
        return ['succeeded', 'failed'].includes(verification.state) ? verification : null;
      },
      { within: 60_000 },
    );
    expect(ended).toMatchObject({ state: 'succeeded', verdict: 'equal', singleLsn: false, resumed: 3 });
    const rows = ended.tables.reduce((sum, table) => sum + (table.rows ?? 0), 0);
    expect(rows).toBeGreaterThan(7_000);
    expect(ended.rowsKept).toBeGreaterThan(3_000);
    expect(ended.rowsKept).toBeLessThan(rows);
    expect(await slots(link)).toEqual([]);
  }, 180_000);

  it('fails with the reason, and leaves nothing behind, when the server ends the session with the snapshot', async () => {
    await lockstep.kill();
    await lockstep.launch({ LOCKSTEP_FAILPOINTS: 'verification.opened=wait:3000' });
    const blocker = await link.subscriber.open(database);
    try {
      const subscriber = { server: 'new', database, subscription: link.subscription };
      const { id } = await lockstep.ok<{ id: string }>('POST', '/v1/verifications', { kind: 'at-rest', subscriber });
      await eventually(async () => (await slots(link)).length === 2, { within: 30_000 });
      // Binding waits for what is applied, and applying for the lock.
      await blocker.execute('begin; lock table sales.orders in share mode');
      await link.publisher.run(database, 'update sales.orders set customer = customer + 1 where id = 1900');
      const terminate = `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'lockstep bind publisher' and datname = current_database() and state = 'idle in transaction'`;
      await eventually(
        () => link.publisher.withSession(database, async (session) => (await session.rows(terminate)).length > 0),
        { within: 30_000 },
      );
      await blocker.execute('commit');
      const ended = await eventually(
        async () => {
          const operation = await lockstep.ok<{ state: string }>('GET', `/v1/operations/${id}`);
          return ['succeeded', 'failed'].includes(operation.state) ? operation : null;
        },
        { within: 60_000 },
      );
      expect(ended).toMatchObject({ state: 'failed', problem: { code: 'SERVER_UNREACHABLE', retryable: true } });
      expect(await slots(link)).toEqual([]);
    } finally {
      await blocker.close();
    }
  }, 120_000);
});

async function slots({ publisher, subscriber, database }: LinkFixture): Promise<string[]> {
  const names = [publisher, subscriber].map((server) =>
    server.withSession(database, (session) =>
      session.rows<{ name: string }>(
        `select slot_name as name from pg_replication_slots where database = current_database() and slot_name like 'lockstep%'`,
      ),
    ),
  );
  return (await Promise.all(names)).flat().map(({ name }) => name);
}
