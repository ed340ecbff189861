import pg from 'pg';

const ANSWER_MS = 10_000;
/** How often the holder is heard of, and how long it may be silent before the server ends its session, from 14 on. */
const SIGN_OF_LIFE_MS = 5_000;
const MOST_SILENT_MS = 20_000;
const END_IF_SILENT = `select set_config('idle_session_timeout', '${MOST_SILENT_MS}', false)
  from pg_catalog.pg_settings where name = 'idle_session_timeout'`;
const SHORT_KEEPALIVES = 'set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3';

/**
 * An advisory lock in our own database, held by a session of its own: it ends when the process does, or is paused for
 * so long that others should go on without it.
 */
export class SessionLock {
  private ended = false;
  private readonly signs: NodeJS.Timeout;

  private constructor(private readonly client: pg.Client) {
    client.once('end', () => (this.ended = true));
    client.once('error', () => (this.ended = true));
    // A host or process that is gone answers no more; one that is stopped has its kernel answer keepalives for it.
    this.signs = setInterval(() => void client.query('select 1').catch(() => {}), SIGN_OF_LIFE_MS).unref();
  }

  /** False once the session is gone, and the lock with it. */
  get held(): boolean {
    return !this.ended;
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
      const { rows } = await client.query<{ taken: boolean }>(
        'select pg_try_advisory_lock(hashtextextended($1, 7238)) as taken',
        [name],
      );
      if (rows[0]!.taken) return new SessionLock(client);
    } catch (error) {
      // Not waited for: it may be silent.
      void client.end().catch(() => {});
      throw error;
    }
    await client.end();
    return null;
  }

  async release(): Promise<void> {
    clearInterval(this.signs);
    await this.client.end().catch(() => {});
  }
}
