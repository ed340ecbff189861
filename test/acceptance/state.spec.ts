import { afterEach, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PostgresCluster } from '../../src/storage/embedded/postgres-cluster.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { TestServer } from '../support/postgres-fleet.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'src', 'main.js');

function stateCluster(dataDir: string): PostgresCluster {
  return new PostgresCluster({ major: 18, dataDir, user: '', password: '' });
}

/** For a start that is refused. */
function startOn(dataDir: string) {
  return spawnSync(process.execPath, [MAIN], {
    env: { PATH: process.env.PATH, PORT: '0', LOCKSTEP_DATA_DIR: dataDir },
    encoding: 'utf8',
    timeout: 30_000,
  });
}

describe('embedded state', () => {
  let lockstep: Lockstep;
  afterEach(() => lockstep.dispose());

  it('outlives a kill -9 and is found again; killed too, it recovers; a clean stop ends it', async () => {
    lockstep = await Lockstep.start({ firstStart: true });
    const state = stateCluster(join(lockstep.dataDir, 'state'));
    const made = await lockstep.ok<{ id: string }>('POST', '/v1/tokens', { name: 'kept', scope: 'read' });
    const first = (await state.running())!;

    await lockstep.kill();
    expect((await state.running())?.pid).toBe(first.pid);
    await lockstep.launch();
    expect((await state.running())?.pid).toBe(first.pid);

    await lockstep.kill();
    await state.stop('immediate');
    await lockstep.launch();
    const tokens = await lockstep.ok<{ items: { id: string }[] }>('GET', '/v1/tokens');
    expect(tokens.items.map(({ id }) => id)).toContain(made.id);

    await lockstep.kill('SIGTERM');
    expect(await state.running()).toBeNull();
    expect(existsSync(join(lockstep.dataDir, 'lock'))).toBe(false);
  }, 120_000);

  it('refuses a second Lockstep on the same folder, and says which one has it', async () => {
    lockstep = await Lockstep.start();
    const second = startOn(lockstep.dataDir);
    expect(second.status).toBe(1);
    expect(second.stderr).toContain(`another Lockstep (pid ${lockstep.pid}) is using`);
    expect((await lockstep.request('GET', '/health/ready')).status).toBe(200);
  }, 60_000);

  const asRoot = process.getuid?.() === 0 ? it : it.skip;
  asRoot(
    '(root only) keeps the server where its account can reach it when the folder is private',
    async () => {
      const secret = mkdtempSync(join(tmpdir(), 'lockstep-private-'));
      expect(statSync(secret).mode & 0o777).toBe(0o700);
      const dataDir = join(secret, 'data');
      mkdirSync(dataDir);
      lockstep = await Lockstep.start({ dataDir });
      const pointer = JSON.parse(readFileSync(join(dataDir, 'state.json'), 'utf8')) as { dataDir: string };
      try {
        expect(pointer.dataDir).toMatch(/^\/var\/lib\/lockstep\/[0-9a-f]+\/state$/);
        expect(existsSync(join(dataDir, 'secret-key'))).toBe(true);
        await lockstep.kill();
        await lockstep.launch();
        const made = await lockstep.ok<{ id: string }>('POST', '/v1/tokens', { name: 'kept', scope: 'read' });
        await lockstep.kill('SIGTERM');
        expect(await stateCluster(pointer.dataDir).running()).toBeNull();

        // Reachable now, but that is where its state is.
        chmodSync(secret, 0o755);
        await lockstep.launch();
        const tokens = await lockstep.ok<{ items: { id: string }[] }>('GET', '/v1/tokens');
        expect(tokens.items.map(({ id }) => id)).toContain(made.id);
        await lockstep.kill('SIGTERM');
        chmodSync(secret, 0o700);

        rmSync(dataDir, { recursive: true });
        expect(startOn(dataDir).stderr).toMatch(/holds the state of an earlier Lockstep, whose password is gone/);
      } finally {
        await lockstep.kill();
        await stateCluster(pointer.dataDir).stop('immediate');
        rmSync(dirname(pointer.dataDir), { recursive: true, force: true });
        rmSync(secret, { recursive: true, force: true });
      }
    },
    120_000,
  );

  it('answers live at once, ready when it is', async () => {
    lockstep = await Lockstep.start();
    await lockstep.kill();
    const launching = lockstep.launch();
    const live = await eventually(() => fetch(`${lockstep.url}/health/live`), { within: 20_000, every: 10 });
    expect(live.status).toBe(200);
    // Longer than those who keep connections: one that is reused is not closed at the same time.
    expect(live.headers.get('keep-alive')).toBe('timeout=75');
    await launching;
    expect(await lockstep.ok('GET', '/health/ready')).toEqual({ status: 'ok', checks: { state: 'ok', engine: 'ok' } });
  }, 60_000);

  it('starts its own database again when that has ended, and serves requests again', async () => {
    lockstep = await Lockstep.start();
    const state = stateCluster(join(lockstep.dataDir, 'state'));
    const { port } = (await state.running())!;
    await state.stop('immediate');
    expect((await lockstep.request('GET', '/health/ready')).status).toBe(503);
    await eventually(async () => (await lockstep.request('GET', '/health/ready')).status === 200, { within: 30_000 });
    expect((await state.running())?.port).toBe(port);
    expect((await lockstep.request('GET', '/v1/servers')).status).toBe(200);
  }, 60_000);
});

it('two instances start at once on a database that holds nothing yet', async () => {
  const server = await TestServer.shared(18);
  const { host, port, user, password } = server;
  const database = await server.freshDatabase('state_race');
  const options = {
    databaseUrl: `postgresql://${user}:${password}@${host}:${port}/${database}`,
    environment: {
      LOCKSTEP_SECRET_KEY: randomBytes(32).toString('base64'),
      LOCKSTEP_ADMIN_TOKEN: 'the-same-admin-token',
    },
  };
  const started = await Promise.allSettled([1, 2].map(() => Lockstep.start(options)));
  for (const start of started) if (start.status === 'fulfilled') await start.value.dispose();
  await server.stop();
  expect(started.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
}, 120_000);
