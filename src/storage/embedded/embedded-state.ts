import { Logger } from '@nestjs/common';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { secretFile } from '../secret-file.js';
import { FolderLock } from '../folder-lock.js';
import { packagedBinaries, runtimeDirFor } from './installation.js';
import { freePort, PostgresCluster } from './postgres-cluster.js';
import { accountCanReach, type ServerAccount, serverAccount } from './server-account.js';

const STATE_MAJOR = 18;
const STATE_USER = 'lockstep';
const STATE_DATABASE = 'postgres';
const POINTER = 'state.json';
const WATCH_EVERY_MS = 2_000;

/** Lockstep's own PostgreSQL when no DATABASE_URL is given: made on first start, found again on the next. */
export class EmbeddedState {
  private readonly log = new Logger('embedded state');
  private readonly watch: NodeJS.Timeout;
  private starting: Promise<void> | null = null;

  private constructor(
    private readonly cluster: PostgresCluster,
    private readonly lock: FolderLock,
    private readonly port: number,
    readonly url: string,
  ) {
    this.watch = setInterval(() => void this.look(), WATCH_EVERY_MS).unref();
  }

  static async open(dataDir: string): Promise<EmbeddedState> {
    if (!packagedBinaries(STATE_MAJOR)) {
      throw new Error(
        `there is no embedded PostgreSQL for ${process.platform}-${process.arch}: set DATABASE_URL to a PostgreSQL 14 or newer`,
      );
    }
    const account = serverAccount();
    mkdirSync(dataDir, { recursive: true });
    // As root the server account must be able to pass through; the secrets beside it are 0600.
    if (account.uid !== null) passThrough(dataDir);
    const lock = FolderLock.take(dataDir);
    try {
      const state = stateFolder(dataDir, account);
      if (dirname(state) !== dataDir) mkdirSync(dirname(state), { recursive: true, mode: 0o711 });
      const passwordFile = join(dataDir, 'state-password');
      if (holdsCluster(state) && !existsSync(passwordFile)) {
        throw new Error(
          `${state} holds the state of an earlier Lockstep, whose password is gone with ${passwordFile}: put that file back, or remove ${state} to begin anew`,
        );
      }
      writeFileSync(join(dataDir, POINTER), `${JSON.stringify({ dataDir: state })}\n`);
      const password = secretFile(passwordFile, () => randomBytes(24).toString('base64url'));
      const cluster = new PostgresCluster({
        major: STATE_MAJOR,
        dataDir: state,
        user: STATE_USER,
        password,
        settings: { max_connections: '60', shared_buffers: '32MB', log_min_messages: 'warning' },
        initdbArgs: ['--data-checksums'],
      });
      const port = await running(cluster);
      return new EmbeddedState(
        cluster,
        lock,
        port,
        `postgresql://${STATE_USER}:${encodeURIComponent(password)}@127.0.0.1:${port}/${STATE_DATABASE}`,
      );
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** Stops the server and frees the folder; part of a graceful shutdown only. */
  async close(): Promise<void> {
    clearInterval(this.watch);
    await this.starting;
    await this.cluster.stop();
    this.lock.release();
  }

  /** Nobody else starts it again, for example after the kernel has ended it for want of memory. Never rejects. */
  private async look(): Promise<void> {
    if (this.starting || (await this.cluster.running()) || this.starting) return;
    this.log.warn('the embedded PostgreSQL has ended; starting it again');
    this.starting = this.cluster
      .start({ port: this.port })
      .catch((error: unknown) => this.log.error(error instanceof Error ? error.message : String(error)))
      .finally(() => (this.starting = null));
  }
}

/**
 * Where the cluster is or is to be made. One that the folder's pointer names is used wherever it is: what the account
 * can reach may have changed since it was made, and another one would know of nothing. Unless the folder is a copy, with
 * a cluster of its own, of the one the pointer was written for.
 */
function stateFolder(dataDir: string, account: ServerAccount): string {
  const [inside, outside] = [join(dataDir, 'state'), join(runtimeDirFor(dataDir), 'state')];
  const computed = accountCanReach(account, dataDir) ? inside : outside;
  const named = pointerOf(dataDir);
  if (named === null || named === computed || !holdsCluster(named)) return computed;
  if (named !== inside && named !== outside && holdsCluster(computed)) return computed;
  if (!accountCanReach(account, dirname(named))) {
    throw new Error(
      `the state of this Lockstep is in ${named}, which the account its PostgreSQL runs under cannot reach any more: let others pass through the folders above it (chmod o+x)`,
    );
  }
  return named;
}

/** Null where there is none, or half of one that a crash left. */
function pointerOf(dataDir: string): string | null {
  try {
    const { dataDir: named } = JSON.parse(readFileSync(join(dataDir, POINTER), 'utf8')) as { dataDir?: unknown };
    return typeof named === 'string' ? named : null;
  } catch {
    return null;
  }
}

function holdsCluster(folder: string): boolean {
  return existsSync(join(folder, 'PG_VERSION'));
}

function passThrough(dataDir: string): void {
  try {
    chmodSync(dataDir, 0o711);
  } catch {
    // Not ours to change: then the runtime folder is used.
  }
}

/** Re-attaches to a server that outlived its Lockstep, else starts it. Answers its port. */
async function running(cluster: PostgresCluster): Promise<number> {
  if (!cluster.exists) await cluster.create();
  const deadline = Date.now() + 60_000;
  for (let server = await cluster.running(); server; server = await cluster.running()) {
    if (server.ready) return server.port;
    if (Date.now() > deadline) throw new Error(`the embedded PostgreSQL is not getting ready:\n${cluster.logTail()}`);
    await delay(50);
  }
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    try {
      await cluster.start({ port });
      return port;
    } catch (error) {
      // The port may have been taken between the probe and the start.
      if (attempt === 3 || !readFileSync(cluster.logFile, 'utf8').includes('Address already in use')) throw error;
    }
  }
}
