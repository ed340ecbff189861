import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionTarget } from '../../src/postgres/connection.js';
import { Session } from '../../src/postgres/session.js';
import { identifier } from '../../src/postgres/quoting.js';
import { packagedBinaries } from '../../src/storage/embedded/installation.js';
import { freePort, PostgresCluster } from '../../src/storage/embedded/postgres-cluster.js';
import { cloneCluster } from './clone-cluster.js';
import { createOwnerLogin, handOverCreations, OWNER_LOGIN } from './owner-login.js';

/** Durability is not under test, and short-lived servers should be cheap; scripts/fleet.mjs reads the same file. */
const FLEET = JSON.parse(readFileSync(join(import.meta.dirname, 'fleet-settings.json'), 'utf8')) as {
  user: string;
  password: string;
  walSegmentMiB: number;
  settings: Record<string, string>;
};

/** Majors that have binaries on this platform, ascending. */
export const AVAILABLE_MAJORS = [13, 14, 15, 16, 17, 18].filter((major) => packagedBinaries(major) !== null);

/** Of those, the ones on which the login that the service gets creates subscriptions: up to 15 only superusers do. */
export const SUBSCRIBER_MAJORS = AVAILABLE_MAJORS.filter((major) => OWNER_LOGIN === null || major >= 16);

/** A real PostgreSQL server a test started, or shares with the other specs of the run. */
export class TestServer {
  private constructor(
    readonly major: number,
    readonly port: number,
    private readonly cluster: PostgresCluster | null,
    private readonly folder: string | null,
  ) {}

  readonly host = '127.0.0.1';
  /** What the service logs in with. The test's own sessions are the superuser's in any case. */
  readonly user = OWNER_LOGIN?.user ?? FLEET.user;
  readonly password = OWNER_LOGIN?.password ?? FLEET.password;

  /** A server of the test's own: for what changes cluster-wide state. Stop it in afterAll. */
  static async start(major: number, settings: Record<string, string> = {}): Promise<TestServer> {
    const folder = mkdtempSync(join(tmpdir(), `lockstep-test-${major}-`));
    chmodSync(folder, 0o711);
    const cluster = new PostgresCluster({
      major,
      dataDir: join(folder, 'pg'),
      user: FLEET.user,
      password: FLEET.password,
      walSegmentMiB: FLEET.walSegmentMiB,
      settings: { ...FLEET.settings, ...settings },
    });
    const templates = process.env.LOCKSTEP_TEST_TEMPLATES;
    if (templates === undefined) await cluster.create();
    else cloneCluster(join(templates, `template${major}`), join(folder, 'pg'), settings);
    return TestServer.launch(major, cluster, folder);
  }

  private static async launch(major: number, cluster: PostgresCluster, folder: string): Promise<TestServer> {
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      try {
        await cluster.start({ port, diesWithParent: true });
      } catch (error) {
        if (attempt === 3) throw error;
        continue;
      }
      return new TestServer(major, port, cluster, folder).withLogin();
    }
  }

  /** A standby of it that streams from a slot of it. This one, which is of the test's own, is stopped for a moment. */
  async standby(slot: string, settings: Record<string, string> = {}): Promise<TestServer> {
    const folder = mkdtempSync(join(tmpdir(), `lockstep-test-${this.major}-`));
    chmodSync(folder, 0o711);
    const dataDir = join(folder, 'pg');
    const primary = this.cluster!;
    await primary.stop();
    execFileSync('cp', ['-a', primary.options.dataDir, dataDir]);
    await primary.start({ port: this.port, diesWithParent: true });
    const { host, port } = this;
    const { user, password } = FLEET;
    const conninfo = `host=${host} port=${port} user=${user} password=${password} dbname=postgres`;
    const lines = Object.entries({ primary_conninfo: conninfo, primary_slot_name: slot, ...settings });
    appendFileSync(join(dataDir, 'postgresql.conf'), lines.map(([name, value]) => `${name} = '${value}'\n`).join(''));
    writeFileSync(join(dataDir, 'standby.signal'), '');
    // A base backup holds no slots.
    for (const name of readdirSync(join(dataDir, 'pg_replslot'))) {
      rmSync(join(dataDir, 'pg_replslot', name), { recursive: true });
    }
    const cluster = new PostgresCluster({ major: this.major, dataDir, user, password });
    return TestServer.launch(this.major, cluster, folder);
  }

  /**
   * The server of that major shared by the whole run (started by `npm test`), else one of this file's own.
   * Use your own databases in it, and nothing cluster-wide.
   */
  static async shared(major: number): Promise<TestServer> {
    const ports = JSON.parse(process.env.LOCKSTEP_TEST_FLEET ?? '{}') as Record<string, number>;
    const port = ports[major];
    return port === undefined ? TestServer.start(major) : new TestServer(major, port, null, null).withLogin();
  }

  /** A standby has its primary's. */
  private async withLogin(): Promise<this> {
    if (OWNER_LOGIN === null) return this;
    await this.withSession('postgres', async (session) => {
      const { standby } = await session.row<{ standby: boolean }>('select pg_is_in_recovery() as standby');
      if (!standby) await createOwnerLogin(session);
    });
    return this;
  }

  target(database = 'postgres'): ConnectionTarget {
    const { host, port, user, password } = this;
    return { host, port, user, password, database, tls: { mode: 'disable' } };
  }

  open(database = 'postgres'): Promise<Session> {
    const { user, password } = FLEET;
    // Making a slot waits for every transaction of the shared server, also for those of other specs.
    return Session.open({ ...this.target(database), user, password }, { purpose: 'test', lockTimeoutMs: 25_000 });
  }

  async withSession<T>(database: string, work: (session: Session) => Promise<T>): Promise<T> {
    const session = await this.open(database);
    try {
      return await work(session);
    } finally {
      await session.close();
    }
  }

  /** Runs statements in a fresh session whose search_path is `public`. */
  async run(database: string, sql: string): Promise<void> {
    await this.withSession(database, async (session) => {
      await session.execute('set search_path = public');
      await session.execute(sql);
    });
  }

  /** A new database of that name, dropping an older one. */
  async freshDatabase(name: string): Promise<string> {
    const owner = OWNER_LOGIN === null ? '' : ` owner ${identifier(OWNER_LOGIN.user)}`;
    await this.withSession('postgres', async (session) => {
      await session.execute(`drop database if exists ${identifier(name)} with (force)`);
      await session.execute(`create database ${identifier(name)}${owner}`);
    });
    if (OWNER_LOGIN !== null) await this.withSession(name, handOverCreations);
    return name;
  }

  /** What a server of the test's own has logged. */
  log(): string {
    return readFileSync(this.cluster!.logFile, 'utf8');
  }

  /** A crash: no checkpoint, sessions cut. */
  async crash(): Promise<void> {
    await this.cluster?.stop('immediate');
  }

  async restart(): Promise<void> {
    await this.cluster?.stop();
    await this.cluster?.start({ port: this.port, diesWithParent: true });
  }

  /** Stops for a moment, for a copy of all its files. */
  async backUp(): Promise<void> {
    await this.cluster!.stop();
    execFileSync('cp', ['-a', join(this.folder!, 'pg'), join(this.folder!, 'backup')]);
    await this.cluster!.start({ port: this.port, diesWithParent: true });
  }

  /** What was written since the backup is lost. */
  async restoreBackup(): Promise<void> {
    await this.cluster!.stop('immediate');
    const data = join(this.folder!, 'pg');
    rmSync(data, { recursive: true });
    execFileSync('cp', ['-a', join(this.folder!, 'backup'), data]);
    await this.cluster!.start({ port: this.port, diesWithParent: true });
  }

  /** As after a failover to a standby that lacked nothing: a restart that goes on on the next timeline. */
  async toNextTimeline(): Promise<void> {
    await this.cluster!.stop();
    writeFileSync(join(this.folder!, 'pg', 'standby.signal'), '');
    await this.cluster!.start({ port: this.port, diesWithParent: true });
    await this.run('postgres', 'select pg_promote()');
  }

  /** Stops a server of the test's own; a shared one is left to the run. */
  async stop(): Promise<void> {
    await this.cluster?.stop('immediate');
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }
}
