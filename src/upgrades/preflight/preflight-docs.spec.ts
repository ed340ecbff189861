import { expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ALL_CHECKS } from './checks/all.js';

const DOCS = join(import.meta.dirname, '..', '..', '..', 'docs', 'preflight.md');
const REACHABLE = ['source-reachable', 'target-reachable'].map((name) => ({ name, severity: 'blocker' as const }));

it('explains every check once, with its severity, and none that is gone', () => {
  const rows = [...readFileSync(DOCS, 'utf8').matchAll(/^\| `([a-z0-9-]+)` +\| (\w+) +\| (.+?) +\|$/gm)];
  const documented = rows.map(([, name, severity]) => `${name} ${severity}`).sort();
  const existing = [...REACHABLE, ...ALL_CHECKS].map(({ name, severity }) => `${name} ${severity}`).sort();
  expect(documented).toEqual(existing);
  for (const [, name, , meaning] of rows) expect([name, meaning!.length > 10]).toEqual([name, true]);
});
