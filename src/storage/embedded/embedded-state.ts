import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { secretFile } from '../secret-file.js';
import { FolderLock } from '../folder-lock.js';
import { packagedBinaries, runtimeDirFor } from './installation.js';
import { freePort, PostgresCluster } from './postgres-cluster.js';
import { accountCanReach, serverAccount } from './server-account.js';

const STATE_MAJOR = 18;
const STATE_USER = 'lockstep';
const STATE_DATABASE = 'postgres';

/** Lockstep's own PostgreSQL when no DATABASE_URL is given: made on first start, found again on the next. */
export class EmbeddedState {
  private constructor(
    private readonly cluster: PostgresCluster,
    private readonly lock: FolderLock,
    readonly url: string,
  ) {}

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
      const home = accountCanReach(account, dataDir) ? dataDir : runtimeDirFor(dataDir);
      if (home !== dataDir) mkdirSync(home, { recursive: true, mode: 0o711 });
      writeFileSync(join(dataDir, 'state.json'), `${JSON.stringify({ dataDir: join(home, 'state') })}\n`);
      const password = secretFile(join(dataDir, 'state-password'), () => randomBytes(24).toString('base64url'));
      const cluster = new PostgresCluster({
        major: STATE_MAJOR,
        dataDir: join(home, 'state'),
        user: STATE_USER,
        password,
        settings: { max_connections: '60', shared_buffers: '32MB', log_min_messages: 'warning' },
        initdbArgs: ['--data-checksums'],
      });
      const port = await running(cluster);
      return new EmbeddedState(
        cluster,
        lock,
        `postgresql://${STATE_USER}:${encodeURIComponent(password)}@127.0.0.1:${port}/${STATE_DATABASE}`,
      );
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** Stops the server and frees the folder; part of a graceful shutdown only. */
  async close(): Promise<void> {
    await this.cluster.stop();
    this.lock.release();
  }
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
