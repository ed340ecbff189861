// One server of each major that has binaries here, for all specs of a test run to share.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './ensure-build.mjs';

/** Starts the servers in `folder`; they also end when this process does. */
export async function startFleet(folder) {
  const { packagedBinaries } = await import('../dist/src/storage/embedded/installation.js');
  const { freePort, PostgresCluster } = await import('../dist/src/storage/embedded/postgres-cluster.js');
  const shape = JSON.parse(readFileSync(join(ROOT, 'test', 'support', 'fleet-settings.json'), 'utf8'));
  const clusters = [];
  const ports = {};
  try {
    for (const major of [13, 14, 15, 16, 17, 18]) {
      if (packagedBinaries(major) === null) continue;
      const cluster = new PostgresCluster({ major, dataDir: join(folder, `pg${major}`), ...shape });
      await cluster.create();
      // For further servers of a test's own.
      execFileSync('cp', ['-a', join(folder, `pg${major}`), join(folder, `template${major}`)]);
      ports[major] = await freePort();
      await cluster.start({ port: ports[major], diesWithParent: true });
      clusters.push(cluster);
    }
  } catch (error) {
    await Promise.all(clusters.map((cluster) => cluster.stop('immediate')));
    throw error;
  }
  return { ports, stop: () => Promise.all(clusters.map((cluster) => cluster.stop('immediate'))) };
}
