// Writes openapi/openapi.json, docs/errors.md and docs/options.md from the code; with --check says whether the committed files are current.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ensureBuild, ROOT } from './ensure-build.mjs';

ensureBuild();
const { exportOpenApi } = await import('../dist/src/openapi.js');
const { renderErrorDocs } = await import('../dist/src/problems/error-docs.js');
const { renderOptionDocs } = await import('../dist/src/postgres/ddl/options/option-docs.js');

const files = {
  'openapi/openapi.json': `${JSON.stringify(await exportOpenApi(), null, 2)}\n`,
  'docs/errors.md': renderErrorDocs(),
  'docs/options.md': renderOptionDocs(),
};
let stale = false;
for (const [name, content] of Object.entries(files)) {
  const path = join(ROOT, name);
  if (process.argv.includes('--check')) {
    let current = null;
    try {
      current = readFileSync(path, 'utf8');
    } catch {
      // Missing counts as stale.
    }
    if (current !== content) {
      console.error(`${name} is not current: run "npm run docs" and commit it`);
      stale = true;
    }
  } else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    console.log(`wrote ${name}`);
  }
}
process.exit(stale ? 1 : 0);
