// `npm run soak`: the volumes that the suite holds at small size. An argument narrows it: `npm run soak -- verification`.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './ensure-build.mjs';

/** Of logical management. */
const LOGICAL = [
  ...[
    'publications',
    'publication-drop',
    'replication-objects',
    'replication-slots',
    'slot-advance',
    'slots-of-others',
  ],
  ...['subscription-creation', 'subscription-alterations', 'subscription-states', 'stuck-subscription', 'left-slots'],
  ...['orphaned-slots', 'tables-sequences', 'odd-names', 'dry-run-executed', 'link-agreement', 'link-drift'],
  ...['link-drift-rules', 'link-drift-partitions', 'link-drift-security', 'silent-publisher', 'publisher-killed'],
  'subscription-drop-crash',
];

const parts = {
  verification: { pattern: 'test/database/verification', environment: { LOCKSTEP_SOAK_RUNS: '100' } },
  crash: { pattern: 'test/acceptance/upgrade-(crash|retry)', environment: { LOCKSTEP_SOAK: '1' } },
  preflight: { pattern: 'test/database/preflight-scale', environment: { LOCKSTEP_SOAK: '1' } },
  'least-privilege': { pattern: 'test/acceptance/upgrade-least-privilege', environment: { LOCKSTEP_SOAK: '1' } },
  'logical-owner': {
    pattern: `test/acceptance/(${LOGICAL.join('|')})\\.spec`,
    environment: { LOCKSTEP_TEST_LOGIN: 'owner' },
    // Specs are named by their paths, and up to 15 only superusers create subscriptions.
    tests: '^(?!.* -> 1[345]\\b)',
  },
};
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in parts));
if (unknown.length > 0) {
  console.error(`unknown part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}
let failed = false;
for (const [name, { pattern, environment, tests }] of Object.entries(parts)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.log(`soak: ${name}`);
  const options = ['--testTimeout=7200000', ...(tests === undefined ? [] : [`--testNamePattern=${tests}`])];
  const run = spawn(process.execPath, [join(ROOT, 'scripts', 'test.mjs'), ...options, pattern], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  const status = await new Promise((resolve) => run.once('close', (code) => resolve(code ?? 1)));
  failed ||= status !== 0;
}
process.exit(failed ? 1 : 0);
