import { type ChildProcess, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import type { Writable } from 'node:stream';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Installation, installation } from './installation.js';
import { chownFor, type ServerAccount, serverAccount } from './server-account.js';

export interface ClusterOptions {
  major: number;
  /** Folder of the cluster; created when missing. Its parents must be reachable by the server account. */
  dataDir: string;
  /** Superuser created by initdb. */
  user: string;
  password: string;
  /** Extra `postgresql.conf` settings. */
  settings?: Record<string, string>;
  /** WAL segment size in MiB; small ones make many short-lived clusters cheap. */
  walSegmentMiB?: number;
  initdbArgs?: string[];
}

export interface StartOptions {
  port: number;
  /** Stop the server when this process ends, however it ends. For tests and the demo; state must outlive us. */
  diesWithParent?: boolean;
}

/** What `postmaster.pid` says about a running server. */
export interface RunningPostmaster {
  pid: number;
  port: number;
  ready: boolean;
}

/**
 * One PostgreSQL server made from the npm binaries: initdb, start, re-attach, stop. Lockstep's own state, the demo
 * and the tests all run their servers through it.
 */
export class PostgresCluster {
  private readonly account: ServerAccount = serverAccount();
  private readonly binaries: Installation;
  private lifeline: Writable | null = null;

  constructor(readonly options: ClusterOptions) {
    this.binaries = installation(options.major, this.account);
  }

  get logFile(): string {
    return `${this.options.dataDir}.log`;
  }

  get exists(): boolean {
    return existsSync(join(this.options.dataDir, 'PG_VERSION'));
  }

  /** Runs initdb into a side folder and renames it, so that a killed first start leaves nothing half made. */
  async create(): Promise<void> {
    const { dataDir, user, password } = this.options;
    const partial = `${dataDir}.init`;
    const passwordFile = `${dataDir}.pw`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(dirname(dataDir), { recursive: true, mode: 0o755 });
    mkdirSync(partial, { mode: 0o700 });
    writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
    this.own(partial);
    this.own(passwordFile);
    try {
      await this.run('initdb', [
        ...['-D', partial, '-U', user, '--pwfile', passwordFile, '-A', 'scram-sha-256', '-E', 'UTF8'],
        ...['--locale', 'C', '--no-sync'],
        ...(this.options.walSegmentMiB ? [`--wal-segsize=${this.options.walSegmentMiB}`] : []),
        ...(this.options.initdbArgs ?? []),
      ]);
      const lines = Object.entries({
        listen_addresses: '127.0.0.1',
        unix_socket_directories: '',
        ...this.options.settings,
      }).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
      appendFileSync(join(partial, 'postgresql.conf'), `\n${lines.join('\n')}\n`);
      renameSync(partial, dataDir);
    } finally {
      rmSync(passwordFile, { force: true });
      rmSync(partial, { recursive: true, force: true });
    }
  }

  /** Starts the server and waits until it accepts connections. Rejects with the end of its log when it does not. */
  async start({ port, diesWithParent = false }: StartOptions): Promise<void> {
    const { dataDir } = this.options;
    // initdb's default mode; the server refuses a folder that others can read.
    if (this.account.uid === null) chmodSync(dataDir, 0o700);
    const postgres = join(this.binaries.binDir, 'postgres');
    const args = ['-D', dataDir, '-p', String(port)];
    writeFileSync(this.logFile, '', { flag: 'a', mode: 0o600 });
    const log = openSync(this.logFile, 'a');
    let child: ChildProcess;
    try {
      // The watching shell's stdin is a pipe from us: it ends when we end, however that happens.
      child = diesWithParent
        ? spawn('/bin/sh', ['-c', WATCHED_START, 'sh', postgres, ...args], this.spawnOptions(['pipe', log, log]))
        : spawn(postgres, args, this.spawnOptions(['ignore', log, log]));
    } finally {
      closeSync(log);
    }
    let exited = false;
    child.once('exit', () => (exited = true));
    child.once('error', () => (exited = true));
    child.unref();
    // Held for the life of this process: when the pipe closes, the watching shell stops the server.
    this.lifeline = child.stdin;
    (child.stdin as unknown as { unref?: () => void } | null)?.unref?.();
    const deadline = Date.now() + 60_000;
    while (!(await this.running())?.ready) {
      if (exited || Date.now() > deadline) {
        throw new Error(`PostgreSQL ${this.options.major} did not start in ${dataDir}:\n${this.logTail()}`);
      }
      await delay(10);
    }
  }

  /** The live postmaster of this folder, or null. A pid file left by a crash names no live process. */
  async running(): Promise<RunningPostmaster | null> {
    const file = join(this.options.dataDir, 'postmaster.pid');
    let lines: string[];
    try {
      lines = readFileSync(file, 'utf8').split('\n');
    } catch {
      return null;
    }
    const pid = Number(lines[0]);
    if (!Number.isInteger(pid) || pid <= 1 || !isPostgresIn(pid, this.options.dataDir)) return null;
    return { pid, port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' };
  }

  /** `fast` ends sessions and writes a checkpoint; `immediate` is a crash. */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    const server = await this.running();
    if (!server) return;
    process.kill(server.pid, mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    const deadline = Date.now() + 30_000;
    while (processExists(server.pid)) {
      if (Date.now() > deadline) process.kill(server.pid, 'SIGQUIT');
      await delay(10);
    }
    this.lifeline?.destroy();
    this.lifeline = null;
  }

  logTail(): string {
    try {
      return readFileSync(this.logFile, 'utf8').split('\n').slice(-15).join('\n');
    } catch {
      return '(no log)';
    }
  }

  private own(path: string): void {
    const owner = chownFor(this.account);
    if (owner) chownSync(path, owner.uid, owner.gid);
  }

  private spawnOptions(stdio: ['ignore' | 'pipe', number, number]) {
    const owner = chownFor(this.account);
    // A group of its own keeps a terminal's Ctrl-C from stopping the server before its clients are done.
    return { stdio, detached: true, cwd: '/', env: this.environment(), ...owner };
  }

  private environment(): NodeJS.ProcessEnv {
    return { PATH: process.env.PATH, LANG: 'C', LC_ALL: 'C', TZ: 'UTC' };
  }

  private async run(program: string, args: string[]): Promise<void> {
    const child = spawn(join(this.binaries.binDir, program), args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: '/',
      env: this.environment(),
      ...chownFor(this.account),
    });
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    child.stderr.on('data', (data: Buffer) => (output += data.toString()));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`${program} failed (${code ?? 'killed'}): ${output.trim()}`);
  }
}

/** Runs the server, waits for end of input in the background, then stops the server fast. */
const WATCHED_START = `exec 3<&0 </dev/null
"$@" 3<&- & server=$!
{ cat <&3 >/dev/null; kill -INT $server 2>/dev/null; sleep 10; kill -QUIT $server 2>/dev/null; } &
watcher=$!
exec 3<&-
wait $server
status=$?
kill $watcher 2>/dev/null
exit $status`;

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Guards against a recycled pid: on Linux the process must really be a server on this folder. */
function isPostgresIn(pid: number, dataDir: string): boolean {
  if (!processExists(pid)) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(dataDir);
  } catch {
    return process.platform !== 'linux';
  }
}

/** A port that was free a moment ago. The caller retries when somebody else takes it first. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}
