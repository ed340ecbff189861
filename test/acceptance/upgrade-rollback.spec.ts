import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { holds, isProvenInside, operationEnds, ours, writesContinue } from '../support/upgrade-proof.js';
import { DATABASE, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

const NAME = 'back';
const PATH = `/v1/upgrades/${NAME}`;

/** One upgrade that is switched for each test: writers write on the target, and may be brought back. */
describe('a rollback proves that the source has everything before it opens it', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;
  /** Of the readers, which only live while a rollback is at work. */
  let atRest: { source: string[]; target: string[] };

  beforeAll(async () => {
    lockstep = await Lockstep.start();
  }, 60_000);
  afterAll(() => lockstep.dispose());

  beforeEach(async () => {
    scene = await UpgradeScene.set(14, 18);
    await scene.register(lockstep);
    await scene.workload.start();
    await scene.begin(lockstep, NAME, { gates: [] });
    scene.follow(() => lockstep, NAME);
    await operationEnds(lockstep, (await upgradeIn(lockstep, NAME, ['switched'])).operationId);
    await writesContinue(scene);
    atRest = { source: await ours(scene.source), target: await ours(scene.target) };
  }, 180_000);
  afterEach(async () => {
    await scene.leave(lockstep, NAME);
    await scene.dispose();
  }, 120_000);

  const view = () => lockstep.ok<UpgradeView>('GET', PATH);

  async function refused(operationId: string): Promise<UpgradeView> {
    await eventually(
      async () => (await lockstep.ok<{ state: string }>('GET', `/v1/operations/${operationId}`)).state === 'failed',
      { within: 90_000 },
    );
    return await view();
  }

  it('a row that differs keeps it back, before any writer is stopped, and is named; mended, it goes through', async () => {
    const paused = new Set<string | null>();
    const watching = setInterval(() => paused.add(scene.writeTo), 10);
    const [{ id } = { id: '' }] = await scene.source.withSession(DATABASE, (session) =>
      session.rows<{ id: string }>('select client_id::text as id from app.client_write limit 1'),
    );
    const row = `where client_id = '${id}'`;
    await scene.source.run(DATABASE, `update app.client_write set writer = writer + 1 ${row}`);
    const { operationId } = await lockstep.ok<UpgradeView>('POST', `${PATH}/rollback`);
    const kept = await refused(operationId);
    clearInterval(watching);
    expect([...paused]).toEqual(['target']);
    expect(kept).toMatchObject({ phase: 'switched', writeTo: 'target', verification: { verdict: 'different' } });
    expect(kept.problem).toMatchObject({ code: 'CONFLICT' });
    expect(kept.problem!.detail).toContain('app.client_write different');
    expect({ source: await ours(scene.source), target: await ours(scene.target) }).toEqual(atRest);
    await writesContinue(scene);

    await scene.source.run(DATABASE, `update app.client_write set writer = writer - 1 ${row}`);
    // An opening that is held up does not go by what was shown inside the fence: it is shown again afterwards.
    lockstep.arm('upgrade.rollback-open.begin=wait:6000');
    await lockstep.ok('POST', `${PATH}/rollback`, { verification: 'before' });
    const back = await upgradeIn(lockstep, NAME, ['rolled-back']);
    expect(back).toMatchObject({ writeTo: 'source', problem: null, verification: { verdict: 'equal' } });
    expect(isProvenInside(back)).toBe(false);
    expect(back.rollback!.keysChecked).toBeGreaterThan(0);
    await writesContinue(scene);
    await holds(scene, 'source');
  }, 240_000);

  it('a superuser who writes on the target through the fence, or sets a sequence there, is noticed, and the target stays open', async () => {
    const stop = new AbortController();
    const superuser = await scene.target.open(DATABASE);
    const writing = (async () => {
      for (let n = 0; !stop.signal.aborted; n++) {
        await superuser.execute(
          `insert into app.client_write (client_id, run, writer, n, attempt, kind)
           values (gen_random_uuid(), 'superuser', 99, ${n}, 1, 'none')`,
        );
      }
    })();
    try {
      const { operationId } = await lockstep.ok<UpgradeView>('POST', `${PATH}/rollback`);
      const kept = await refused(operationId);
      expect(kept).toMatchObject({ phase: 'switched', writeTo: 'target' });
      expect(kept.problem!.detail).toMatch(/through the fence: app.client_write/);
    } finally {
      stop.abort();
      await writing;
      await superuser.close();
    }
    expect({ source: await ours(scene.source), target: await ours(scene.target) }).toEqual(atRest);
    await writesContinue(scene);

    // Sequences were carried by then; what is set afterwards would be handed out again on the source.
    lockstep.arm('upgrade.rollback-final-check.begin=wait:8000');
    const { operationId } = await lockstep.ok<UpgradeView>('POST', `${PATH}/rollback`);
    const stateOf = async (name: string) => (await view()).steps.find((step) => step.name === name)!.state;
    await eventually(async () => (await stateOf('rollback-final-check')) === 'running', { within: 60_000, every: 20 });
    expect(await stateOf('rollback-sequences')).toBe('done');
    await scene.target.run(DATABASE, `select setval('app.counter_001', 400, false)`);
    const kept = await refused(operationId);
    expect(kept).toMatchObject({ phase: 'switched', writeTo: 'target', problem: { code: 'CONFLICT' } });
    expect(kept.problem!.detail).toBe('1 sequences are not equal: app.counter_001 (different)');
    lockstep.arm();
    await writesContinue(scene);

    await lockstep.ok('POST', `${PATH}/rollback`);
    await upgradeIn(lockstep, NAME, ['rolled-back']);
    await writesContinue(scene);
    await holds(scene, 'source');
    const carried = await scene.source.withSession(DATABASE, (session) =>
      session.rows('select last_value::int, is_called from app.counter_001'),
    );
    expect(carried).toEqual([{ last_value: 400, is_called: false }]);
  }, 240_000);

  it('in a hurry it goes on without verifying first, also when that has begun; equality is shown afterwards', async () => {
    // A transaction that stays open keeps the verification from getting its slot on the target.
    const superuser = await scene.target.open(DATABASE);
    await superuser.execute('begin; select pg_current_xact_id()');
    try {
      // Asked for while the rollback is recorded and nothing carries it yet, the hurry stands.
      lockstep.arm('upgrade.unstarted=wait:2000', 'upgrade.rollback-ahead.begin=throw');
      const asked = lockstep.ok<UpgradeView>('POST', `${PATH}/rollback`);
      await eventually(async () => (await view()).phase === 'rolling-back', { within: 20_000 });
      const early = await lockstep.request('POST', `${PATH}/rollback`, { verification: 'after' });
      expect(early.status).toBe(202);
      const kept = await refused((await asked).operationId);
      // Were it waiting to verify, it would not have come there.
      expect(kept).toMatchObject({ phase: 'switched', problem: { detail: 'failpoint upgrade.rollback-ahead.begin' } });
      lockstep.arm();

      const { operationId } = await lockstep.ok<UpgradeView>('POST', `${PATH}/rollback`);
      await eventually(
        async () => {
          const step = (await view()).steps.find(({ name }) => name === 'rollback-verification');
          return step?.state === 'running';
        },
        { within: 30_000 },
      );
      expect((await view()).writeTo).toBe('target');
      const second = await lockstep.request('POST', `${PATH}/rollback`);
      expect(second).toMatchObject({ status: 409, body: { code: 'WRONG_STATE' } });
      const hurried = await lockstep.request<UpgradeView>('POST', `${PATH}/rollback`, { verification: 'after' });
      expect(hurried).toMatchObject({ status: 202, body: { operationId } });
      const opened = await eventually(
        async () => {
          const now = await view();
          return now.writeTo === 'source' ? now : null;
        },
        { within: 60_000 },
      );
      expect(opened.rollback).toMatchObject({ fenceProof: null, verifiedLsn: null });
    } finally {
      await superuser.close();
    }
    const back = await upgradeIn(lockstep, NAME, ['rolled-back']);
    expect(back.verification!.verdict).toBe('equal');
    expect(back.steps.find(({ name }) => name === 'rollback-verification')).toMatchObject({ state: 'skipped' });
    expect(back.steps.find(({ name }) => name === 'rollback-verification-after')).toMatchObject({ state: 'done' });
    await operationEnds(lockstep, back.operationId);
    await writesContinue(scene);
    await holds(scene, 'source');

    // That verification's readers are there still, and no retry makes them; one that is aborted before it begins has not
    // even opened them.
    const plan = await lockstep.ok<{ steps: { step: string; statements: unknown[] }[] }>(
      'POST',
      `${PATH}/retry?dryRun=true`,
    );
    expect(plan.steps.find(({ step }) => step === 'catch-up')!.statements).toEqual([]);
    lockstep.arm('upgrade.unstarted=wait:2000');
    const retrying = lockstep.ok('POST', `${PATH}/retry`);
    await eventually(async () => (await view()).phase === 'preflight', { within: 20_000 });
    await lockstep.ok('POST', `${PATH}/abort`);
    await retrying;
    await upgradeIn(lockstep, NAME, ['aborted']);
    expect({ source: await ours(scene.source), target: await ours(scene.target) }).toEqual({ source: [], target: [] });
  }, 240_000);
});
