import pg from 'pg';

const ANSWER_MS = 10_000;
const SHORT_KEEPALIVES = 'set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3';

/** An advisory lock in our own database, held by a session of its own: it ends when the process does. */
export class SessionLock {
  private ended = false;

  private constructor(private readonly client: pg.Client) {
    client.once('end', () => (this.ended = true));
    client.once('error', () => (this.ended = true));
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
    await this.client.end().catch(() => {});
  }
}
