import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PostgresCluster } from '../../src/storage/embedded/postgres-cluster.js';
import { freePort } from '../../src/storage/embedded/postgres-cluster.js';
import { eventually } from './eventually.js';

const ROOT = join(import.meta.dirname, '..', '..');
const READY_WITHIN_MS = 60_000;

export interface Answer<T> {
  status: number;
  body: T;
  headers: Headers;
}

export interface LockstepOptions {
  /** Shared state of several instances; unset: embedded. */
  databaseUrl?: string;
  /** For a second life on the same state. */
  dataDir?: string;
  environment?: Record<string, string>;
  /** Where that is what the test is about: nothing is there yet. */
  firstStart?: boolean;
}

/** The service as a process of its own, as its users run it: for crashes, take-over and the whole path. */
export class Lockstep {
  readonly token: string;
  private child: ChildProcess | null = null;
  private port = 0;
  private logFile: string;

  private constructor(
    readonly folder: string,
    private readonly options: LockstepOptions,
    token?: string,
  ) {
    this.token = token ?? options.environment?.LOCKSTEP_ADMIN_TOKEN ?? randomBytes(18).toString('base64url');
    this.logFile = join(folder, 'lockstep.log');
  }

  static async start(options: LockstepOptions = {}): Promise<Lockstep> {
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-service-'));
    chmodSync(folder, 0o711);
    const lockstep = new Lockstep(folder, options);
    await lockstep.launch();
    return lockstep;
  }

  /** Another instance with the same token, on the same shared state. */
  async sibling(environment: Record<string, string> = {}): Promise<Lockstep> {
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-service-'));
    const other = new Lockstep(
      folder,
      { ...this.options, environment: { ...this.options.environment, ...environment } },
      this.token,
    );
    await other.launch();
    return other;
  }

  /** Starts the process (again) and waits until it is ready. */
  async launch(environment: Record<string, string> = {}): Promise<void> {
    if (this.options.databaseUrl === undefined) this.copyTemplate();
    for (let attempt = 1; ; attempt++) {
      await this.spawn(environment);
      try {
        await eventually(async () => this.exited || (await this.isReady()), { within: READY_WITHIN_MS, every: 50 });
      } catch (error) {
        await this.kill();
        throw error;
      }
      if (!this.exited) return;
      const tail = this.logTail();
      // Somebody else took the port between its choice and its use.
      if (attempt === 3 || !tail.includes('EADDRINUSE')) throw new Error(`Lockstep ended at start:\n${tail}`);
    }
  }

  private async spawn(environment: Record<string, string>): Promise<void> {
    this.port = await freePort();
    const log = openSync(this.logFile, 'a', 0o600);
    this.child = spawn(process.execPath, [join(ROOT, 'dist', 'src', 'main.js')], {
      stdio: ['ignore', log, log],
      cwd: this.folder,
      env: {
        PATH: process.env.PATH,
        HOME: this.folder,
        HOST: '127.0.0.1',
        PORT: String(this.port),
        LOCKSTEP_DATA_DIR: this.dataDir,
        LOCKSTEP_ADMIN_TOKEN: this.token,
        LOCKSTEP_FAILPOINTS: `file:${this.failpointFile}`,
        ...(this.options.databaseUrl === undefined ? {} : { DATABASE_URL: this.options.databaseUrl }),
        ...this.options.environment,
        ...environment,
      },
    });
    closeSync(log);
  }

  /** Asked with its token: on a port that another service took first, that one would be ready as well. */
  private async isReady(): Promise<boolean> {
    if ((await fetch(`${this.url}/health/ready`)).status !== 200) return false;
    return (await this.request('GET', '/v1/servers?limit=1')).status === 200;
  }

  /**
   * From now on, and in its next lives, it ends, waits or fails at these places and at no others:
   * `upgrade.fence.acted=kill`. A start takes seconds; this takes none.
   */
  arm(...failpoints: string[]): void {
    // By rename: whoever reads it meanwhile sees the old list or the new one.
    writeFileSync(`${this.failpointFile}.new`, failpoints.join(','));
    renameSync(`${this.failpointFile}.new`, this.failpointFile);
  }

  private get failpointFile(): string {
    return join(this.folder, 'failpoints');
  }

  /** What its first start would do is done already, in a folder of which this one becomes a copy. */
  private copyTemplate(): void {
    const templates = process.env.LOCKSTEP_TEST_TEMPLATES;
    if (
      templates === undefined ||
      this.options.firstStart ||
      this.options.dataDir !== undefined ||
      existsSync(this.dataDir)
    )
      return;
    execFileSync('cp', ['-a', join(templates, 'service'), this.dataDir]);
    writeFileSync(join(this.dataDir, 'state.json'), JSON.stringify({ dataDir: join(this.dataDir, 'state') }));
  }

  get dataDir(): string {
    return this.options.dataDir ?? join(this.folder, 'data');
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get exited(): boolean {
    return this.child === null || this.child.exitCode !== null || this.child.signalCode !== null;
  }

  get signal(): NodeJS.Signals | null {
    return this.child?.signalCode ?? null;
  }

  /** Null while it runs, and when a signal ended it. */
  get exitCode(): number | null {
    return this.child?.exitCode ?? null;
  }

  get pid(): number {
    return this.child!.pid!;
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  logTail(): string {
    return this.log().split('\n').slice(-20).join('\n');
  }

  async request<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<T>> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    });
    const text = await response.text();
    const json = (response.headers.get('content-type') ?? '').includes('json');
    return { status: response.status, body: (json ? JSON.parse(text) : text) as T, headers: response.headers };
  }

  /** The body of a request that must succeed. */
  async ok<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.request<T>(method, path, body);
    if (answer.status >= 400) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 2000)}`);
    }
    return answer.body;
  }

  /** Waits for the process to end by itself, for example at a failpoint. */
  async ended(within: number): Promise<void> {
    await eventually(() => this.exited, { within });
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.exited) return;
    this.child!.kill(signal);
    await eventually(() => this.exited, { within: 30_000 });
  }

  /** Ends the process and its embedded database, whatever state they are in. */
  async dispose(): Promise<void> {
    await this.kill();
    if (this.options.databaseUrl === undefined) {
      const state = new PostgresCluster({ major: 18, dataDir: join(this.dataDir, 'state'), user: '', password: '' });
      await state.stop('immediate');
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
