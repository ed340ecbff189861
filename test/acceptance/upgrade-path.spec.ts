import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { compareDatabases } from '../../demo/compare-databases.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { DATABASE, upgradeIn, UpgradeScene } from '../support/upgrade-scene.js';

const PATHS = (
  [
    [13, 18],
    [14, 18],
    [15, 17],
    [17, 18],
  ] as const
).filter((path) => path.every((major) => AVAILABLE_MAJORS.includes(major)));

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
    '%i -> %i, then back, then forth again and final: nothing lost, both sides equal',
    async (from, to) => {
      scene = await UpgradeScene.set(from, to);
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

      await lockstep.ok('POST', `/v1/upgrades/${name}/approve`, { gate: 'switchover' });
      const switched = await upgradeIn(lockstep, name, ['switched']);
      await operationEnds(lockstep, switched.operationId);
      expect(switched.switchover?.fenceProof).toBe('held');
      await writesContinue(scene);
      await holds(scene, 'target');

      await scene.workload.start();
      await lockstep.ok('POST', `/v1/upgrades/${name}/rollback`);
      const back = await upgradeIn(lockstep, name, ['rolled-back']);
      expect(back.writeTo).toBe('source');
      expect(back.verification?.verdict).toBe('equal');
      await writesContinue(scene);
      await holds(scene, 'source');

      await scene.workload.start();
      await lockstep.ok('POST', `/v1/upgrades/${name}/retry`);
      await upgradeIn(lockstep, name, ['awaiting-approval']);
      await lockstep.ok('POST', `/v1/upgrades/${name}/approve`, { gate: 'switchover' });
      await operationEnds(lockstep, (await upgradeIn(lockstep, name, ['switched'])).operationId);
      await writesContinue(scene);
      await holds(scene, 'target');

      await lockstep.ok('POST', `/v1/upgrades/${name}/finalize`);
      await upgradeIn(lockstep, name, ['finalized']);
      expect(await ours(scene.source)).toEqual([]);
      expect(await ours(scene.target)).toEqual([]);
      const report = await lockstep.request<string>('GET', `/v1/upgrades/${name}/report`, undefined, {
        Accept: 'text/markdown',
      });
      expect(report.body).toContain(`# Upgrade ${name}`);
    },
    240_000,
  );
});

async function registerAs(lockstep: Lockstep, scene: UpgradeScene, prefix: string): Promise<void> {
  for (const side of ['source', 'target'] as const) {
    const { host, port, user, password } = scene[side];
    const body = { name: `${prefix}-${side}`, host, port, user, password, database: 'postgres' };
    await lockstep.ok('POST', '/v1/servers', { ...body, tls: { mode: 'disable' } });
  }
}

/** The writers get further acknowledgements, wherever they write now. */
async function writesContinue(scene: UpgradeScene): Promise<void> {
  const before = scene.workload.figures.acknowledged;
  await eventually(() => scene.workload.figures.acknowledged > before + 20, { within: 20_000 });
}

/** Stops the writers and holds every acknowledged write against the side they wrote to; then both sides against each other. */
async function holds(scene: UpgradeScene, side: 'source' | 'target'): Promise<void> {
  await scene.workload.stop();
  const client = new pg.Client({ ...connection(scene[side]), database: DATABASE });
  await client.connect();
  try {
    const verdict = await scene.workload.ledger.check(client);
    expect(verdict.lost).toEqual([]);
    expect(verdict.duplicated).toEqual([]);
    expect(verdict.mismatches).toEqual([]);
    expect(verdict.acknowledged).toBeGreaterThan(20);
    expect(scene.workload.figures.defects).toEqual([]);
  } finally {
    await client.end();
  }
  const sides = (['source', 'target'] as const).map((end) => ({
    withClient: async <T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> => {
      const session = new pg.Client({ ...connection(scene[end]), database });
      await session.connect();
      try {
        return await work(session);
      } finally {
        await session.end();
      }
    },
  }));
  const comparison = await compareDatabases(sides[0]!, sides[1]!, DATABASE, 20_000);
  expect(comparison.differences.filter((difference) => !/sequence/i.test(JSON.stringify(difference)))).toEqual([]);
}

function connection({ host, port, user, password }: TestServer) {
  return { host, port, user, password };
}

async function operationEnds(lockstep: Lockstep, id: string): Promise<void> {
  await eventually(
    async () => {
      const { state, problem } = await lockstep.ok<{ state: string; problem: unknown }>('GET', `/v1/operations/${id}`);
      if (state === 'failed') throw new Error(JSON.stringify(problem));
      return state === 'succeeded';
    },
    { within: 60_000 },
  );
}

/** Everything of ours that is still on a server. */
async function ours(server: TestServer): Promise<string[]> {
  return server.withSession(DATABASE, async (session) => {
    const rows = await session.rows<{ object: string }>(`
      select 'slot ' || slot_name as object from pg_replication_slots where slot_name like 'lockstep%'
      union all select 'publication ' || pubname from pg_publication where pubname like 'lockstep%'
      union all select 'subscription ' || subname from pg_subscription where subname like 'lockstep%'
      union all select 'schema ' || nspname from pg_namespace where nspname = 'lockstep'
      union all select 'origin ' || roname from pg_replication_origin`);
    return rows.map(({ object }) => object);
  });
}
