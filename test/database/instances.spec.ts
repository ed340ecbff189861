import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Config } from '../../src/config/config.js';
import { Instances } from '../../src/engine/instance.repository.js';
import { SessionLock } from '../../src/storage/session-lock.js';
import { StateDatabase } from '../../src/storage/state-database.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'instances';

let server: TestServer;
let state: StateDatabase;
const joined: Instances[] = [];

beforeAll(async () => {
  server = await TestServer.shared(18);
  await server.freshDatabase(DATABASE);
  state = await StateDatabase.open(configured('none'));
});

afterAll(async () => {
  await state?.onApplicationShutdown();
  await server?.stop();
});

beforeEach(() => state.dataSource.query('delete from lockstep.instance'));

afterEach(async () => {
  for (const instance of joined.splice(0)) await instance.leave();
});

function configured(name: string): Config {
  const { user, password, host, port } = server;
  return Config.load({
    DATABASE_URL: `postgresql://${user}:${password}@${host}:${port}/${DATABASE}`,
    LOCKSTEP_INSTANCE_ID: name,
    LOCKSTEP_INSTANCE_TIMEOUT_MS: '1000',
  });
}

async function join(name: string): Promise<Instances> {
  const instance = new Instances(state.dataSource, state, configured(name));
  await instance.join();
  joined.push(instance);
  return instance;
}

/** Whom `by` still takes for alive once it has declared the dead dead. */
async function livingFor(by: Instances): Promise<string[]> {
  let living = new Set<string>();
  await by.reap(async (ask) => {
    living = await ask();
  });
  return [...living];
}

/** Lets `by` beat in time until it takes nobody but these for alive. */
async function beatsUntilLiving(by: Instances, ...ids: string[]): Promise<void> {
  await eventually(
    async () => {
      expect(await by.heartbeat()).toBe(true);
      expect(await livingFor(by)).toEqual(ids);
      return true;
    },
    { within: 15_000, every: 100 },
  );
}

it('an instance that is silent for too long is declared dead, and is told so at its next heartbeat', async () => {
  const [one, other] = [await join('one'), await join('other')];
  await beatsUntilLiving(one, one.id);
  expect(await other.heartbeat()).toBe(false);
});

it('after an outage of the state the first to be back does not declare the others dead', async () => {
  const [one, gone] = [await join('one'), await join('gone')];
  await beatsUntilLiving(one, one.id);
  expect(await gone.heartbeat()).toBe(false);
  const other = await join('other');
  // The outage: time in which nobody's heartbeat went through.
  const since = performance.now();
  await eventually(() => performance.now() > since + 700, { within: 5_000 });
  await state.dataSource.query(`update lockstep.instance set heartbeat_at = now() - interval '1 minute'`);
  expect(await one.heartbeat()).toBe(true);
  expect((await livingFor(one)).sort()).toEqual([one.id, other.id].sort());
  expect(await other.heartbeat()).toBe(true);
});

it('one that left, or an earlier life of the same name, is dead at once', async () => {
  const [one, other] = [await join('one'), await join('other')];
  await other.leave();
  expect(await livingFor(one)).toEqual([one.id]);
  const again = await join('other');
  expect((await livingFor(one)).sort()).toEqual([one.id, again.id].sort());
});

it('a name whose lock was cut off is locked again; once another has come under it, it is lost', async () => {
  const one = await join('one');
  const cutLocks = () =>
    state.dataSource.query(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where application_name = 'lockstep lock' and datname = current_database()`,
    );
  await cutLocks();
  await eventually(
    async () => {
      expect(await one.heartbeat()).toBe(true);
      const free = await SessionLock.tryTake(state.url, 'instance one');
      await free?.release();
      return free === null;
    },
    { within: 10_000, every: 200 },
  );
  await cutLocks();
  await join('one');
  expect(await one.heartbeat()).toBe(false);
});
