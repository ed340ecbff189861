import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { demoRoles } from '../../demo/workload/schema.js';
import { grantDocumented, LOGIN } from '../support/least-privilege.js';
import { Lockstep } from '../support/lockstep.js';
import type { TestServer } from '../support/postgres-fleet.js';
import { requireTls, TEST_CA } from '../support/tls-server.js';
import { holds, operationEnds, ours, writesContinue } from '../support/upgrade-proof.js';
import { upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

describe('an upgrade between servers that let Lockstep and each other in with TLS only', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;

  beforeAll(async () => {
    lockstep = await Lockstep.start();
    scene = await UpgradeScene.set(17, 18, { rows: 1000 });
  }, 120_000);
  afterEach(() => scene.unfollow());
  afterAll(async () => {
    await scene?.dispose();
    await lockstep?.dispose();
  });

  /** Sessions of Lockstep's login on a server, and how many of them are not encrypted. */
  async function connections(server: TestServer) {
    return await server.withSession('postgres', (session) =>
      session.row<{ total: number; plain: number; walsenders: number }>(
        `select count(*)::int as total, count(*) filter (where not s.ssl)::int as plain,
                count(*) filter (where a.backend_type = 'walsender')::int as walsenders
           from pg_stat_activity a join pg_stat_ssl s using (pid) where a.usename = 'lockstep'`,
      ),
    );
  }

  const detail = (view: UpgradeView, step: string) => view.steps.find(({ name }) => name === step)?.detail;

  it('authenticates every server in both directions, and says so; without the authority it blocks beforehand', async () => {
    const plain = ['postgres', ...demoRoles().writers.map(({ user }) => user)];
    const onSource = await requireTls(scene.source, plain);
    const onTarget = await requireTls(scene.target, plain);
    await grantDocumented(scene.source, 'source');
    await grantDocumented(scene.target, 'target');
    const verified = { ...LOGIN, host: 'localhost', tls: { mode: 'verify-full', ca: TEST_CA } };
    await scene.register(lockstep, { source: verified, target: verified });
    await scene.workload.start();
    await scene.begin(lockstep, 'tls');
    const blocked = await upgradeIn(lockstep, 'tls', ['blocked']);
    const blockers = blocked.preflight.filter(({ passed, severity }) => !passed && severity === 'blocker');
    expect(blockers.map(({ check }) => check)).toEqual(['target-reaches-source', 'source-reaches-target']);
    for (const { observed } of blockers) expect(observed).toMatch(/root certificate file .* does not exist/);

    // Each path is on the host of the server that connects.
    await lockstep.ok('PATCH', '/v1/servers/source', { advertisedTls: { rootCert: onTarget } });
    await lockstep.ok('PATCH', '/v1/servers/target', { advertisedTls: { rootCert: onSource } });
    await lockstep.ok('POST', '/v1/upgrades/tls/retry');
    scene.follow(() => lockstep, 'tls');
    const waiting = await upgradeIn(lockstep, 'tls', ['awaiting-approval'], 300_000);
    expect(waiting.preflight).toContainEqual(
      expect.objectContaining({
        check: 'source-connection-encryption',
        passed: true,
        observed: 'verify-full: encrypted; authority and host name are checked',
      }),
    );
    expect(detail(waiting, 'subscription')).toMatchObject({ encryption: 'TLSv1.3' });
    // The subscription and the verification's stream; on the target the latter alone.
    expect(await connections(scene.source)).toMatchObject({ plain: 0, walsenders: 2 });
    expect(await connections(scene.target)).toMatchObject({ plain: 0, walsenders: 1 });

    await lockstep.ok('POST', '/v1/upgrades/tls/approve', { gate: 'switchover' });
    await operationEnds(lockstep, (await upgradeIn(lockstep, 'tls', ['switched'])).operationId);
    const switched = await lockstep.ok<UpgradeView>('GET', '/v1/upgrades/tls');
    expect(detail(switched, 'reverse-subscription')).toMatchObject({ encryption: 'TLSv1.3' });
    expect(await connections(scene.target)).toMatchObject({ plain: 0, walsenders: 1 });
    await writesContinue(scene);
    await holds(scene, 'target');

    await scene.workload.start();
    await lockstep.ok('POST', '/v1/upgrades/tls/rollback');
    const back = await upgradeIn(lockstep, 'tls', ['rolled-back']);
    expect(detail(back, 'rollback-forward')).toMatchObject({ encryption: 'TLSv1.3' });
    await writesContinue(scene);
    await holds(scene, 'source');
    await lockstep.ok('POST', '/v1/upgrades/tls/abort');
    await upgradeIn(lockstep, 'tls', ['aborted']);
    for (const side of ['source', 'target'] as const) expect(await ours(scene[side])).toEqual([]);
  }, 600_000);
});
