import type { Client, QueryConfig, QueryResult, QueryResultRow } from 'pg';
import { majorOf } from '../shared/server-version.js';
import {
  connect,
  DEFAULT_CONNECT_TIMEOUT_MS,
  liftTimeoutsExpression,
  type ConnectionTarget,
  type ConnectOptions,
} from './connection.js';
import { Problem } from '../problems/problem.js';
import { translateError } from './translate-error.js';

const GOODBYE_MS = 2_000;

/**
 * One session on a managed server. int8 and numeric values arrive as text (the driver's default): each caller
 * decides, per query, how to read them.
 */
export class Session {
  private ended = false;
  private isSilent = false;

  private constructor(
    private readonly client: Client,
    /** `server_version_num`, e.g. 140023. */
    readonly versionNum: number,
    readonly backendPid: number,
    readonly where: string,
    private readonly onStatement?: (sql: string) => void,
    private readonly answerWithinMs?: number,
  ) {
    client.once('end', () => (this.ended = true));
    client.on('error', () => (this.ended = true));
  }

  static async open(target: ConnectionTarget, options: ConnectOptions = {}): Promise<Session> {
    const client = await connect(target, options);
    const where = `${target.host}:${target.port}/${target.database}`;
    const silence = setTimeout(() => dropConnection(client), options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS);
    try {
      const { rows } = await client.query<{ version: number; pid: number }>(
        `select pg_catalog.current_setting('server_version_num')::int as version, pg_catalog.pg_backend_pid() as pid` +
          (options.serverTimeouts ? '' : `, ${liftTimeoutsExpression()}`),
      );
      const { version, pid } = rows[0]!;
      return new Session(client, version, pid, where, target.onStatement, options.answerWithinMs);
    } catch (error) {
      await client.end().catch(() => {});
      throw translateError(error, where);
    } finally {
      clearTimeout(silence);
    }
  }

  get major(): number {
    return majorOf(this.versionNum);
  }

  /** False once the connection is gone; a session never reconnects by itself. */
  get alive(): boolean {
    return !this.ended;
  }

  async rows<Row extends QueryResultRow>(sql: string, parameters?: unknown[]): Promise<Row[]> {
    this.onStatement?.(sql);
    return (await this.answered(this.client.query<Row>(sql, parameters))).rows;
  }

  /**
   * By the extended protocol, which takes exactly one statement: text from a caller (a row filter) cannot smuggle in a
   * second.
   */
  async one<Row>(sql: string): Promise<Row[]> {
    const query = { text: sql, queryMode: 'extended' } satisfies QueryConfig & { queryMode: string };
    return (await this.answered(this.client.query(query))).rows as Row[];
  }

  /** The single row of a statement that always returns exactly one. */
  async row<Row extends QueryResultRow>(sql: string, parameters?: unknown[]): Promise<Row> {
    const rows = await this.rows<Row>(sql, parameters);
    if (rows.length !== 1) throw new Error(`expected one row, got ${rows.length}`);
    return rows[0]!;
  }

  /** How many rows an INSERT, UPDATE or DELETE changed. */
  async affected(sql: string, parameters?: unknown[]): Promise<number> {
    this.onStatement?.(sql);
    return (await this.answered(this.client.query(sql, parameters))).rowCount ?? 0;
  }

  /** Runs one statement, or several separated by semicolons in one round trip; results are thrown away. */
  async execute(sql: string): Promise<void> {
    await this.rows(sql);
  }

  async transaction<T>(work: () => Promise<T>, begin = 'begin'): Promise<T> {
    await this.execute(begin);
    try {
      const result = await work();
      await this.execute('commit');
      return result;
    } catch (error) {
      if (this.alive) await this.execute('rollback').catch(() => {});
      throw error;
    }
  }

  private async answered<Row extends QueryResultRow>(answer: Promise<QueryResult<Row>>): Promise<QueryResult<Row>> {
    const limit = this.answerWithinMs;
    const giveUp = () => {
      this.isSilent = true;
      this.destroy();
    };
    const silence = limit === undefined ? undefined : setTimeout(giveUp, limit);
    try {
      return await answer;
    } catch (error) {
      if (this.isSilent) throw new Problem('SERVER_TIMEOUT', `${this.where} gave no answer for ${limit} ms`);
      throw translateError(error, this.where);
    } finally {
      clearTimeout(silence);
    }
  }

  /** For code inside postgres/ that needs the driver itself (streams, COPY). */
  get driver(): Client {
    return this.client;
  }

  /** Drops the connection without a word to the server: for one that no longer answers. */
  destroy(): void {
    this.ended = true;
    dropConnection(this.client);
  }

  /** Says goodbye; a server that does not hear it is left without one after a moment. */
  async close(): Promise<void> {
    this.ended = true;
    const unheard = setTimeout(() => this.destroy(), GOODBYE_MS);
    await this.client.end().catch(() => {});
    clearTimeout(unheard);
  }
}

function dropConnection(client: Client): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}

/** Opens a session, lends it to `work`, and closes it whatever happens. */
export async function withSession<T>(
  target: ConnectionTarget,
  options: ConnectOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await Session.open(target, options);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}
