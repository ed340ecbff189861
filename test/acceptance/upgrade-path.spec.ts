import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Lockstep } from '../support/lockstep.js';
import { AVAILABLE_MAJORS, type TestServer } from '../support/postgres-fleet.js';
import { holds, isProvenInside, nothingSecret, operationEnds, ours, writesContinue } from '../support/upgrade-proof.js';
import { DATABASE, upgradeIn, UpgradeScene } from '../support/upgrade-scene.js';

/** The oldest and the most common path also go the whole way twice. */
const PATHS = (
  [
    [13, 18, 'then forth again and final'],
    [14, 18, 'then forth again and final'],
    [15, 17, 'then given up'],
    [17, 18, 'then given up'],
  ] as const
).filter(([from, to]) => [from, to].every((major) => AVAILABLE_MAJORS.includes(major)));

describe('upgrade over HTTP, under writes', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene | null = null;

  beforeAll(async () => {
    lockstep = await Lockstep.start();
  }, 120_000);
  afterEach(async () => {
    await scene?.dispose();
    scene = null;
  });
  afterAll(() => lockstep.dispose());

  it.each(PATHS)(
    '%i -> %i, then back, %s: nothing lost, both sides equal, nothing left',
    async (from, to, end) => {
      scene = await UpgradeScene.set(from, to, { perSecond: 60, allSequences: from === 14 });
      const name = `path-${from}-${to}`;
      await registerAs(lockstep, scene, name);
      await scene.workload.start();
      await lockstep.ok('POST', '/v1/upgrades', {
        name,
        source: { server: `${name}-source`, database: DATABASE },
        target: { server: `${name}-target`, database: DATABASE },
        traffic: { kind: 'sql-fence' },
      });
      scene.follow(() => lockstep, name);
      const verified = await upgradeIn(lockstep, name, ['awaiting-approval']);
      expect(verified.awaiting).toBe('switchover');
      expect(verified.verification?.verdict).toBe('equal');
      await writesContinue(scene);
      // Of counters that nobody draws from: forth, back, and to a value that was not handed out yet.
      await scene.source.run(DATABASE, `select setval('app.counter_001', 400, false), setval('app.counter_002', 49)`);

      await lockstep.ok('POST', `/v1/upgrades/${name}/approve`, { gate: 'switchover' });
      const switched = await upgradeIn(lockstep, name, ['switched']);
      await operationEnds(lockstep, switched.operationId);
      expect(switched.switchover?.fenceProof).toBe('held');
      await writesContinue(scene);
      await holds(scene, 'target');
      expect(await counters(scene.target)).toEqual(['400 false', '49 true']);
      expect(await neverAnalyzed(scene.target)).toEqual([]);

      await scene.target.run(DATABASE, `select setval('app.counter_001', -7), setval('app.counter_002', 2, false)`);
      await scene.workload.start();
      await lockstep.ok('POST', `/v1/upgrades/${name}/rollback`);
      const back = await upgradeIn(lockstep, name, ['rolled-back']);
      expect(back.writeTo).toBe('source');
      expect(back.verification?.verdict).toBe('equal');
      isProvenInside(back);
      await writesContinue(scene);
      await holds(scene, 'source');
      expect(await counters(scene.source)).toEqual(['-7 true', '2 false']);

      if (end === 'then given up') {
        await lockstep.ok('POST', `/v1/upgrades/${name}/abort`);
        await upgradeIn(lockstep, name, ['aborted']);
      } else {
        await scene.workload.start();
        await lockstep.ok('POST', `/v1/upgrades/${name}/retry`);
        await upgradeIn(lockstep, name, ['awaiting-approval']);
        await lockstep.ok('POST', `/v1/upgrades/${name}/approve`, { gate: 'switchover' });
        await operationEnds(lockstep, (await upgradeIn(lockstep, name, ['switched'])).operationId);
        await writesContinue(scene);
        await holds(scene, 'target');

        await lockstep.ok('POST', `/v1/upgrades/${name}/finalize`);
        await upgradeIn(lockstep, name, ['finalized']);
      }
      expect(await ours(scene.source)).toEqual([]);
      expect(await ours(scene.target)).toEqual([]);
      const report = await lockstep.request<string>('GET', `/v1/upgrades/${name}/report`, undefined, {
        Accept: 'text/markdown',
      });
      const [phase, passage] = end === 'then given up' ? ['aborted', 'Rolled back:'] : ['finalized', 'Sequences: '];
      for (const text of [
        `# Upgrade ${name}`,
        `Phase: **${phase}**`,
        'Verified **equal**',
        'proof: **held**',
        passage,
      ]) {
        expect(report.body).toContain(text);
      }
      expect(report.body).toMatch(/writes paused for \*\*\d+ ms\*\*/);
      expect(report.body).not.toContain('Not looked for yet');
      await nothingSecret(lockstep, scene, name);
    },
    240_000,
  );
});

async function counters(server: TestServer): Promise<string[]> {
  return server.withSession(DATABASE, async (session) => {
    const rows = await session.rows<{ position: string }>(
      `select last_value || ' ' || is_called as position from app.counter_001
       union all select last_value || ' ' || is_called from app.counter_002`,
    );
    return rows.map(({ position }) => position);
  });
}

/** Tables that were copied and of which the planner was not told: their first queries would be planned blindly. */
async function neverAnalyzed(server: TestServer): Promise<string[]> {
  return server.withSession(DATABASE, async (session) => {
    const rows = await session.rows<{ name: string }>(
      `select relid::regclass::text as name from pg_stat_all_tables
        where schemaname !~ '^(pg_|lockstep$)' and schemaname <> 'information_schema' and last_analyze is null`,
    );
    return rows.map(({ name }) => name);
  });
}

async function registerAs(lockstep: Lockstep, scene: UpgradeScene, prefix: string): Promise<void> {
  for (const side of ['source', 'target'] as const) {
    const { host, port, user, password } = scene[side];
    const body = { name: `${prefix}-${side}`, host, port, user, password, database: 'postgres' };
    await lockstep.ok('POST', '/v1/servers', { ...body, tls: { mode: 'disable' } });
  }
}
