import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { FORWARD_STEPS } from '../../src/upgrades/steps/index.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { TestServer } from '../support/postgres-fleet.js';
import { holds, operationEnds, ours, writesContinue } from '../support/upgrade-proof.js';
import { LOOK_MS, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

const SOAK = process.env.LOCKSTEP_SOAK !== undefined;
/** `acted`: the step's effect is there and nothing is recorded of it, which is the worst moment. */
const POINTS = SOAK ? ['begin', 'acted', 'done'] : ['acted'];
/** Which statements are died before: there are hundreds, most of them restore one object after another. */
const EVERY = SOAK ? 10 : 200;
const SIZE = SOAK ? { perSecond: 60, allSequences: true } : {};
const NAMES = FORWARD_STEPS.map(({ name }) => name);
const GATE = NAMES.indexOf('pre-switchover');
/** Before the gate; also amid the verification. */
const BEFORE = NAMES.slice(0, GATE).flatMap((name) => (name === 'verification' ? ['verifying', name] : [name]));
const NAME = 'killed';

describe('kill -9 in every step of an upgrade', () => {
  it.each(POINTS)(
    'at the point "%s" of each step in turn: resumed every time, nothing lost, nothing left',
    async (point) => {
      const scene = await UpgradeScene.set(14, 18, SIZE);
      const lockstep = await Lockstep.start();
      try {
        await scene.register(lockstep);
        await scene.workload.start();
        // Armed for the first step from the start; each later life is armed for the next one.
        const dieIn = (step: string) =>
          lockstep.arm(step === 'verifying' ? 'upgrade.verifying=kill' : `upgrade.${step}.${point}=kill`);
        const [first, ...rest] = [...BEFORE, ...NAMES.slice(GATE)];
        dieIn(first!);
        await scene.begin(lockstep, NAME);
        scene.follow(() => lockstep, NAME);
        for (const [index, step] of rest.entries()) {
          await lockstep.ended(120_000);
          expect(lockstep.signal).toBe('SIGKILL');
          dieIn(step);
          await lockstep.launch();
          if (index + 1 === BEFORE.length) {
            await upgradeIn(lockstep, NAME, ['awaiting-approval']);
            await lockstep.ok('POST', `/v1/upgrades/${NAME}/approve`, { gate: 'switchover' });
          }
        }
        await lockstep.ended(120_000);
        lockstep.arm();
        await lockstep.launch();
        const switched = await upgradeIn(lockstep, NAME, ['switched']);
        await operationEnds(lockstep, switched.operationId);
        expect(switched.switchover?.fenceProof).toBe('held');
        await writesContinue(scene);
        await holds(scene, 'target');
        await lockstep.ok('POST', `/v1/upgrades/${NAME}/finalize`);
        await upgradeIn(lockstep, NAME, ['finalized']);
        expect(await ours(scene.source)).toEqual([]);
        expect(await ours(scene.target)).toEqual([]);
      } finally {
        await lockstep.dispose();
        await scene.dispose();
      }
    },
    SOAK ? 3_600_000 : 600_000,
  );
});

describe('kill -9 amid the statements of an upgrade', () => {
  it('it completes, nothing is lost, whatever it was in the middle of', async () => {
    const scene = await UpgradeScene.set(15, 18, SIZE);
    const lockstep = await Lockstep.start();
    try {
      await scene.register(lockstep);
      await scene.workload.start();
      lockstep.arm(`statement=every-${EVERY}:${join(lockstep.folder, 'statements')}`);
      await scene.begin(lockstep, NAME);
      scene.follow(() => lockstep, NAME);
      let deaths = 0;
      /** Lives on through any number of deaths. */
      const untilIn = async (phase: string): Promise<UpgradeView> => {
        for (;;) {
          const found = await eventually(
            async () => (lockstep.exited ? 'dead' : await upgradeIn(lockstep, NAME, [phase], 0)),
            { within: 120_000, every: LOOK_MS },
          );
          if (found !== 'dead') return found;
          expect(lockstep.signal).toBe('SIGKILL');
          deaths++;
          await lockstep.launch();
        }
      };
      await untilIn('awaiting-approval');
      await eventually(
        async () => {
          if (lockstep.exited) await untilIn('awaiting-approval');
          await lockstep.ok('POST', `/v1/upgrades/${NAME}/approve`, { gate: 'switchover' });
          return true;
        },
        { within: 60_000 },
      );
      await untilIn('switched');
      await lockstep.kill();
      lockstep.arm();
      await lockstep.launch();
      const switched = await upgradeIn(lockstep, NAME, ['switched']);
      await operationEnds(lockstep, switched.operationId);
      expect(deaths).toBeGreaterThan(1);
      expect(switched).toMatchObject({ problem: null, switchover: { fenceProof: 'held' } });
      await writesContinue(scene);
      await holds(scene, 'target');
    } finally {
      await lockstep.dispose();
      await scene.dispose();
    }
  }, 1_800_000);
});

describe('two instances on one state database', () => {
  let state: TestServer;
  beforeAll(async () => {
    state = await TestServer.start(18);
    await state.freshDatabase('lockstep_state');
  }, 60_000);
  afterAll(() => state.stop());

  it('a survivor takes an upgrade over in the middle of the fence', async () => {
    const { host, port, user, password } = state;
    const environment = {
      LOCKSTEP_SECRET_KEY: randomBytes(32).toString('base64'),
      LOCKSTEP_INSTANCE_TIMEOUT_MS: '2000',
    };
    const databaseUrl = `postgresql://${user}:${password}@${host}:${port}/lockstep_state`;
    const scene = await UpgradeScene.set(15, 18);
    const first = await Lockstep.start({
      databaseUrl,
      environment: { ...environment, LOCKSTEP_FAILPOINTS: 'upgrade.drain.begin=kill' },
    });
    let second: Lockstep | null = null;
    try {
      await scene.register(first);
      await scene.workload.start();
      await scene.begin(first, 'taken-over');
      await upgradeIn(first, 'taken-over', ['awaiting-approval']);
      second = await first.sibling({ LOCKSTEP_FAILPOINTS: '' });
      scene.follow(() => second!, 'taken-over');
      await first.ok('POST', '/v1/upgrades/taken-over/approve', { gate: 'switchover' });
      await first.ended(60_000);
      expect(first.signal).toBe('SIGKILL');
      const switched = await upgradeIn(second, 'taken-over', ['switched']);
      await operationEnds(second, switched.operationId);
      await writesContinue(scene);
      await holds(scene, 'target');
      await second.ok('POST', '/v1/upgrades/taken-over/finalize');
      await upgradeIn(second, 'taken-over', ['finalized']);
      expect(await ours(scene.source)).toEqual([]);
      expect(await ours(scene.target)).toEqual([]);
    } finally {
      await first.dispose();
      await second?.dispose();
      await scene.dispose();
    }
  }, 240_000);

  it('what an instance carries that was declared dead before it took it up is taken over too', async () => {
    const { host, port, user, password } = state;
    await state.freshDatabase('lockstep_orphans');
    const scene = await UpgradeScene.set(17, 18);
    const first = await Lockstep.start({
      databaseUrl: `postgresql://${user}:${password}@${host}:${port}/lockstep_orphans`,
      environment: { LOCKSTEP_SECRET_KEY: randomBytes(32).toString('base64') },
    });
    let second: Lockstep | null = null;
    try {
      await scene.register(first);
      first.arm('upgrade.preflight.begin=kill');
      await scene.begin(first, 'orphaned').catch(() => {});
      await first.ended(60_000);
      await state.run('lockstep_orphans', 'update lockstep.instance set stopped_at = now()');
      second = await first.sibling();
      await upgradeIn(second, 'orphaned', ['awaiting-approval']);
    } finally {
      await first.dispose();
      await second?.dispose();
      await scene.dispose();
    }
  }, 120_000);

  it('an instance that was paused and declared dead does not act again', async () => {
    const { host, port, user, password } = state;
    const environment = {
      LOCKSTEP_SECRET_KEY: randomBytes(32).toString('base64'),
      LOCKSTEP_INSTANCE_TIMEOUT_MS: '5000',
    };
    await state.freshDatabase('lockstep_paused');
    const databaseUrl = `postgresql://${user}:${password}@${host}:${port}/lockstep_paused`;
    const scene = await UpgradeScene.set(17, 18);
    const first = await Lockstep.start({
      databaseUrl,
      environment: { ...environment, LOCKSTEP_FAILPOINTS: 'upgrade.initial-copy.begin=wait:4000' },
    });
    let second: Lockstep | null = null;
    try {
      await scene.register(first);
      await scene.workload.start();
      second = await first.sibling({ LOCKSTEP_FAILPOINTS: '' });
      await scene.begin(first, 'paused');
      await eventually(
        async () => {
          const view = await first.ok<{ steps: { name: string; state: string }[] }>('GET', '/v1/upgrades/paused');
          return view.steps.find(({ name }) => name === 'initial-copy')?.state === 'running';
        },
        { within: 60_000 },
      );
      process.kill(first.pid, 'SIGSTOP');
      await upgradeIn(second, 'paused', ['awaiting-approval']);
      process.kill(first.pid, 'SIGCONT');
      // Its next heartbeat tells it that it is dead to the others.
      await first.ended(30_000);
      await second.ok('POST', '/v1/upgrades/paused/abort');
      await upgradeIn(second, 'paused', ['aborted']);
      expect(await ours(scene.source)).toEqual([]);
      expect(await ours(scene.target)).toEqual([]);
    } finally {
      await first.dispose();
      await second?.dispose();
      await scene.dispose();
    }
  }, 240_000);
});
