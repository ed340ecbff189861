import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Config } from '../../src/config/config.js';
import type { Engine } from '../../src/engine/engine.js';
import type { RetentionRepository } from '../../src/retention/retention.repository.js';
import { RetentionService } from '../../src/retention/retention.service.js';
import { SessionLock } from '../../src/storage/session-lock.js';
import type { StateDatabase } from '../../src/storage/state-database.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'session_lock';

let server: TestServer;
let network: Network;

beforeAll(async () => {
  server = await TestServer.shared(18);
  await server.freshDatabase(DATABASE);
  network = await Network.to(server.port);
});

afterAll(async () => {
  await network?.cut();
  await server?.stop();
});

const urlBy = (port: number) =>
  `postgresql://${server.user}:${server.password}@${server.host}:${port}/${DATABASE}?sslmode=disable`;

it('is no longer held for one who cannot show it, before another can have it, and whoever acts under it stops', async () => {
  const lock = (await SessionLock.tryTake(urlBy(network.port), 'silent'))!;
  // Has always more to remove.
  let removed = 0;
  const repository: Partial<RetentionRepository> = { idempotencyKeys: () => Promise.resolve(++removed) };
  const state: Partial<StateDatabase> = { url: urlBy(network.port) };
  const days = { LOCKSTEP_AUDIT_RETENTION_DAYS: '0', LOCKSTEP_EVENT_RETENTION_DAYS: '0' };
  const retention = new RetentionService(
    repository as RetentionRepository,
    {} as Engine,
    state as StateDatabase,
    Config.load({ ...days, LOCKSTEP_OPERATION_RETENTION_DAYS: '0' }),
  );
  const retained = retention.run();
  await eventually(() => removed > 2, { within: 5_000 });
  network.freeze();
  expect(lock.held).toBe(true);
  const taken = await eventually(
    async () => {
      const wasHeld = lock.held;
      const other = await SessionLock.tryTake(urlBy(server.port), 'silent');
      return other && { other, wasHeld };
    },
    { within: 40_000, every: 100 },
  );
  expect(taken.wasHeld).toBe(false);
  expect(await retained).toMatchObject({ idempotencyKeys: expect.any(Number) });
  // Once lost it stays so, and nobody waits for a goodbye that is not heard.
  network.thaw();
  expect(lock.held).toBe(false);
  await lock.release();
  await taken.other.release();
}, 60_000);

it('is not waited for where its goodbye is not heard', async () => {
  const lock = (await SessionLock.tryTake(urlBy(server.port), 'taken'))!;
  // The message by which a client ends its session.
  network.freezeAt('X\0\0\0\u0004');
  try {
    expect(await SessionLock.tryTake(urlBy(network.port), 'taken')).toBeNull();
    expect(network.isFrozen).toBe(true);
  } finally {
    network.thaw();
    await lock.release();
  }
}, 15_000);

it('is held for as long as its holder is heard', async () => {
  const lock = (await SessionLock.tryTake(urlBy(server.port), 'heard'))!;
  expect(await SessionLock.tryTake(urlBy(server.port), 'heard')).toBeNull();
  expect(lock.held).toBe(true);
  await lock.release();
  expect(lock.held).toBe(false);
  const again = (await SessionLock.tryTake(urlBy(server.port), 'heard'))!;
  await again.release();
});
