import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Ledger, Write } from './ledger.js';
import type { Endpoint, Login } from './schema.js';
import { MIX, OwnRowMissing, type Scene } from './transactions.js';

/** Where clients may write now, or null while nobody may. Asked before every transaction. */
export type WriteTo = () => Endpoint | null;

export interface WriterSettings {
  number: number;
  login: Login;
  writeTo: WriteTo;
  ledger: Ledger;
  counts: Scene['counts'];
  /** Time from the start of one transaction to the start of the next. */
  intervalMs: number;
}

/** A move from one server to another as one writer saw it. */
export interface Move {
  from: Endpoint;
  to: Endpoint;
  /** Last acknowledgement by the old server to the first by the new one. */
  pauseMs: number;
}

/** How often a writer asks again while it may not write or cannot connect. */
const RETRY_MS = 20;
const TOTAL_WEIGHT = Object.values(MIX).reduce((sum, { weight }) => sum + weight, 0);

/**
 * One client application: transaction after transaction over one connection, at a steady pace. It never gives up on a
 * write: after any failure it goes where `writeTo` says, looks the write up by its client id, and repeats it only if
 * it is not there.
 */
export class Writer {
  /** Attempts that ended in an error. */
  failedAttempts = 0;
  /** Writes acknowledged after at least one of those. */
  retried = 0;
  longestPauseMs = 0;
  /** Acknowledgements by the server it last moved to; 0 before the first move. */
  acknowledgedSinceMove = 0;
  readonly moves: Move[] = [];
  /** Errors no retry can heal: a statement the server refused, or a row that should have been there. */
  readonly defects: string[] = [];

  private client: pg.Client | null = null;
  private connectedTo: Endpoint | null = null;
  private lastAcknowledged: { at: number; endpoint: Endpoint } | null = null;
  private n = 0;
  private stopAt = Infinity;
  private running: Promise<void> | null = null;

  constructor(private readonly settings: WriterSettings) {}

  start(): void {
    this.lastAcknowledged = null;
    this.stopAt = Infinity;
    this.running = this.run();
  }

  /** Lets the current write finish, waiting at most `withinMs` for it; one that cannot finish stays in doubt. */
  async stop(withinMs: number): Promise<void> {
    this.stopAt = performance.now() + withinMs;
    await this.running;
    await this.disconnect();
  }

  private async run(): Promise<void> {
    const { intervalMs } = this.settings;
    let next = performance.now() + Math.random() * intervalMs;
    while (this.stopAt === Infinity) {
      const wait = next - performance.now();
      if (wait > 0) await delay(wait);
      // After a pause the writer goes on at its pace; it does not make up for the time lost.
      next = Math.max(next + intervalMs, performance.now() - intervalMs);
      await this.commit(this.plan());
    }
  }

  private plan(): Write {
    let drawn = randomInt(TOTAL_WEIGHT);
    const kind = Object.keys(MIX).find((name) => (drawn -= MIX[name]!.weight) < 0)!;
    return { clientId: randomUUID(), writer: this.settings.number, n: ++this.n, kind, attempts: new Map() };
  }

  private async commit(write: Write): Promise<void> {
    const { ledger } = this.settings;
    let failures = 0;
    ledger.begin(write);
    while (performance.now() < this.stopAt) {
      try {
        const client = await this.connect();
        if (!client) {
          await delay(RETRY_MS);
          continue;
        }
        const earlier = write.attempts.size > 0 ? await lookUp(client, write) : null;
        const attempt = earlier ?? (await this.attempt(client, write));
        ledger.acknowledge(write, attempt);
        if (failures > 0) this.retried++;
        this.noteAcknowledged();
        return;
      } catch (error) {
        this.failedAttempts++;
        failures++;
        await this.disconnect();
        if (!mayHeal(error)) {
          ledger.abandon(write);
          this.defects.push(`${write.kind}: ${error instanceof Error ? error.message : String(error)}`);
          return;
        }
        await delay(RETRY_MS);
      }
    }
  }

  /** Answers the attempt's number once its COMMIT is answered. */
  private async attempt(client: pg.Client, write: Write): Promise<number> {
    const { ledger, counts, number } = this.settings;
    const attempt = write.attempts.size + 1;
    await client.query('begin');
    await client.query(
      `insert into app.client_write (client_id, run, writer, n, attempt, kind) values ($1, $2, $3, $4, $5, $6)`,
      [write.clientId, ledger.run, number, write.n, attempt, write.kind],
    );
    const effect = await MIX[write.kind]!.run({
      client,
      counts,
      source: ledger.source(number),
      n: write.n,
      owned: (subject) => ledger.owned(number, subject),
    });
    write.attempts.set(attempt, effect);
    const answer = await client.query('commit');
    if (answer.command !== 'COMMIT') throw new Error(`COMMIT was answered ${answer.command}`);
    return attempt;
  }

  private noteAcknowledged(): void {
    const [at, endpoint, last] = [performance.now(), this.connectedTo!, this.lastAcknowledged];
    if (last) {
      const pauseMs = at - last.at;
      this.longestPauseMs = Math.max(this.longestPauseMs, pauseMs);
      if (!same(last.endpoint, endpoint)) {
        this.moves.push({ from: last.endpoint, to: endpoint, pauseMs });
        this.acknowledgedSinceMove = 0;
      }
      if (this.moves.length > 0) this.acknowledgedSinceMove++;
    }
    this.lastAcknowledged = { at, endpoint };
  }

  /** The connection to where writes go now, or null while they go nowhere. */
  private async connect(): Promise<pg.Client | null> {
    const endpoint = this.settings.writeTo();
    if (this.client && endpoint && same(endpoint, this.connectedTo!)) return this.client;
    await this.disconnect();
    if (!endpoint) return null;
    const client = new pg.Client({
      ...endpoint,
      ...this.settings.login,
      application_name: 'demo writer',
      connectionTimeoutMillis: 2000,
      query_timeout: 15_000,
      // An acknowledgement has to mean durable, whatever the server's own default.
      options: '-c synchronous_commit=on',
    });
    // A connection cut between two queries is noticed by the next query.
    client.on('error', () => undefined);
    try {
      await client.connect();
    } catch (error) {
      void client.end().catch(() => undefined);
      throw error;
    }
    this.client = client;
    this.connectedTo = endpoint;
    return client;
  }

  private async disconnect(): Promise<void> {
    const client = this.client;
    this.client = null;
    // A connection that does not answer is not waited for.
    if (client) await Promise.race([client.end().catch(() => undefined), delay(200)]);
  }
}

/** The attempt under which the write is committed, or null. */
async function lookUp(client: pg.Client, write: Write): Promise<number | null> {
  const { rows } = await client.query<{ attempt: number }>(
    'select attempt from app.client_write where client_id = $1',
    [write.clientId],
  );
  return rows[0]?.attempt ?? null;
}

/**
 * Whether another attempt can succeed: connections refused or cut, roles that may not log in now, servers that start,
 * stop or are read-only, deadlocks; and our own client id found taken, which means an unanswered attempt committed.
 */
function mayHeal(error: unknown): boolean {
  if (error instanceof OwnRowMissing) return false;
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) return true;
  return /^(08|25|28|3D|40|53|55|57)/.test(code) || constraint === 'client_write_pkey';
}

function same(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port && a.database === b.database;
}
