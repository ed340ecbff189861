import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LinkFixture } from '../database/verification/link-fixture.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

describe('a verification whose process dies', () => {
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
