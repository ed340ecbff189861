import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { Session } from '../../src/postgres/session.js';
import { streamedEvents } from '../support/event-stream.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';
import { holds, operationEnds, writesContinue } from '../support/upgrade-proof.js';
import { DATABASE, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

const NAME = 'outage';
const PATH = `/v1/upgrades/${NAME}`;

/** What an upgrade needs goes away in the middle of a step: a server without a word, or Lockstep's own database. */
describe('an upgrade through an outage', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;
  let state: TestServer | null;
  let network: Network | null;

  beforeEach(async () => {
    state = network = null;
    scene = await UpgradeScene.set(15, 18);
  }, 60_000);
  afterEach(async () => {
    await network?.cut();
    await lockstep.dispose();
    await scene.dispose();
    await state?.stop();
  }, 60_000);

  const view = () => lockstep.ok<UpgradeView>('GET', PATH);
  const stateOf = async (step: string) => (await view()).steps.find(({ name }) => name === step)!.state;

  async function approve(gate = 'switchover'): Promise<void> {
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
    await lockstep.ok('POST', `${PATH}/approve`, { gate });
  }

  it('a source that falls silent inside the fence fails the step in time; once it answers, the fence is taken back', async () => {
    // Two settings, one statement each: ALTER SYSTEM takes no transaction.
    await scene.source.run('postgres', `alter system set wal_sender_timeout to '3s'`);
    await scene.source.run('postgres', 'select pg_reload_conf()');
    network = await Network.to(scene.source.port);
    lockstep = await Lockstep.start();
    const { host, port } = scene.source;
    // The servers reach each other directly.
    const through = { port: network.port, advertisedHost: host, advertisedPort: port };
    await scene.register(lockstep, { source: through });
    await scene.workload.start();
    await scene.begin(lockstep, NAME, { deadlines: { fenceMs: 1000, drainMs: 1000 } });
    scene.follow(() => lockstep, NAME);
    network.freezeAt('insert into "lockstep"."marker');
    await approve();
    await eventually(() => network!.isFrozen, { within: 30_000 });
    const frozenAt = Date.now();
    await eventually(async () => (await stateOf('drain')) === 'failed', { within: 60_000 });
    // Both deadlines and the margin, not the kernel's quarter of an hour.
    expect(Date.now() - frozenAt).toBeLessThan(45_000);
    expect((await view()).writeTo).toBeNull();

    network.thaw();
    const back = await eventually(
      async () => {
        const now = await view();
        return now.problem && now.awaiting === 'switchover' ? now : null;
      },
      { within: 60_000 },
    );
    expect(back).toMatchObject({ phase: 'awaiting-approval', writeTo: 'source', problem: { code: 'SERVER_TIMEOUT' } });
    expect(back.problem!.detail).toMatch(/^drain did not end within \d+ ms/);
    await writesContinue(scene);

    await approve();
    const { operationId } = await upgradeIn(lockstep, NAME, ['switched']);
    await operationEnds(lockstep, operationId);
    await writesContinue(scene);
    await holds(scene, 'target');
  }, 240_000);

  it('a database that takes no outcome of a step is waited for, whatever the reason, and the step is no failure', async () => {
    state = await TestServer.start(18);
    const { host, port, user, password } = state;
    const database = await state.freshDatabase('lockstep_unrecorded');
    lockstep = await Lockstep.start({
      databaseUrl: `postgresql://${user}:${password}@${host}:${port}/${database}`,
      environment: { LOCKSTEP_SECRET_KEY: randomBytes(32).toString('base64'), LOCKSTEP_INSTANCE_TIMEOUT_MS: '3000' },
    });
    await scene.register(lockstep);
    // As while a proxy leads to a standby: of all SQLSTATEs one for which the workflow library does not wait.
    await state.run(
      database,
      `create function dbos.refused() returns trigger language plpgsql as
         $$ begin if new.function_name = 'preflight' then raise 'no' using errcode = '25006'; end if; return new; end $$;
       create trigger refused before insert on dbos.operation_outputs for each row execute function dbos.refused()`,
    );
    const { operationId } = await scene.begin(lockstep, NAME);
    await eventually(async () => (await stateOf('preflight')) === 'done', { within: 30_000 });
    const resumed = () =>
      state!.withSession(database, (session) =>
        session.rows(
          `select from dbos.workflow_status where workflow_uuid = '${operationId}' and queue_name is not null`,
        ),
      );
    await eventually(async () => (await resumed()).length === 1, { within: 30_000 });
    expect(await view()).toMatchObject({ phase: 'preflight', problem: null });
    await state.run(database, 'drop trigger refused on dbos.operation_outputs');
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
  }, 120_000);

  it('its own database being away in the middle of steps is waited for, and no failure of theirs', async () => {
    // As Lockstep's own database is in life: a crash of the fleet's servers forgets what they had acknowledged.
    state = await TestServer.start(18, { synchronous_commit: 'on' });
    const { host, port, user, password } = state;
    await state.freshDatabase('lockstep_away');
    lockstep = await Lockstep.start({
      databaseUrl: `postgresql://${user}:${password}@${host}:${port}/lockstep_away`,
      environment: { LOCKSTEP_SECRET_KEY: randomBytes(32).toString('base64') },
    });
    await scene.register(lockstep);
    await scene.workload.start();
    await scene.begin(lockstep, NAME, { gates: ['copy', 'switchover'] });
    scene.follow(() => lockstep, NAME);

    // While the database is away the step must reach its end: what it waits for is held until then.
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
    const copy = await held('app.account');
    await approve('copy');
    await eventually(async () => (await stateOf('initial-copy')) === 'running', { within: 60_000 });
    await away();
    await copy.close();
    await back();
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);

    await away();
    await back();

    const marker = await scene.target.withSession(DATABASE, (session) =>
      session.row<{ name: string }>(
        `select oid::regclass::text as name from pg_class where relkind = 'r' and relnamespace = 'lockstep'::regnamespace and relname like 'marker%'`,
      ),
    );
    // Only inside the fence: a table that is locked already is refused before it.
    lockstep.arm('upgrade.drain.begin=wait:3000');
    await approve();
    await eventually(async () => (await stateOf('drain')) === 'running', { within: 60_000, every: 20 });
    const drain = await held(marker.name);
    lockstep.arm();
    const isMarked = (side: 'source' | 'target') =>
      scene[side].withSession(DATABASE, async (s) => (await s.rows(`select from ${marker.name}`)).length > 0);
    // Written on the source: from here the step asks the servers only.
    await eventually(() => isMarked('source'), { within: 60_000 });
    await away();
    await drain.close();
    await eventually(() => isMarked('target'), { within: 20_000 });
    await back();

    const { operationId, switchover } = await upgradeIn(lockstep, NAME, ['switched']);
    await operationEnds(lockstep, operationId);
    expect(switchover!.fenceProof).toBe('held');
    const events = await streamedEvents(lockstep, `${PATH}/events`, {
      enough: (seen) => seen.some(({ data }) => data.step === 'retire-forward' && data.state === 'done'),
    });
    expect(events.filter(({ data }) => ['failed', 'undone'].includes(data.state as string))).toEqual([]);
    await writesContinue(scene);
    await holds(scene, 'target');

    /** Keeps the target from applying anything to that table, until closed. */
    async function held(table: string): Promise<Session> {
      const session = await scene.target.open(DATABASE);
      await session.execute(`begin; lock table ${table} in share mode`);
      return session;
    }

    async function away(): Promise<void> {
      await state!.crash();
      await eventually(async () => (await lockstep.request('GET', '/health/ready')).status === 503, { within: 20_000 });
    }

    async function back(): Promise<void> {
      await state!.restart();
      await eventually(async () => (await lockstep.request('GET', '/health/ready')).status === 200, { within: 30_000 });
    }
  }, 240_000);
});
