import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ConnectionTarget } from '../src/postgres/connection.js';

const run = promisify(execFile);

/** Why the peer cannot be measured here; null when it can. */
export async function unusable(): Promise<string | null> {
  try {
    const { stdout, stderr } = await run('pgcopydb', ['help']);
    if (/^\s+\+ compare\b/m.test(stdout + stderr)) return null;
    const version = await run('pgcopydb', ['version']);
    const number = /version (\S+)/.exec(version.stdout + version.stderr)?.[1] ?? 'installed';
    return `pgcopydb ${number} has no "compare data"`;
  } catch {
    return 'pgcopydb is not installed';
  }
}

/** Runs the peer's comparison of two databases. */
export async function compareData(source: ConnectionTarget, target: ConnectionTarget): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-bench-peer-'));
  try {
    await run('pgcopydb', ['compare', 'data', '--dir', folder, '--source', uri(source), '--target', uri(target)]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function uri({ host, port, user, password, database }: ConnectionTarget): string {
  return `postgres://${user}:${password}@${host}:${port}/${database}`;
}
