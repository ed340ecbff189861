// One server of each major that has binaries here, for all specs of a test run to share.
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ROOT } from './ensure-build.mjs';

const MAJORS = [13, 14, 15, 16, 17, 18];

/** Majors whose binaries npm did not install here. */
export async function unavailableMajors() {
  const { packagedBinaries } = await import('../dist/src/storage/embedded/installation.js');
  return MAJORS.filter((major) => packagedBinaries(major) === null);
}

/**
 * Starts the servers in `folder`; they also end when this process does. Beside them lie templates, of which specs copy
 * further ones: `template<major>` of a server nobody has started yet, `service` of the service's data folder.
 */
export async function startFleet(folder) {
  const { packagedBinaries } = await import('../dist/src/storage/embedded/installation.js');
  const { freePort, PostgresCluster } = await import('../dist/src/storage/embedded/postgres-cluster.js');
  const shape = JSON.parse(readFileSync(join(ROOT, 'test', 'support', 'fleet-settings.json'), 'utf8'));
  const clusters = [];
  const ports = {};
  try {
    for (const major of MAJORS) {
      if (packagedBinaries(major) === null) continue;
      const cluster = new PostgresCluster({ major, dataDir: join(folder, `pg${major}`), ...shape });
      await cluster.create();
      execFileSync('cp', ['-a', join(folder, `pg${major}`), join(folder, `template${major}`)]);
      ports[major] = await freePort();
      await cluster.start({ port: ports[major], diesWithParent: true });
      clusters.push(cluster);
    }
  } catch (error) {
    await Promise.all(clusters.map((cluster) => cluster.stop('immediate')));
    throw error;
  }
  const stop = () => Promise.all(clusters.map((cluster) => cluster.stop('immediate')));
  try {
    await makeServiceTemplate(join(folder, 'service'), freePort);
  } catch (error) {
    await stop();
    throw error;
  }
  return { ports, stop };
}

/** The service's data folder as its first start makes it: with its database, migrated, and its keys. */
async function makeServiceTemplate(dataDir, freePort) {
  // Somebody else may take the port between its choice and its use.
  for (let attempt = 1; ; attempt++) {
    const told = await startAndStop(dataDir, await freePort());
    if (told === null) return;
    if (attempt === 3 || !told.includes('EADDRINUSE')) throw new Error(`the service does not start: ${told}`);
  }
}

/** What it said where it did not become ready; null: it did. */
async function startAndStop(dataDir, port) {
  const service = spawn(process.execPath, [join(ROOT, 'dist', 'src', 'main.js')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      HOST: '127.0.0.1',
      PORT: String(port),
      LOCKSTEP_DATA_DIR: dataDir,
      LOCKSTEP_ADMIN_TOKEN: randomBytes(18).toString('base64url'),
    },
  });
  let said = '';
  for (const stream of [service.stdout, service.stderr]) {
    stream.on('data', (text) => (said = `${said}${text}`.slice(-2000)));
  }
  const ended = once(service, 'exit');
  const deadline = Date.now() + 120_000;
  while (!(await globalThis.fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => null))?.ok) {
    if (service.exitCode !== null || Date.now() > deadline) {
      service.kill('SIGKILL');
      return `exit code ${service.exitCode}; ${said}`;
    }
    await delay(50);
  }
  service.kill('SIGTERM');
  await ended;
  return null;
}
