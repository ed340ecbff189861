import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { FORWARD_STEPS } from '../../src/upgrades/steps/index.js';
import { ROLLBACK_STEPS } from '../../src/upgrades/steps/rollback.steps.js';
import { streamedEvents } from '../support/event-stream.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { catalogsOf, holds, operationEnds, ours, writesContinue } from '../support/upgrade-proof.js';
import { DATABASE, LOOK_MS, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

const NAME = 'again';
const PATH = `/v1/upgrades/${NAME}`;
/** Which statements are died before. */
const EVERY = process.env.LOCKSTEP_SOAK === undefined ? 15 : 1;

/** Where an upgrade goes on after something went wrong: by `retry`, by itself after a crash, or back. */
describe('an upgrade that is taken up again', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;
  let before: { source: unknown; target: unknown };

  beforeAll(async () => {
    lockstep = await Lockstep.start();
  }, 60_000);
  afterAll(() => lockstep.dispose());
  beforeEach(async () => {
    scene = await UpgradeScene.set(14, 18);
    // Writes on the target only: nothing the source could tell of it.
    await scene.target.run('postgres', 'create role target_only login; grant pg_write_all_data to target_only');
    await scene.register(lockstep);
    before = { source: await catalogsOf(scene.source), target: await catalogsOf(scene.target) };
  }, 60_000);
  afterEach(async () => {
    try {
      await scene.leave(lockstep, NAME);
    } finally {
      await scene.dispose();
    }
  }, 120_000);

  const view = () => lockstep.ok<UpgradeView>('GET', PATH);

  /** Waits until it has died at its failpoint, then starts it again with the next ones armed, or none. */
  async function liveOn(...failpoints: string[]): Promise<void> {
    await lockstep.ended(120_000);
    expect(lockstep.signal).toBe('SIGKILL');
    lockstep.arm(...failpoints);
    await lockstep.launch();
  }

  /** Nothing is armed any more, also where it has just died of what was. */
  async function anew(): Promise<void> {
    await lockstep.kill();
    lockstep.arm();
    await lockstep.launch();
  }

  async function failed(operationId: string): Promise<void> {
    await eventually(
      async () => (await lockstep.ok<{ state: string }>('GET', `/v1/operations/${operationId}`)).state === 'failed',
      { within: 60_000 },
    );
  }

  /** As soon as the phase says so; what is still tidied up then is no caller's business. */
  async function switchOver(): Promise<void> {
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    await upgradeIn(lockstep, NAME, ['switched']);
  }

  async function abortLeavesNothing(): Promise<void> {
    await lockstep.ok('POST', `${PATH}/abort`);
    await upgradeIn(lockstep, NAME, ['aborted']);
    await asBefore();
  }

  async function asBefore(): Promise<void> {
    expect(await ours(scene.source)).toEqual([]);
    expect(await ours(scene.target)).toEqual([]);
    expect(await catalogsOf(scene.source)).toEqual(before.source);
    expect(await catalogsOf(scene.target)).toEqual(before.target);
  }

  it('a way back that fails to open leaves the target open; retry opens it without fencing again', async () => {
    lockstep.arm('upgrade.reverse-subscription.begin=throw');
    await scene.workload.start();
    await scene.begin(lockstep, NAME);
    scene.follow(() => lockstep, NAME);
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    const { operationId } = await upgradeIn(lockstep, NAME, ['switched']);
    await failed(operationId);
    const open = await view();
    expect(open).toMatchObject({ phase: 'switched', writeTo: 'target', awaiting: null });
    expect(open.problem!.detail).toContain('reverse-subscription');
    expect(open.steps.find(({ name }) => name === 'reverse-subscription')!.state).toBe('failed');
    await writesContinue(scene);

    const refused = await lockstep.request('POST', `${PATH}/abort`);
    expect(refused).toMatchObject({ status: 409, body: { code: 'WRONG_STATE' } });
    expect(await view()).toMatchObject({ phase: 'switched', writeTo: 'target' });

    lockstep.arm();
    const seen = (await streamedEvents(lockstep, `${PATH}/events`, { enough: reaches('switched') })).at(-1)!.id;
    await lockstep.ok('POST', `${PATH}/retry`);
    const retried = await view();
    await operationEnds(lockstep, retried.operationId);
    const done = await upgradeIn(lockstep, NAME, ['switched']);
    expect(done).toMatchObject({ writeTo: 'target', problem: null, switchover: open.switchover });
    // Anything but the end of the way back would show here: the fence, a gate, another opening.
    const since = await streamedEvents(lockstep, `${PATH}/events`, {
      after: seen,
      enough: (events) => events.some(({ data }) => data.step === 'retire-forward' && data.state === 'done'),
    });
    const steps = new Set(since.filter(({ type }) => type === 'step').map(({ data }) => data.step));
    expect([...steps]).toEqual(['reverse-subscription', 'retire-forward']);
    expect(since.filter(({ type }) => type === 'write-to')).toEqual([]);
    expect(since.map(({ data }) => data.phase)).not.toContain('awaiting-approval');
    await writesContinue(scene);
    await holds(scene, 'target');

    await scene.workload.start();
    await lockstep.ok('POST', `${PATH}/rollback`);
    await upgradeIn(lockstep, NAME, ['rolled-back']);
    await writesContinue(scene);
    await holds(scene, 'source');
  }, 180_000);

  it('a preparation that fails goes on by retry, past what it had made; an abort leaves nothing', async () => {
    lockstep.arm('upgrade.publication.begin=throw');
    await scene.begin(lockstep, NAME);
    const { problem, steps } = await upgradeIn(lockstep, NAME, ['failed']);
    expect(problem!.detail).toContain('failpoint upgrade.publication.begin');
    expect(steps.find(({ name }) => name === 'publication')!.state).toBe('failed');
    const approval = await lockstep.request('POST', `${PATH}/approve`, { gate: 'switchover' });
    expect(approval).toMatchObject({ status: 409, body: { code: 'WRONG_STATE' } });
    lockstep.arm();
    expect(await view()).toMatchObject({ phase: 'failed' });
    await lockstep.ok('POST', `${PATH}/retry`);
    const waiting = await upgradeIn(lockstep, NAME, ['awaiting-approval']);
    expect(waiting.problem).toBeNull();
    await abortLeavesNothing();
  }, 120_000);

  it('what somebody who was not barred has not committed inside the fence keeps the target closed', async () => {
    lockstep.arm('upgrade.way-back.begin=wait:3000');
    await scene.begin(lockstep, NAME);
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    const stateOf = async (step: string) => (await view()).steps.find(({ name }) => name === step)!.state;
    const checked = async () => (await stateOf('final-check')) === 'done';
    const soon = { within: 60_000, every: 20 };
    await eventually(checked, soon);
    const kept = (wanted: (problem: { detail: string }) => boolean) =>
      eventually(async () => {
        const { problem, awaiting, writeTo } = await view();
        return problem && wanted(problem) && awaiting === 'switchover' && writeTo === 'source' ? problem : null;
      }, soon);
    const superuser = await scene.source.open(DATABASE);
    await superuser.execute(
      `set application_name = 'console'; begin; insert into app.client_write (client_id, run, writer, n, attempt, kind)
       values (gen_random_uuid(), 'superuser', 99, 1, 1, 'none')`,
    );
    expect((await kept(() => true)).detail).toContain(`pid ${superuser.backendPid} of postgres`);

    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    await eventually(async () => (await stateOf('fence')) === 'done', soon);
    await superuser.execute(`prepare transaction 'late'`);
    await superuser.close();
    expect((await kept(({ detail }) => !detail.includes('pid'))).detail).toContain('"late" of postgres');
    await scene.source.run(DATABASE, `rollback prepared 'late'`);

    // Whoever could log in by then could write when the target is open: a role made meanwhile, or let in again.
    const again = async (sql: string, who: string) => {
      await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
      await eventually(checked, soon);
      await scene.source.run('postgres', sql);
      expect((await kept(({ detail }) => detail.includes('log in inside the fence'))).detail).toContain(who);
    };
    await again('create role issued login in role orders_app', 'issued');
    await scene.source.run('postgres', 'drop role issued');
    await again('alter role orders_writer_a login', 'orders_writer_a');

    // What the subscriber has forgotten since the drain, as after a crash, is not left behind on the source.
    const marker = await scene.target.withSession(DATABASE, (session) =>
      session.row<{ name: string }>(
        `select oid::regclass::text as name from pg_class where relkind = 'r' and relnamespace = 'lockstep'::regnamespace and relname like 'marker%'`,
      ),
    );
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    await eventually(checked, soon);
    await scene.target.run(DATABASE, `delete from ${marker.name}`);
    await kept(({ detail }) => detail.includes('does not show any more what had been drained'));
    // The marker is a table like others to a verification.
    await scene.source.run(DATABASE, `delete from ${marker.name}`);

    // A marker that cannot be written fails the drain once, and the writers are let in again at once.
    lockstep.arm('upgrade.drain.begin=wait:3000');
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    await eventually(async () => (await stateOf('drain')) === 'running', soon);
    const held = await scene.source.open(DATABASE);
    await held.execute(`begin; lock table ${marker.name} in access exclusive mode`);
    await kept(({ detail }) => detail.includes('lock timeout'));
    const { steps } = await view();
    expect(steps.filter(({ name, state }) => name === 'fence' && state === 'done')).toEqual([]);
    await held.close();

    // Somebody who alters a role just then is waited for: neither side is open.
    lockstep.arm('upgrade.open-target.begin=wait:2000');
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    await eventually(async () => (await stateOf('open-target')) === 'running', soon);
    const console = await scene.target.open(DATABASE);
    await console.execute('begin; alter role orders_writer_a connection limit 7');
    const { operationId } = await view();
    await eventually(async () => {
      const { progress } = await lockstep.ok<{ progress: { message: string } }>('GET', `/v1/operations/${operationId}`);
      return progress.message.startsWith('opening');
    }, soon);
    await console.execute('commit');
    await console.close();
    await operationEnds(lockstep, (await upgradeIn(lockstep, NAME, ['switched'])).operationId);
    expect(await view()).toMatchObject({ writeTo: 'target', problem: null });
  }, 180_000);

  it('one that fails again can be aborted as it stands', async () => {
    lockstep.arm('upgrade.schema-post-data.acted=throw');
    await scene.begin(lockstep, NAME);
    await upgradeIn(lockstep, NAME, ['failed']);
    await lockstep.ok('POST', `${PATH}/retry`);
    await eventually(async () => (await view()).phase !== 'failed', { within: 20_000, every: 20 });
    await upgradeIn(lockstep, NAME, ['failed']);
    await abortLeavesNothing();
  }, 120_000);

  it('kill -9 in step after step of a rollback: completes every time, nothing lost; then an abort leaves nothing', async () => {
    await scene.workload.start();
    await scene.begin(lockstep, NAME);
    scene.follow(() => lockstep, NAME);
    await switchOver();
    await writesContinue(scene);
    const dieIn = (step: string) => `upgrade.${step}.acted=kill`;
    const [first, ...rest] = ROLLBACK_STEPS.map(({ name }) => name);
    lockstep.arm(dieIn(first!));
    await lockstep.ok('POST', `${PATH}/rollback`);
    for (const step of rest) {
      await liveOn(dieIn(step));
    }
    await liveOn();
    const back = await upgradeIn(lockstep, NAME, ['rolled-back']);
    await operationEnds(lockstep, back.operationId);
    expect(back).toMatchObject({ writeTo: 'source', problem: null, verification: { verdict: 'equal' } });
    await writesContinue(scene);
    await holds(scene, 'source');
    await abortLeavesNothing();
  }, 420_000);

  it('kill -9 amid the statements of a rollback, then of finalize: both complete, nothing lost or left', async () => {
    const deaths = async (action: string, done: string): Promise<number> => {
      lockstep.arm(`statement=every-${EVERY}:${join(lockstep.folder, action)}`);
      await lockstep.ok('POST', `${PATH}/${action}`);
      for (let died = 0; ; died++) {
        const phase = await eventually(
          async () => {
            if (lockstep.exited) return 'dead';
            const now = await view();
            if (now.phase === done) return done;
            throw new Error(`phase ${now.phase} after ${died} deaths: ${JSON.stringify(now.problem)}`);
          },
          { within: 120_000, every: LOOK_MS },
        );
        if (phase === done) return died;
        expect(lockstep.signal).toBe('SIGKILL');
        await lockstep.launch();
      }
    };
    await scene.workload.start();
    await scene.begin(lockstep, NAME);
    scene.follow(() => lockstep, NAME);
    await switchOver();
    await operationEnds(lockstep, (await view()).operationId);
    expect(await deaths('rollback', 'rolled-back')).toBeGreaterThanOrEqual(10 / EVERY);
    await anew();
    await writesContinue(scene);
    await holds(scene, 'source');

    await scene.workload.start();
    await lockstep.ok('POST', `${PATH}/retry`);
    await switchOver();
    await operationEnds(lockstep, (await view()).operationId);
    expect(await deaths('finalize', 'finalized')).toBeGreaterThanOrEqual(5 / EVERY);
    await anew();
    await writesContinue(scene);
    await scene.workload.stop();
    expect(await ours(scene.source)).toEqual([]);
    expect(await ours(scene.target)).toEqual([]);
  }, 3_600_000);

  it('what was defined on the target since it was opened keeps the rollback back, and is named', async () => {
    await scene.workload.start();
    await scene.begin(lockstep, NAME);
    scene.follow(() => lockstep, NAME);
    for (const table of ['app.added', 'app.added_again'].slice(0, EVERY === 1 ? 2 : 1)) {
      await switchOver();
      const opened = await view();
      await scene.target.run(DATABASE, `create table ${table} (id int primary key)`);
      const { operationId } = await lockstep.ok<UpgradeView>('POST', `${PATH}/rollback`);
      await failed(operationId);
      const refused = await view();
      expect(refused).toMatchObject({ phase: 'switched', writeTo: 'target', switchover: opened.switchover });
      expect(refused.problem).toMatchObject({ code: 'CONFLICT' });
      expect(refused.problem!.detail).toContain(table);
      await writesContinue(scene);

      // Nothing is left to do but the rollback, and that is what a retry is told.
      expect(await lockstep.request('POST', `${PATH}/retry`)).toMatchObject({
        status: 409,
        body: { code: 'WRONG_STATE', hint: expect.stringContaining('rollback') },
      });
      expect(await view()).toMatchObject({ phase: 'switched', writeTo: 'target', problem: refused.problem });
      await writesContinue(scene);

      await scene.target.run(DATABASE, `drop table ${table}`);
      const both = await Promise.all([0, 1].map(() => lockstep.request('POST', `${PATH}/rollback`)));
      expect(both.map(({ status }) => status).sort()).toEqual([202, 409]);
      await upgradeIn(lockstep, NAME, ['rolled-back']);
      await writesContinue(scene);
      const { rollback } = await lockstep.ok<{ rollback: { startedAt: string; writePauseMs: number } }>(
        'GET',
        `${PATH}/report`,
      );
      expect(Date.parse(rollback.startedAt)).toBeGreaterThan(openedAt(opened));
      expect(rollback.writePauseMs).toBeLessThan(30_000);
      await holds(scene, 'source');
      await scene.workload.start();
      await lockstep.ok('POST', `${PATH}/retry`);
    }
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
    await scene.workload.stop();
    await abortLeavesNothing();
  }, 240_000);

  it('kill -9 in each undo of an abort: it ends all the same, and leaves nothing', async () => {
    await scene.workload.start();
    await scene.begin(lockstep, NAME);
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
    const gate = FORWARD_STEPS.findIndex(({ name }) => name === 'pre-switchover');
    const done = FORWARD_STEPS.slice(0, gate).filter((step) => step.undo !== undefined);
    const [first, ...rest] = done.map(({ name }) => `upgrade.undo-${name}.acted=kill`).reverse();
    lockstep.arm(first!);
    await lockstep.ok('POST', `${PATH}/abort`);
    for (const failpoint of rest) {
      await liveOn(failpoint);
    }
    await liveOn();
    const aborted = await upgradeIn(lockstep, NAME, ['aborted']);
    await operationEnds(lockstep, aborted.operationId);
    await writesContinue(scene);
    await scene.workload.stop();
    await asBefore();
  }, 420_000);
});

function openedAt({ switchover }: UpgradeView): number {
  return Date.parse((switchover as unknown as { openedAt: string }).openedAt);
}

const reaches = (phase: string) => (events: { data: Record<string, unknown> }[]) =>
  events.some(({ data }) => data.phase === phase);
