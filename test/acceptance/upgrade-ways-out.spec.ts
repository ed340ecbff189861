import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { streamedEvents } from '../support/event-stream.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { catalogsOf, operationEnds, ours } from '../support/upgrade-proof.js';
import { DATABASE, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

const NAME = 'out';
const PATH = `/v1/upgrades/${NAME}`;

interface Operation {
  state: string;
  result: { leftovers: string[] } | null;
}

/** Whatever fails, twice over or for good: from everywhere there is a way on over the API, and its hints are true. */
describe('ways out of an upgrade', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;
  let before: { source: unknown; target: unknown };

  beforeAll(async () => {
    lockstep = await Lockstep.start();
  }, 60_000);
  afterAll(() => lockstep.dispose());
  beforeEach(async () => {
    scene = await UpgradeScene.set(17, 18, { rows: 500 });
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
  const operation = (id: string) => lockstep.ok<Operation>('GET', `/v1/operations/${id}`);

  /** Where the service fails from now on. */
  function failAt(...failpoints: string[]): void {
    lockstep.arm(...failpoints.map((name) => `${name}=throw`));
  }

  async function ended(id: string, state: string): Promise<Operation> {
    return await eventually(
      async () => {
        const now = await operation(id);
        expect(now.state).toBe(state);
        return now;
      },
      { within: 90_000 },
    );
  }

  /** Begins, approves what is asked, and lets the operation end as it may. */
  async function switchOver(
    gates: string[] = ['switchover'],
    more: Record<string, unknown> = {},
  ): Promise<UpgradeView> {
    await scene.begin(lockstep, NAME, { gates, ...more });
    for (const gate of gates) await approve(gate);
    return await upgradeIn(lockstep, NAME, ['switched']);
  }

  async function approve(gate: string): Promise<void> {
    await eventually(async () => (await view()).awaiting === gate, { within: 90_000 });
    await lockstep.ok('POST', `${PATH}/approve`, { gate });
  }

  async function act(action: string, body?: unknown): Promise<UpgradeView> {
    return await lockstep.ok<UpgradeView>('POST', `${PATH}/${action}`, body);
  }

  async function refused(action: string, body?: unknown): Promise<string> {
    const { status, body: problem } = await lockstep.request<{ code: string; hint: string }>(
      'POST',
      `${PATH}/${action}`,
      body,
    );
    expect([status, problem.code]).toEqual([409, 'WRONG_STATE']);
    return problem.hint;
  }

  /** A writer's login that gets in, and writes. */
  async function writes(side: 'source' | 'target'): Promise<boolean> {
    return scene[side].withSession('postgres', async (session) => {
      const rows = await session.rows<{ open: boolean }>(
        `select rolcanlogin as open from pg_roles where rolname like 'orders_writer%'`,
      );
      expect(rows.length).toBeGreaterThan(0);
      return rows.some(({ open }) => open);
    });
  }

  it('one failure after another, there and back: each is gone on from over the API, and nothing is asked twice', async () => {
    // A stream of the target that cannot be had is said, not done without; a copy that was approved is not asked for again.
    await scene.begin(lockstep, NAME, { gates: ['copy', 'switchover'], deadlines: { slotMs: 4000 } });
    await eventually(async () => (await view()).awaiting === 'copy', { within: 60_000 });
    const holder = await scene.target.open('postgres');
    await holder.execute('begin');
    await holder.execute('select pg_current_xact_id()');
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'copy' });
    const { problem } = await upgradeIn(lockstep, NAME, ['failed']);
    expect(problem!.detail).toMatch(new RegExp(`lockstep_s_.*pid ${holder.backendPid}`));
    await holder.close();

    failAt('upgrade.open-target.begin');
    await act('retry');
    const at = await upgradeIn(lockstep, NAME, ['awaiting-approval']);
    expect(at).toMatchObject({ awaiting: 'switchover', verification: { verdict: 'equal' } });
    const verification = await lockstep.ok<{ method: string }>('GET', `/v1/verifications/${at.verification!.id}`);
    expect(verification.method).toBe('own-slot');

    // What holds a table on the target, as VACUUM does, is waited for before any writer is stopped.
    const vacuum = await scene.target.open(DATABASE);
    await vacuum.execute('begin; lock table app.account in share update exclusive mode');
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    await eventually(
      () =>
        scene.target.withSession(DATABASE, async (session) => {
          const waiting = await session.rows(
            `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like 'create publication "lockstep\\_%'`,
          );
          expect(waiting).toHaveLength(1);
          return true;
        }),
      { within: 60_000 },
    );
    expect((await view()).writeTo).toBe('source');
    await vacuum.close();

    // An opening that fails is gone on with by retry.
    const { operationId } = await upgradeIn(lockstep, NAME, ['switched']);
    await ended(operationId, 'failed');
    expect(await view()).toMatchObject({ phase: 'switched', writeTo: null });
    expect(await refused('rollback')).toContain('/retry');
    expect(await refused('finalize')).toBeDefined();

    failAt();
    const retried = await act('retry');
    await operationEnds(lockstep, retried.operationId);
    expect(await view()).toMatchObject({ phase: 'switched', writeTo: 'target', problem: null });
    expect(await refused('retry')).toBeUndefined();
    expect(await refused('rollback', { leave: 'source' })).toContain('by itself');

    // A fence that an earlier rollback could not lower is lowered by the next one first, whatever becomes of it.
    failAt('upgrade.rollback-drain.begin', 'upgrade.undo-rollback-fence.begin');
    await ended((await act('rollback')).operationId, 'failed');
    expect(await view()).toMatchObject({ phase: 'switched', writeTo: null });
    expect(await writes('target')).toBe(false);

    failAt('upgrade.rollback-schema.begin');
    await ended((await act('rollback')).operationId, 'failed');
    expect(await view()).toMatchObject({ phase: 'switched', writeTo: 'target' });
    expect(await writes('target')).toBe(true);

    failAt('upgrade.rollback-turn.acted', 'upgrade.undo-rollback-turn.begin');
    await ended((await act('rollback')).operationId, 'failed');
    failAt();
    await operationEnds(lockstep, (await act('rollback')).operationId);
    expect(await view()).toMatchObject({ phase: 'rolled-back', writeTo: 'source', problem: null });
    expect(await writes('source')).toBe(true);

    // A rollback that has turned goes on where it stands, without doing what it had skipped.
    await act('retry');
    await approve('switchover');
    await operationEnds(lockstep, (await upgradeIn(lockstep, NAME, ['switched'])).operationId);
    // Made on the target after the switch, so that only the rollback's fence knows it.
    await scene.target.run(DATABASE, 'create role late_writer login; grant pg_write_all_data to late_writer');
    failAt('upgrade.rollback-open.begin');
    await ended((await act('rollback', { verification: 'after' })).operationId, 'failed');
    const turned = await view();
    expect(turned).toMatchObject({ phase: 'rolling-back', writeTo: null });
    const stateOf = ({ steps }: UpgradeView, step: string) => steps.find(({ name }) => name === step)!.state;
    expect(stateOf(turned, 'rollback-verification')).toBe('skipped');

    // Its source is lost before it was opened: the target is opened again, also in the place of a rollback that waits.
    await scene.source.crash();
    failAt();
    const waiting = await act('rollback');
    const plan = await lockstep.ok<{ steps: { step: string; sides: string[] }[] }>(
      'POST',
      `${PATH}/rollback?dryRun=true`,
      { leave: 'source' },
    );
    expect(plan.steps).toMatchObject([
      { step: 'rollback-fence', sides: ['target'] },
      { step: 'rollback-verification', sides: ['target'] },
    ]);
    await operationEnds(lockstep, (await act('rollback', { leave: 'source' })).operationId);
    expect((await operation(waiting.operationId)).state).toBe('cancelled');
    expect(await view()).toMatchObject({ phase: 'switched', writeTo: 'target', problem: null });
    expect(await writes('target')).toBe(true);

    // It comes back after all: what was written meanwhile is brought back, from the beginning.
    await scene.target.run(DATABASE, `insert into app.account values (888888, 1)`);
    await scene.source.restart();
    failAt('upgrade.rollback-open.begin');
    await ended((await act('rollback', { verification: 'after' })).operationId, 'failed');
    expect(await view()).toMatchObject({ phase: 'rolling-back', writeTo: null });
    const brought = await scene.source.withSession(DATABASE, (session) =>
      session.rows('select 1 from app.account where id = 888888'),
    );
    expect(brought).toHaveLength(1);

    failAt('upgrade.rollback-forward.begin');
    await ended((await act('rollback')).operationId, 'failed');
    expect(await refused('rollback', { leave: 'source' })).toContain('without "leave"');
    const opened = await view();
    expect(opened).toMatchObject({ phase: 'rolling-back', writeTo: 'source' });
    expect(stateOf(opened, 'rollback-verification')).toBe('skipped');
    expect(await writes('target')).toBe(false);

    // Given up for good from here: also the role that only the rollback had barred is let in again.
    failAt();
    await act('abort');
    await upgradeIn(lockstep, NAME, ['aborted']);
    expect(await ours(scene.source)).toEqual([]);
    expect(await ours(scene.target)).toEqual([]);
    const { open } = await scene.target.withSession(DATABASE, (session) =>
      session.row<{ open: boolean }>(`select rolcanlogin as open from pg_roles where rolname = 'late_writer'`),
    );
    expect(open).toBe(true);
  }, 420_000);

  it('a sequence that somebody sets inside the fence, after it was carried, keeps the target closed and is named', async () => {
    lockstep.arm('upgrade.final-check.begin=wait:8000');
    await scene.begin(lockstep, NAME);
    await approve('switchover');
    const stateOf = async (step: string) => (await view()).steps.find(({ name }) => name === step)!.state;
    await eventually(async () => (await stateOf('final-check')) === 'running', { within: 60_000, every: 20 });
    expect(await stateOf('sequences')).toBe('done');
    await scene.source.run(DATABASE, `select setval('app.counter_001', 400, false)`);
    const kept = await eventually(
      async () => {
        const now = await view();
        return now.problem && now.awaiting === 'switchover' ? now : null;
      },
      { within: 60_000 },
    );
    expect(kept).toMatchObject({ phase: 'awaiting-approval', writeTo: 'source', problem: { code: 'CONFLICT' } });
    expect(kept.problem!.detail).toBe('1 sequences are not equal: app.counter_001 (different)');
    expect((kept.problem as unknown as { hint: string }).hint).toContain('try again');
    expect([await writes('source'), await writes('target')]).toEqual([true, false]);

    failAt();
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    await operationEnds(lockstep, (await upgradeIn(lockstep, NAME, ['switched'])).operationId);
    const carried = await scene.target.withSession(DATABASE, (session) =>
      session.rows('select last_value::int, is_called from app.counter_001'),
    );
    expect(carried).toEqual([{ last_value: 400, is_called: false }]);
  }, 180_000);

  it('an opening that fails before anybody was let in can be aborted', async () => {
    failAt('upgrade.open-target.begin');
    const { operationId } = await switchOver();
    await ended(operationId, 'failed');
    failAt();
    // What was shown inside the fence is shown again where the opening comes late.
    await scene.source.run(DATABASE, `insert into app.account values (999999, 1)`);
    const { fencedAt } = (await view()).switchover as unknown as { fencedAt: string };
    await eventually(() => Date.now() > Date.parse(fencedAt) + 8_000, { within: 10_000 });
    await ended((await act('retry')).operationId, 'failed');
    const { problem } = await view();
    expect(problem!.detail).toContain('app.account');
    expect((problem as unknown as { hint: string }).hint).toContain('/abort');
    expect(await writes('target')).toBe(false);
    await act('abort');
    await upgradeIn(lockstep, NAME, ['aborted']);
    expect(await writes('source')).toBe(true);
    expect(await ours(scene.source)).toEqual([]);
    expect(await catalogsOf(scene.source)).toEqual(before.source);
    expect(await catalogsOf(scene.target)).toEqual(before.target);
  }, 180_000);

  it('a source that is lost before a late opening is asked for a minute, then the target is opened without it', async () => {
    failAt('upgrade.open-target.begin');
    const { operationId } = await switchOver();
    await ended(operationId, 'failed');
    await scene.source.crash();
    failAt();
    const retriedAt = Date.now();
    await act('retry');
    await eventually(async () => (await view()).writeTo === 'target', { within: 150_000, every: 500 });
    // Restarting, a source takes less; what it says of writes inside the fence is worth the wait.
    expect(Date.now() - retriedAt).toBeGreaterThan(60_000);
    expect(await writes('target')).toBe(true);
    const events = await streamedEvents(lockstep, `${PATH}/events`, {
      enough: (seen) => seen.some(({ type }) => type === 'source-not-asked'),
    });
    expect(events.find(({ type }) => type === 'source-not-asked')!.data.reason).toContain(`:${scene.source.port}`);
    // It comes back, barred as it was: the way back is opened from where it stands.
    await scene.source.restart();
    await operationEnds(lockstep, (await view()).operationId);
    expect(await view()).toMatchObject({ phase: 'switched', writeTo: 'target', problem: null });
    expect(await writes('source')).toBe(false);
  }, 360_000);

  it('a target that is lost keeps nothing on the source: the abort leaves it, also in the place of one that waits', async () => {
    await scene.begin(lockstep, NAME);
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
    await scene.target.crash();
    const waiting = await act('abort');
    expect(waiting.phase).toBe('aborting');
    expect(await refused('abort')).toContain('"leave": "target"');

    const plan = await lockstep.request<{ steps: { sides: string[] }[] }>('POST', `${PATH}/abort?dryRun=true`, {
      leave: 'target',
    });
    expect(plan.status).toBe(200);
    expect(plan.body.steps.flatMap(({ sides }) => sides)).not.toContain('target');
    const { operationId } = await act('abort', { leave: 'target' });
    const { result } = await ended(operationId, 'succeeded');
    expect((await operation(waiting.operationId)).state).toBe('cancelled');
    expect(await view()).toMatchObject({ phase: 'aborted', writeTo: 'source', problem: null });
    expect(await ours(scene.source)).toEqual([]);
    expect(await catalogsOf(scene.source)).toEqual(before.source);
    expect(result!.leftovers.join(' ')).toMatch(/target, database orders .* subscription lockstep_\w+/);
  }, 180_000);

  it('a target that was opened, though the opening failed, is not left as it is by anybody’s word', async () => {
    failAt('upgrade.open-target.acted');
    const { operationId } = await switchOver();
    await ended(operationId, 'failed');
    expect(await writes('target')).toBe(true);
    failAt();
    for (const body of [undefined, { leave: 'target' }, { leave: 'source' }]) await refused('abort', body);
    expect(await writes('source')).toBe(false);
    await act('retry');
    await operationEnds(lockstep, (await upgradeIn(lockstep, NAME, ['switched'])).operationId);
    expect(await view()).toMatchObject({ writeTo: 'target', problem: null });
  }, 180_000);

  it('a source that is lost inside the fence is left as it is: the target, the only copy, keeps its rows and is usable', async () => {
    failAt('upgrade.sequences.begin', 'upgrade.undo-fence.begin');
    await scene.begin(lockstep, NAME);
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
    // While the source is open, leaving it would open both sides.
    expect(await refused('abort', { leave: 'source' })).toContain('without "leave"');
    await approve('switchover');
    expect(await upgradeIn(lockstep, NAME, ['failed'])).toMatchObject({ writeTo: null });
    failAt();
    await scene.source.crash();
    const plan = await lockstep.ok<{ does: string; steps: { step: string; sides: string[] }[] }>(
      'POST',
      `${PATH}/abort?dryRun=true`,
      { leave: 'source' },
    );
    expect(plan.does).toContain('the only copy');
    expect(plan.steps.flatMap(({ sides }) => sides)).not.toContain('source');
    expect(plan.steps.map(({ step }) => step)).toEqual(['catch-up', 'subscription', 'publication', 'roles']);
    const { operationId } = await act('abort', { leave: 'source' });
    const { result } = await ended(operationId, 'succeeded');
    expect(await view()).toMatchObject({ phase: 'aborted', writeTo: null, problem: null });
    // Nothing that keeps WAL or waits for the source; the rest is the caller's now.
    expect(await ours(scene.target)).toEqual(['schema lockstep']);
    const { rows } = await scene.target.withSession(DATABASE, (session) =>
      session.row<{ rows: number }>('select count(*)::int as rows from app.account'),
    );
    expect(rows).toBeGreaterThan(0);
    expect(await writes('target')).toBe(true);
    const left = result!.leftovers.join(' ');
    expect(left).toMatch(/source, database orders .* replication slots lockstep_\w+/);
    expect(left).toMatch(/the only copy.* committed on the source before the fence at \d/);
  }, 180_000);
});
