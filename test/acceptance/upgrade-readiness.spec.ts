import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type StreamedEvent, streamedEvents } from '../support/event-stream.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { operationEnds } from '../support/upgrade-proof.js';
import { upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

const NAME = 'ready';
const PATH = `/v1/upgrades/${NAME}`;
/** Long enough for whatever ends by itself, and what a refusal waits for. */
const SLOT_MS = 1_500;

/** What could only fail inside the fence, or after the opening, is refused before anybody is stopped; one after another. */
describe('an upgrade that is not ready to be switched over', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;

  beforeAll(async () => {
    [lockstep, scene] = await Promise.all([Lockstep.start(), UpgradeScene.set(14, 18, 200)]);
    await scene.register(lockstep);
    await scene.begin(lockstep, NAME, { deadlines: { slotMs: SLOT_MS } });
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
  }, 120_000);
  afterAll(async () => {
    await lockstep?.dispose();
    await scene?.dispose();
  });

  const view = () => lockstep.ok<UpgradeView>('GET', PATH);
  const events = (enough: (seen: StreamedEvent[]) => boolean) => streamedEvents(lockstep, `${PATH}/events`, { enough });

  /** Approves, and answers the problem with which the gate is awaited again. */
  async function refused(): Promise<{ code: string; detail: string }> {
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    return await eventually(
      async () => {
        const { awaiting, problem } = await view();
        return awaiting === 'switchover' ? problem : null;
      },
      { within: 30_000, every: 50 },
    );
  }

  /** A transaction with an xid in another database of the server, for as long as `work` takes. */
  async function whileBusy(side: 'source' | 'target', work: (pid: number) => Promise<void>): Promise<void> {
    const session = await scene[side].open('postgres');
    try {
      await session.execute('begin; select pg_catalog.txid_current()');
      await work(session.backendPid);
    } finally {
      await session.close();
    }
  }

  it('a transaction that a slot on the target would wait for is named', async () => {
    await whileBusy('target', async (pid) => {
      const problem = await refused();
      expect(problem.detail).toContain(`pid ${pid} (postgres`);
      expect(problem.detail).toContain('in database postgres');
    });
  }, 60_000);

  it('is switched over once all of that is mended, and no writer was stopped before', async () => {
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    const { operationId } = await upgradeIn(lockstep, NAME, ['switched']);
    await operationEnds(lockstep, operationId);
    const seen = await events((all) => all.some(({ data }) => data.writeTo === 'target'));
    expect(seen.flatMap(({ type, data }) => (type === 'write-to' ? [data.writeTo] : []))).toEqual([null, 'target']);
  }, 60_000);

  it('a rollback is refused for what a slot on the source would wait for, and goes on without it', async () => {
    await whileBusy('source', async (pid) => {
      const { operationId } = await lockstep.ok<UpgradeView>('POST', `${PATH}/rollback`);
      await eventually(
        async () => (await lockstep.ok<{ state: string }>('GET', `/v1/operations/${operationId}`)).state === 'failed',
        { within: 30_000, every: 50 },
      );
      const { phase, problem } = await view();
      expect(phase).toBe('switched');
      expect(problem!.detail).toContain(`pid ${pid} (postgres`);
    });
    await lockstep.ok('POST', `${PATH}/rollback`);
    const { operationId } = await upgradeIn(lockstep, NAME, ['rolled-back']);
    await operationEnds(lockstep, operationId);
    const seen = await events(
      (all) => all.at(-1)?.data.phase === 'rolled-back' || all.some(({ data }) => data.phase === 'rolled-back'),
    );
    expect(seen.flatMap(({ type, data }) => (type === 'write-to' ? [data.writeTo] : []))).toEqual([
      ...[null, 'target'],
      ...[null, 'source'],
    ]);
  }, 60_000);
});
