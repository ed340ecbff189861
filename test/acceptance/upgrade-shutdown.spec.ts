import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { type StreamedEvent, streamedEvents } from '../support/event-stream.js';
import { Lockstep } from '../support/lockstep.js';
import { ours } from '../support/upgrade-proof.js';
import { DATABASE, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

const NAME = 'stopped';
const PATH = `/v1/upgrades/${NAME}`;
/** What a supervisor grants at least before it kills; the service gives itself as much. */
const STOPS_WITHIN_MS = 15_000;
const LOCKED = 'catalog.price_list';
/** A server that runs a statement looks this often whether its client is still there. */
const NOTICED_WITHIN_MS = 10_000;

let scene: UpgradeScene;
let lockstep: Lockstep;
/** All that the client was sent, in all lives. */
const seen: StreamedEvent[] = [];
let stream: Promise<unknown>;

beforeAll(async () => {
  scene = await UpgradeScene.set(14, 18);
  lockstep = await Lockstep.start();
  await scene.register(lockstep);
  await scene.workload.start();
}, 120_000);
afterAll(async () => {
  await lockstep?.dispose();
  await scene?.dispose();
});

/** As a client does that has lost its stream: on from the last event it has. */
function follow(operationId: string): void {
  const before = [...seen];
  stream = streamedEvents(lockstep, `/v1/operations/${operationId}/events`, {
    after: before.at(-1)?.id ?? 0,
    within: 180_000,
    enough: (events) => {
      seen.splice(0, seen.length, ...before, ...events);
      return false;
    },
  });
  // Not ended as after the last event of an operation, but cut off: the client is to come back.
  stream.catch(() => {});
}

async function running(step: string): Promise<void> {
  await eventually(
    async () => {
      const { steps } = await lockstep.ok<UpgradeView>('GET', PATH);
      return steps.find(({ name }) => name === step)?.state === 'running';
    },
    { within: 60_000 },
  );
}

/** Those of the service; the subscription of the upgrade, which goes on without it, has `lockstep_<id>`. */
async function sessions(): Promise<string[]> {
  const both = [scene.source, scene.target].map((server) =>
    server.withSession('postgres', (session) =>
      session.rows<{ who: string }>(
        `select application_name || ': ' || query as who from pg_stat_activity
          where application_name like 'lockstep %' and application_name <> 'lockstep test'`,
      ),
    ),
  );
  return (await Promise.all(both)).flat().map(({ who }) => who);
}

/** Stops the service as a supervisor does, and holds that it went without harm. */
async function stop(): Promise<void> {
  const logged = lockstep.log().length;
  const asked = Date.now();
  await lockstep.kill('SIGTERM');
  expect(Date.now() - asked).toBeLessThan(STOPS_WITHIN_MS);
  expect({ code: lockstep.exitCode, signal: lockstep.signal }).toEqual({ code: 0, signal: null });
  await expect(stream).rejects.toThrow('terminated');
  expect(seen).not.toEqual([]);
  await eventually(async () => expect(await sessions()).toEqual([]) ?? true, {
    within: NOTICED_WITHIN_MS + 2_000,
  });
  const lines = lockstep.log().slice(logged).trim().split('\n');
  expect(lines.filter((line) => /^(?!\{)|"level":"(error|fatal)"/.test(line))).toEqual([]);
  expect(lines.at(-1)).toContain('"message":"stopped"');
}

it('SIGTERM amid an upgrade: stops in time and cleanly wherever it is, and goes on in its next life', async () => {
  lockstep.arm('upgrade.initial-copy.begin=wait:600000');
  const { operationId } = await scene.begin(lockstep, NAME);
  follow(operationId);

  // A step that does not heed it.
  await running('initial-copy');
  expect(await sessions()).not.toEqual([]);
  await stop();

  // A statement that waits for somebody else's lock: the foreign keys come after the copy.
  await scene.target.withSession(DATABASE, async (session) => {
    await session.execute(`begin; lock table ${LOCKED} in share update exclusive mode`);
    lockstep.arm('upgrade.verifying=wait:5000');
    await lockstep.launch();
    follow(operationId);
    await eventually(async () => (await sessions()).some((who) => who.includes(`ALTER TABLE ONLY ${LOCKED}`)), {
      within: 60_000,
    });
    await stop();
    await session.execute('rollback');
  });

  // A verification, with its streams and snapshots open.
  await lockstep.launch();
  follow(operationId);
  await running('verification');
  expect(await sessions()).not.toEqual([]);
  await stop();

  // Nothing at work: it waits to be approved.
  lockstep.arm();
  await lockstep.launch();
  follow(operationId);
  await upgradeIn(lockstep, NAME, ['awaiting-approval']);
  await stop();

  await lockstep.launch();
  follow(operationId);
  await upgradeIn(lockstep, NAME, ['awaiting-approval']);
  await lockstep.ok('POST', `${PATH}/abort`);
  await upgradeIn(lockstep, NAME, ['aborted']);
  await stream;
  expect(seen.map(({ id }) => id)).toEqual(seen.map((_, index) => index + 1));
  expect(seen.map(({ type }) => type)).toContain('waiting');
  expect(seen.at(-1)!.type).toBe('cancelled');
  expect([...(await ours(scene.source)), ...(await ours(scene.target))]).toEqual([]);
}, 280_000);
