import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { ageOperations } from '../support/state-text.js';
import { stateAsText } from '../support/state-text.js';
import { catalogsOf, holds, operationEnds, ours, writesContinue } from '../support/upgrade-proof.js';
import { DATABASE, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

const PLANTED = 'planted-in-a-role-setting';

/** Each test has its own servers; the names under which they are registered are free again after it. */
describe('an upgrade that does not go through', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;

  beforeAll(async () => {
    lockstep = await Lockstep.start();
  }, 60_000);
  afterAll(() => lockstep.dispose());

  afterEach(async () => {
    lockstep.arm();
    for (const { name } of (await lockstep.ok<{ items: { name: string }[] }>('GET', '/v1/upgrades')).items) {
      await eventually(
        async () => {
          await lockstep.request('POST', `/v1/upgrades/${name}/abort`);
          await lockstep.request('POST', `/v1/upgrades/${name}/finalize`);
          return (await lockstep.request('DELETE', `/v1/upgrades/${name}`)).status === 204;
        },
        { within: 60_000, every: 300 },
      );
    }
    for (const name of ['source', 'target']) await lockstep.request('DELETE', `/v1/servers/${name}`);
    await scene.dispose();
  }, 90_000);

  async function inStep(name: string, step: string): Promise<void> {
    await eventually(
      async () => {
        const view = await lockstep.ok<UpgradeView>('GET', `/v1/upgrades/${name}`);
        const state = view.steps.find((candidate) => candidate.name === step)?.state;
        return state === 'running' || state === 'done';
      },
      { within: 60_000, every: 20 },
    );
  }

  it.each(['schema-pre-data', 'initial-copy', 'fence'])(
    'aborted in %s, it leaves both servers as they were',
    async (moment) => {
      scene = await UpgradeScene.set(14, 18);
      await scene.register(lockstep);
      const [source, target] = [await catalogsOf(scene.source), await catalogsOf(scene.target)];
      await scene.workload.start();
      await scene.begin(lockstep, 'aborted');
      if (moment === 'fence') {
        // Whom it bars is recorded, and they are barred, only once the abort has begun.
        lockstep.arm('upgrade.fence.planned=wait:2000');
        await upgradeIn(lockstep, 'aborted', ['awaiting-approval']);
        await lockstep.ok('POST', '/v1/upgrades/aborted/approve', { gate: 'switchover' });
      }
      await inStep('aborted', moment);
      await lockstep.ok('POST', '/v1/upgrades/aborted/abort');
      const view = await upgradeIn(lockstep, 'aborted', ['aborted']);
      expect(view.writeTo).toBe('source');
      await writesContinue(scene);
      await scene.workload.stop();
      expect(await catalogsOf(scene.target)).toEqual(target);
      expect(await catalogsOf(scene.source)).toEqual(source);
      const again = await lockstep.request('POST', '/v1/upgrades/aborted/abort');
      expect(again).toMatchObject({ status: 409, body: { code: 'WRONG_STATE' } });
    },
    120_000,
  );

  it('killed before the workflow of the upgrade, then that of its abort, was started, it can still be aborted', async () => {
    scene = await UpgradeScene.set(14, 18);
    await scene.register(lockstep);
    const target = await catalogsOf(scene.target);
    lockstep.arm('upgrade.unstarted=kill');
    await expect(scene.begin(lockstep, 'unstarted')).rejects.toThrow();
    await lockstep.ended(10_000);
    lockstep.arm('upgrade.abort-unstarted=kill');
    await lockstep.launch();
    await expect(lockstep.request('POST', '/v1/upgrades/unstarted/abort')).rejects.toThrow();
    await lockstep.ended(10_000);
    lockstep.arm();
    await lockstep.launch();
    await ageOperations(lockstep, 60);
    // Until the abort that nobody carries is ended, another one is refused.
    const answered = await eventually(
      async () => {
        const { status } = await lockstep.request('POST', '/v1/upgrades/unstarted/abort');
        return status === 409 ? null : status;
      },
      { within: 60_000, every: 500 },
    );
    expect(answered).toBe(202);
    await upgradeIn(lockstep, 'unstarted', ['aborted']);
    expect(await catalogsOf(scene.target)).toEqual(target);
    expect(await ours(scene.source)).toEqual([]);
  }, 180_000);

  it('a drain that misses its deadline unfences and asks again; the second approval goes through', async () => {
    scene = await UpgradeScene.set(14, 18);
    // What writers have set for this database: with the fence's own setting among the rest, without it, and a secret.
    await scene.source.run(
      DATABASE,
      `alter role orders_writer_a in database ${DATABASE} set work_mem to '8MB';
       alter role orders_writer_a in database ${DATABASE} set default_transaction_read_only to 'off';
       alter role orders_writer_a in database ${DATABASE} set app.api_key to '${PLANTED}';
       alter role orders_writer_b in database ${DATABASE} set lock_timeout to '30s'`,
    );
    const { settings } = await catalogsOf(scene.source);
    await scene.register(lockstep);
    await scene.workload.start();
    await scene.begin(lockstep, 'stuck', { deadlines: { drainMs: 1500 } });
    scene.follow(() => lockstep, 'stuck');
    await upgradeIn(lockstep, 'stuck', ['awaiting-approval']);
    // A lock on the marker keeps the apply worker from going on; it needs no transaction id, for which a slot would wait.
    const blocker = await scene.target.open(DATABASE);
    try {
      const [marker] = await blocker.rows<{ name: string }>(
        `select relname::text as name from pg_class where relnamespace = 'lockstep'::regnamespace and relname like 'marker%' and relkind = 'r'`,
      );
      // Only now: a table that is locked already is refused before the fence.
      lockstep.arm('upgrade.drain.begin=wait:3000');
      await lockstep.ok('POST', '/v1/upgrades/stuck/approve', { gate: 'switchover' });
      await inStep('stuck', 'drain');
      await blocker.execute(`begin; lock table lockstep."${marker!.name}" in share row exclusive mode`);
      lockstep.arm();
      expect((await catalogsOf(scene.source)).settings).not.toEqual(settings);
      const back = await eventually(
        async () => {
          const view = await lockstep.ok<UpgradeView>('GET', '/v1/upgrades/stuck');
          return view.problem && view.awaiting === 'switchover' ? view : null;
        },
        { within: 60_000 },
      );
      expect(back.problem!.code).toBe('SERVER_TIMEOUT');
      expect(back.writeTo).toBe('source');
      expect((await catalogsOf(scene.source)).settings).toEqual(settings);
    } finally {
      await blocker.close();
    }
    await writesContinue(scene);
    await lockstep.ok('POST', '/v1/upgrades/stuck/approve', { gate: 'switchover' });
    await upgradeIn(lockstep, 'stuck', ['switched']);
    await writesContinue(scene);
    await eventually(
      async () => {
        const { operationId } = await lockstep.ok<UpgradeView>('GET', '/v1/upgrades/stuck');
        return (await lockstep.ok<{ state: string }>('GET', `/v1/operations/${operationId}`)).state === 'succeeded';
      },
      { within: 30_000 },
    );
    await holds(scene, 'target');
    // Carried to the target, and nowhere on the way kept.
    expect((await catalogsOf(scene.target)).settings).toEqual(settings);
    for (const text of [await stateAsText(lockstep), lockstep.log()]) {
      const at = text.indexOf(PLANTED);
      expect(at < 0 ? '' : text.slice(at - 300, at)).toBe('');
    }
  }, 180_000);

  it('a superuser who writes through the fence is noticed, and nothing is switched', async () => {
    scene = await UpgradeScene.set(15, 18);
    await scene.register(lockstep);
    await scene.begin(lockstep, 'violated');
    await upgradeIn(lockstep, 'violated', ['awaiting-approval']);
    const stop = new AbortController();
    const superuser = await scene.source.open(DATABASE);
    const writing = (async () => {
      for (let n = 0; !stop.signal.aborted; n++) {
        await superuser.execute(
          `insert into app.client_write (client_id, run, writer, n, attempt, kind)
           values (gen_random_uuid(), 'superuser', 99, ${n}, 1, 'none')`,
        );
      }
    })();
    try {
      await lockstep.ok('POST', '/v1/upgrades/violated/approve', { gate: 'switchover' });
      const back = await eventually(
        async () => {
          const view = await lockstep.ok<UpgradeView>('GET', '/v1/upgrades/violated');
          return view.problem && view.awaiting === 'switchover' ? view : null;
        },
        { within: 60_000 },
      );
      expect(back.problem!.detail).toMatch(/through the fence/);
      expect(back.writeTo).toBe('source');
    } finally {
      stop.abort();
      await writing;
      await superuser.close();
    }
  }, 120_000);

  it('is made final without its old server: nothing of it keeps WAL on the new one, and what is left is named', async () => {
    scene = await UpgradeScene.set(17, 18);
    await scene.register(lockstep);
    await scene.begin(lockstep, 'alone', { gates: [] });
    const { operationId } = await upgradeIn(lockstep, 'alone', ['switched']);
    await operationEnds(lockstep, operationId);
    await scene.source.crash();
    await lockstep.ok('POST', '/v1/upgrades/alone/finalize');
    await upgradeIn(lockstep, 'alone', ['finalized']);
    expect(await ours(scene.target)).toEqual([]);
    const report = await lockstep.ok<{ remains: string[] }>('GET', '/v1/upgrades/alone/report');
    expect(report.remains.join()).toMatch(/source could not be reached.*drop there: subscription lockstep_/);
  }, 180_000);

  it('a table without replica identity blocks, with the remedy; asked for, FULL is set and taken back on abort', async () => {
    scene = await UpgradeScene.set(14, 18);
    await scene.source.run(DATABASE, 'create table public.bare (n int); insert into public.bare values (1)');
    await scene.register(lockstep);
    const before = await catalogsOf(scene.source);
    await scene.begin(lockstep, 'bare');
    const blocked = await upgradeIn(lockstep, 'bare', ['blocked']);
    expect(blocked.problem!.code).toBe('PRECONDITION_FAILED');
    expect(blocked.preflight.filter(({ passed, severity }) => !passed && severity === 'blocker')).toHaveLength(1);
    await lockstep.ok('POST', '/v1/upgrades/bare/abort');
    await upgradeIn(lockstep, 'bare', ['aborted']);
    await lockstep.ok('DELETE', '/v1/upgrades/bare');
    await scene.begin(lockstep, 'bare', { replicaIdentity: 'full-where-missing' });
    await upgradeIn(lockstep, 'bare', ['awaiting-approval']);
    await lockstep.ok('POST', '/v1/upgrades/bare/abort');
    await upgradeIn(lockstep, 'bare', ['aborted']);
    expect(await catalogsOf(scene.source)).toEqual(before);
  }, 120_000);
});
