// `npm run soak`: the volumes that the suite holds at small size. An argument narrows it: `npm run soak -- verification`.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './ensure-build.mjs';

/** Acceptance specs that are not of logical management, or make logins of their own. */
const OTHERS = [
  ...['upgrade-', 'verification', 'security', 'servers', 'state', 'operations', 'retention', 'input', 'examples'],
  ...['every-route', 'least-privilege'],
];

/** How many cases are drawn of what is tried with any. */
const DRAWN = { LOCKSTEP_SOAK_RUNS: process.env.LOCKSTEP_SOAK_RUNS ?? '100' };

const parts = {
  // Ends with status 0 only where nothing was lost, nothing twice, and both sides were equal.
  demo: { script: 'demo.mjs', options: ['--exit'] },
  verification: {
    pattern: 'test/database/verification',
    environment: { ...DRAWN, LOCKSTEP_REPAIR_ROUNDS: process.env.LOCKSTEP_REPAIR_ROUNDS ?? '5' },
  },
  options: { pattern: 'test/database/options', environment: DRAWN },
  publications: { pattern: 'test/database/publications-properties', environment: DRAWN },
  crash: { pattern: 'test/acceptance/upgrade-(crash|retry)', environment: { LOCKSTEP_SOAK: '1' } },
  preflight: { pattern: 'test/database/preflight-scale', environment: { LOCKSTEP_SOAK: '1' } },
  'least-privilege': { pattern: 'test/acceptance/upgrade-least-privilege', environment: { LOCKSTEP_SOAK: '1' } },
  'logical-owner': {
    pattern: `test/acceptance/(?!${OTHERS.join('|')})[^/]+\\.spec`,
    environment: { LOCKSTEP_TEST_LOGIN: 'owner' },
    // Specs are named by their paths, and up to 15 only superusers create subscriptions; an upgrade needs more.
    tests: '^(?!.*( -> 1[345]\\b|\\bon 1[345]\\b|an old subscriber|an upgrade’s))',
  },
};
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in parts));
if (unknown.length > 0) {
  console.error(`unknown part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}
let failed = false;
for (const [name, { script = 'test.mjs', pattern, environment, tests, ...part }] of Object.entries(parts)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.log(`soak: ${name}`);
  const named = tests === undefined ? [] : [`--testNamePattern=${tests}`];
  const options = part.options ?? ['--testTimeout=7200000', ...named, pattern];
  const run = spawn(process.execPath, [join(ROOT, 'scripts', script), ...options], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  const status = await new Promise((resolve) => run.once('close', (code) => resolve(code ?? 1)));
  failed ||= status !== 0;
}
process.exit(failed ? 1 : 0);
