import pg from 'pg';

/** An advisory lock in our own database, held by a session of its own: it ends when the process does. */
export class SessionLock {
  private constructor(private readonly client: pg.Client) {}

  /** Null when another session holds it. */
  static async tryTake(url: string, name: string): Promise<SessionLock | null> {
    const client = new pg.Client({ connectionString: url, application_name: 'lockstep lock', keepAlive: true });
    client.on('error', () => {});
    await client.connect();
    const { rows } = await client.query<{ taken: boolean }>(
      'select pg_try_advisory_lock(hashtextextended($1, 7238)) as taken',
      [name],
    );
    if (rows[0]!.taken) return new SessionLock(client);
    await client.end();
    return null;
  }

  async release(): Promise<void> {
    await this.client.end().catch(() => {});
  }
}
