import { LinksModule } from '../../src/links/links.module.js';
import { identifier } from '../../src/postgres/quoting.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

export const SUBSCRIPTION = 'Wéird "sub" / ü';

/** Two databases with an empty publication `p` and a subscription to it, and the service beside them. */
export class LinkEnds {
  private constructor(
    readonly database: string,
    readonly state: TestServer,
    readonly publisher: TestServer,
    readonly subscriber: TestServer,
    readonly api: ApiUnderTest,
  ) {}

  /** @param tables made on both sides @param publisherPort by which the service reaches the publisher */
  static async start(
    database: string,
    [from, to]: readonly [number, number],
    tables: string,
    {
      publisherPort,
      environment = {},
    }: { publisherPort?: (publisher: TestServer) => Promise<number>; environment?: Record<string, string> } = {},
  ): Promise<LinkEnds> {
    const [state, publisher, subscriber] = await Promise.all([18, from, to].map((major) => TestServer.shared(major)));
    for (const server of [publisher!, subscriber!]) {
      await server.freshDatabase(database);
      await server.run(database, tables);
    }
    const api = await ApiUnderTest.start(state!, await state!.freshDatabase(`${database}_state`), {
      imports: [LinksModule],
      environment: { LOCKSTEP_SCHEMA_DRIFT_SECONDS: '0', ...environment },
    });
    const ends = new LinkEnds(database, state!, publisher!, subscriber!, api);
    const port = (await publisherPort?.(publisher!)) ?? publisher!.port;
    await ends.register('source', { ...publisher!.target(), port });
    await ends.register('sink', subscriber!.target());
    return ends;
  }

  async register(name: string, { host, port, user, password }: ReturnType<TestServer['target']>): Promise<void> {
    const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
    const { status, text } = await this.api.post('/v1/servers', body);
    if (status !== 201) throw new Error(text);
  }

  /** By the publisher's own address, whatever the service uses. */
  get conninfo(): string {
    const { host, port, user, password } = this.publisher;
    return `host=${host} port=${port} user=${user} password=${password} dbname=${this.database}`;
  }

  async subscribe(slot: string, publications = 'p'): Promise<void> {
    await this.publisher.withSession(this.database, (session) =>
      session.rows(`select pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]),
    );
    await this.onSubscriber(
      `create subscription ${identifier(SUBSCRIPTION)} connection '${this.conninfo}' publication ${publications}
         with (create_slot = false, slot_name = ${slot}, copy_data = false)`,
    );
  }

  get path(): string {
    return `/v1/links/sink/${this.database}/${encodeURIComponent(SUBSCRIPTION)}`;
  }

  onPublisher(sql: string): Promise<void> {
    return this.publisher.run(this.database, sql);
  }

  onSubscriber(sql: string): Promise<void> {
    return this.subscriber.run(this.database, sql);
  }

  /** Statements as an answer lists them, each in its own transaction on its own server. */
  async carryOut(statements: { server: string; database: string; sql: string }[]): Promise<void> {
    for (const { server, database, sql } of statements) {
      await (server === 'source' ? this.publisher : this.subscriber).run(database, sql);
    }
  }

  async stop(): Promise<void> {
    await this.api.stop();
    const name = identifier(SUBSCRIPTION);
    const statements = [`disable`, `set (slot_name = none)`].map((what) => `alter subscription ${name} ${what}`);
    for (const sql of [...statements, `drop subscription ${name}`]) await this.onSubscriber(sql).catch(() => {});
    // A slot that stays keeps dead rows of every catalog of the shared server for all who come after.
    await eventually(
      () =>
        this.publisher.withSession(this.database, async (session) => {
          await session.rows(
            `select pg_catalog.pg_terminate_backend(active_pid) from pg_catalog.pg_replication_slots
              where database = pg_catalog.current_database() and active`,
          );
          await session.rows(
            `select pg_catalog.pg_drop_replication_slot(slot_name) from pg_catalog.pg_replication_slots
              where database = pg_catalog.current_database() and not active`,
          );
          const { left } = await session.row<{ left: number }>(
            `select count(*)::int as left from pg_catalog.pg_replication_slots
              where database = pg_catalog.current_database()`,
          );
          return left === 0;
        }),
      { within: 10_000 },
    ).catch(() => {});
    for (const server of [this.state, this.publisher, this.subscriber]) await server.stop();
  }
}
