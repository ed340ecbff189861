import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Holder {
  pid: number;
  /** Boot-relative start time of the process where the system tells it: guards against a recycled pid. */
  startTime: string | null;
}

/** Keeps a second Lockstep off the same data folder. Released by the process's end, however it ends. */
export class FolderLock {
  private constructor(private readonly path: string) {}

  /** Throws when a live process holds the folder. */
  static take(dataDir: string): FolderLock {
    const path = join(dataDir, 'lock');
    const mine = JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) } satisfies Holder);
    for (let attempt = 0; attempt < 10; attempt++) {
      try {
        writeFileSync(path, mine, { flag: 'wx', mode: 0o600 });
        return new FolderLock(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = readHolder(path);
      if (holder && isAlive(holder)) {
        throw new Error(
          `another Lockstep (pid ${holder.pid}) is using ${dataDir}; stop it, or give this one its own LOCKSTEP_DATA_DIR or a shared DATABASE_URL`,
        );
      }
      discardStale(path);
    }
    throw new Error(`could not lock ${dataDir}`);
  }

  release(): void {
    if (readHolder(this.path)?.pid === process.pid) rmSync(this.path, { force: true });
  }
}

/** Moves the stale file away first: of two starters only one moves it, and a live lock moved by mistake is put back. */
function discardStale(path: string): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const holder = readHolder(aside);
  if (holder && isAlive(holder)) renameSync(aside, path);
  else rmSync(aside, { force: true });
}

function readHolder(path: string): Holder | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch {
    return null;
  }
}

function isAlive(holder: Holder): boolean {
  if (holder.pid === process.pid) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return holder.startTime === null || holder.startTime === startTimeOf(holder.pid);
}

/** Field 22 of /proc/pid/stat; null where there is no /proc. The command in field 2 may hold spaces and brackets. */
function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
