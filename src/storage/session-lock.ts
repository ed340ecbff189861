import pg from 'pg';

const ANSWER_MS = 10_000;
/** How often the holder is heard of, and how long it may be silent before the server ends its session, from 14 on. */
const SIGN_OF_LIFE_MS = 5_000;
const MOST_SILENT_MS = 20_000;
/** When the holder itself gives it up: before another can have it. */
const SHOWN_FOR_MS = SIGN_OF_LIFE_MS + ANSWER_MS;
const GOODBYE_MS = 2_000;
const END_IF_SILENT = `select set_config('idle_session_timeout', '${MOST_SILENT_MS}', false)
  from pg_catalog.pg_settings where name = 'idle_session_timeout'`;
const SHORT_KEEPALIVES = 'set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3';

/**
 * An advisory lock in our own database, held by a session of its own: it ends when the process does, or is paused for
 * so long that others should go on without it. Once lost it stays so.
 */
export class SessionLock {
  private readonly losing = new AbortController();
  private readonly signs: NodeJS.Timeout;

  private constructor(
    private readonly client: pg.Client,
    /** When the last query that was answered was sent: the server counts the silence from no earlier. */
    private shown: Moment,
  ) {
    client.once('end', () => this.lose());
    client.once('error', () => this.lose());
    // A host or process that is gone answers no more; one that is stopped has its kernel answer keepalives for it.
    this.signs = setInterval(() => void this.giveSign(), SIGN_OF_LIFE_MS).unref();
  }

  /** False once the session is gone, and the lock with it, or nothing shows any more that it is there. */
  get held(): boolean {
    if (age(this.shown) > SHOWN_FOR_MS) this.lose();
    return !this.lost.aborted;
  }

  /** Aborted once it is lost: whoever acts under the lock stops. */
  get lost(): AbortSignal {
    return this.losing.signal;
  }

  /** Null when another session holds it. */
  static async tryTake(url: string, name: string): Promise<SessionLock | null> {
    const client = new pg.Client({
      connectionString: url,
      application_name: 'lockstep lock',
      connectionTimeoutMillis: ANSWER_MS,
      query_timeout: ANSWER_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: 5_000,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      // A host that dies without a word would else keep the lock for the two hours of the system's defaults.
      await client.query(SHORT_KEEPALIVES);
      await client.query(END_IF_SILENT);
      const asked = now();
      const { rows } = await client.query<{ taken: boolean }>(
        'select pg_try_advisory_lock(hashtextextended($1, 7238)) as taken',
        [name],
      );
      if (rows[0]!.taken) return new SessionLock(client, asked);
    } catch (error) {
      // Not waited for, and not left open: it may be silent.
      void goodbye(client);
      throw error;
    }
    await goodbye(client);
    return null;
  }

  async release(): Promise<void> {
    clearInterval(this.signs);
    await goodbye(this.client);
  }

  private async giveSign(): Promise<void> {
    if (!this.held) return;
    const asked = now();
    try {
      await this.client.query('select 1');
      this.shown = asked;
    } catch {
      this.lose();
    }
  }

  private lose(): void {
    if (this.losing.signal.aborted) return;
    clearInterval(this.signs);
    this.losing.abort();
    dropConnection(this.client);
  }
}

/** By two clocks: one may be set, the other stands still while the host is suspended. */
interface Moment {
  monotonic: number;
  wall: number;
}

function now(): Moment {
  return { monotonic: performance.now(), wall: Date.now() };
}

function age({ monotonic, wall }: Moment): number {
  const passed = now();
  return Math.max(passed.monotonic - monotonic, passed.wall - wall);
}

/** Not waited for where it is not heard. */
async function goodbye(client: pg.Client): Promise<void> {
  const unheard = setTimeout(() => dropConnection(client), GOODBYE_MS);
  await client.end().catch(() => {});
  clearTimeout(unheard);
}

/** Without a word to the server, which may hear none. */
function dropConnection(client: pg.Client): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}
