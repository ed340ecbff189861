import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const STAMP = '.built';
const SOURCES = ['src', 'migrations', 'demo', 'bench', 'tsconfig.json', 'tsconfig.build.json', 'package.json'];

function newest(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function copyAssets(from, to) {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.isDirectory()) copyAssets(join(from, entry.name), join(to, entry.name));
    else if (entry.name.endsWith('.mjs')) {
      mkdirSync(to, { recursive: true });
      cpSync(join(from, entry.name), join(to, entry.name));
    }
  }
}

/** Compiles beside dist/ and swaps: whoever runs from dist/ meanwhile never finds it half there. */
export function build() {
  const started = new Date();
  const next = join(ROOT, `dist.next-${process.pid}`);
  const last = join(ROOT, `dist.last-${process.pid}`);
  try {
    const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
    const run = spawnSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', next], {
      cwd: ROOT,
      stdio: 'inherit',
    });
    if (run.status !== 0) throw new Error('the build failed');
    copyAssets(join(ROOT, 'src'), join(next, 'src'));
    writeFileSync(join(next, STAMP), '');
    utimesSync(join(next, STAMP), started, started);
    if (existsSync(join(ROOT, 'dist'))) renameSync(join(ROOT, 'dist'), last);
    renameSync(next, join(ROOT, 'dist'));
  } finally {
    rmSync(next, { recursive: true, force: true });
    rmSync(last, { recursive: true, force: true });
  }
}

/** Builds when dist/ is missing or older than a source. The runtime image has no compiler and ships dist/. */
export function ensureBuild() {
  if (!existsSync(join(ROOT, 'src'))) return;
  const built = statSync(join(ROOT, 'dist', STAMP), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (built >= Math.max(...SOURCES.map((name) => newest(join(ROOT, name))))) return;
  console.error('building dist/ ...');
  build();
}
