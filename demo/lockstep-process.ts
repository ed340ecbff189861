import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort, PostgresCluster } from '../src/storage/embedded/postgres-cluster.js';
import { Api } from './api.js';
import type { Stage } from './stage.js';

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));
const READY_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 15_000;

/** Lockstep as its users run it: a process of its own, reached over HTTP only. */
export class LockstepProcess {
  private constructor(
    private readonly child: ChildProcess,
    readonly logFile: string,
    readonly url: string,
    readonly token: string,
  ) {}

  static async start(stage: Stage): Promise<LockstepProcess> {
    const [port, token] = [await freePort(), randomBytes(18).toString('base64url')];
    const [dataDir, logFile] = [join(stage.folder, 'lockstep'), join(stage.folder, 'lockstep.log')];
    const environment = { ...process.env, DATABASE_URL: '', HOST: '127.0.0.1', PORT: String(port) };
    const log = openSync(logFile, 'a', 0o600);
    // The shell's stdin is a pipe from us: when we end, however that happens, Lockstep is told to end too.
    const child = spawn('/bin/sh', ['-c', WATCHED_START, 'sh', process.execPath, MAIN], {
      stdio: ['pipe', log, log],
      // A group of its own keeps a terminal's Ctrl-C from stopping it before the writers.
      detached: true,
      env: { ...environment, LOCKSTEP_DATA_DIR: dataDir, LOCKSTEP_ADMIN_TOKEN: token },
    });
    closeSync(log);
    const lockstep = new LockstepProcess(child, logFile, `http://127.0.0.1:${port}`, token);
    stage.onClose(async () => {
      await lockstep.stop();
      // Its own database outlives a Lockstep that had to be killed.
      await new PostgresCluster({ major: 18, dataDir: join(dataDir, 'state'), user: '', password: '' }).stop(
        'immediate',
      );
    });
    await lockstep.ready();
    return lockstep;
  }

  get api(): Api {
    return new Api(this.url, this.token);
  }

  /** The end of its log, for when it does not do what it should. */
  logTail(): string {
    return readFileSync(this.logFile, 'utf8').split('\n').slice(-12).join('\n');
  }

  private get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  private async ready(): Promise<void> {
    const deadline = Date.now() + READY_WITHIN_MS;
    for (;;) {
      const answer = await fetch(`${this.url}/health/ready`).catch(() => null);
      if (answer?.ok) return;
      if (this.ended || Date.now() > deadline) throw new Error(`Lockstep did not get ready:\n${this.logTail()}`);
      await delay(50);
    }
  }

  /** Closing the pipe asks for a graceful end; the shell kills what does not end in time. */
  private async stop(): Promise<void> {
    this.child.stdin?.destroy();
    const deadline = Date.now() + STOP_WITHIN_MS;
    while (!this.ended && Date.now() < deadline) await delay(20);
  }
}

/** Runs the command, waits for end of input in the background, then ends the command. */
const WATCHED_START = `exec 3<&0 </dev/null
"$@" 3<&- & child=$!
{ cat <&3 >/dev/null; kill -TERM $child 2>/dev/null
  for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $child 2>/dev/null || exit; sleep 1; done
  kill -KILL $child 2>/dev/null; } &
watcher=$!
exec 3<&-
wait $child
status=$?
kill $watcher 2>/dev/null
exit $status`;
