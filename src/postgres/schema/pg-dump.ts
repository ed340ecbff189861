import { setTimeout as delay } from 'node:timers/promises';
import { MessageChannel, Worker } from 'node:worker_threads';
import { DatabaseError, type Client } from 'pg';
import { Problem } from '../../problems/problem.js';
import { connect, type ConnectionTarget } from '../connection.js';
import { withSession } from '../session.js';
import { translateError } from '../translate-error.js';
import { greetingFor, ServerRelay } from './server-relay.js';
import { cutText } from '../../shared/cut-text.js';

export interface SchemaDumpOptions {
  /** `pre-data`: everything up to table definitions; `post-data`: indexes, constraints, triggers, rules, policies. */
  section: 'pre-data' | 'post-data';
  /** Schemas left out besides Lockstep's own. */
  excludeSchemas?: string[];
  /** The whole dump must be done within this time; default two minutes. */
  deadlineMs?: number;
  signal?: AbortSignal;
}

const DEFAULT_DUMP_DEADLINE_MS = 120_000;
/** How long pg_dump waits for ACCESS SHARE on the tables while someone changes one of them. */
const LOCK_WAIT_MS = 15_000;
const LOCKSTEP_SCHEMA = 'lockstep';

type WorkerReport = { dump: string } | { failure: string };

/**
 * The schema of one database as SQL text, written by pg_dump 18 whatever the server's version (13 to 18). Publications and
 * subscriptions are left out; owners, privileges and comments are kept. Rejects with a Problem: the server's own error,
 * SERVER_TIMEOUT past the deadline, SERVER_UNREACHABLE when the connection drops; an aborted signal rejects with its reason.
 */
export async function dumpSchema(target: ConnectionTarget, options: SchemaDumpOptions): Promise<string> {
  options.signal?.throwIfAborted();
  const deadlineMs = options.deadlineMs ?? DEFAULT_DUMP_DEADLINE_MS;
  const where = `${target.host}:${target.port}/${target.database}`;
  const client = await connect(target, {
    purpose: 'schema dump',
    statementTimeoutMs: 0,
    connectTimeoutMs: Math.min(deadlineMs, 10_000),
  });
  const ended = new AbortController();
  const backendPid = (client as unknown as { processID: number }).processID;
  let relay: ServerRelay | undefined;
  let worker: Worker | undefined;
  let finished = false;
  try {
    const greeting = await greetingFor(client);
    relay = new ServerRelay(client);
    const { port1, port2 } = new MessageChannel();
    const flag = new SharedArrayBuffer(4);
    worker = new Worker(new URL('./pg-dump-worker.mjs', import.meta.url), {
      workerData: {
        port: port2,
        signal: flag,
        greeting,
        args: dumpArguments(options, Math.min(deadlineMs, LOCK_WAIT_MS)),
      },
      transferList: [port2],
      stdout: true,
      stderr: true,
      env: {},
      argv: [],
      execArgv: [],
    });
    const report = await Promise.race([
      finalReport(worker),
      relay.serve(port1, flag),
      refuseAfter(deadlineMs, where, ended.signal),
      refuseOnAbort(options.signal, ended.signal),
    ]);
    finished = true;
    if ('dump' in report) return report.dump;
    throw dumpFailure(report.failure, relay.lastError, where);
  } catch (error) {
    throw options.signal?.aborted ? error : translateError(error, where);
  } finally {
    ended.abort();
    await worker?.terminate();
    relay?.close();
    await closeQuietly(client, relay !== undefined);
    if (!finished) await endBackend(target, backendPid);
  }
}

function dumpArguments(options: SchemaDumpOptions, lockWaitMs: number): string[] {
  return [
    '--schema-only',
    '--no-publications',
    '--no-subscriptions',
    `--section=${options.section}`,
    `--lock-wait-timeout=${lockWaitMs}`,
    ...[LOCKSTEP_SCHEMA, ...(options.excludeSchemas ?? [])].map((name) => `--exclude-schema=${literalPattern(name)}`),
  ];
}

/** In pg_dump's patterns double quotes take away the meaning of every special character. */
function literalPattern(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function finalReport(worker: Worker): Promise<WorkerReport> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the pg_dump thread ended early with code ${code}`)));
  });
}

async function refuseAfter(ms: number, where: string, ended: AbortSignal): Promise<never> {
  await delay(ms, undefined, { signal: ended });
  throw new Problem('SERVER_TIMEOUT', `${where}: the schema dump was not done within ${ms} ms`);
}

function refuseOnAbort(signal: AbortSignal | undefined, ended: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    // An abort during the connection attempt fires no event any more.
    if (signal?.aborted) reject(signal.reason as Error);
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true, signal: ended });
  });
}

/** What pg_dump said, with the server's own error where there was one: its SQLSTATE decides the code. */
function dumpFailure(said: string, lastError: DatabaseError | null, where: string): Problem {
  const lines = said
    .replace(/^[^\n]*exit code \d+\. *\nError message: /, '')
    .replaceAll(/(?<!^)pg_dump: /g, '\npg_dump: ');
  if (lastError) return translateError(lastError, `${where}: schema dump`);
  return new Problem('SERVER_FAILED', cutText(`${where}: pg_dump failed: ${lines}`, 2000));
}

async function closeQuietly(client: Client, taken: boolean): Promise<void> {
  // Once the relay has taken the socket, node-pg no longer reads from it and could wait for ever on an orderly end.
  if (!taken) await client.end().catch(() => {});
}

/** A backend that waits for a lock does not notice a closed socket; it is ended so that nothing stays behind. */
async function endBackend(target: ConnectionTarget, backendPid: number): Promise<void> {
  const options = { purpose: 'schema dump end', connectTimeoutMs: 2000, statementTimeoutMs: 2000 };
  await withSession(target, options, (session) =>
    session.rows(
      `select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
        where pid = $1::int and application_name = 'lockstep schema dump'`,
      [backendPid],
    ),
  ).catch(() => {});
}
