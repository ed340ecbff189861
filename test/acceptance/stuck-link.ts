import { expect } from '@jest/globals';
import { Module } from '@nestjs/common';
import { ApiModule } from '../../src/api/api.module.js';
import { ConfigModule } from '../../src/config/config.module.js';
import { EngineModule } from '../../src/engine/engine.module.js';
import { ObservabilityModule } from '../../src/observability/observability.module.js';
import { OperationsApiModule } from '../../src/operations/operations-api.module.js';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { StorageModule } from '../../src/storage/storage.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { VerificationModule } from '../../src/verification/verification.module.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { type Answer, ApiUnderTest } from './security-app.js';

@Module({
  imports: [
    ...[ConfigModule, ObservabilityModule, StorageModule, ApiModule, EngineModule, OperationsApiModule],
    ...[PublicationsModule, SubscriptionsModule, VerificationModule],
  ],
})
class App {}

export const ODD = `Odd "ü" /%-- ;'`;
const SCHEMA = `
  create table orders (id int primary key, total numeric, note text);
  create table "Odd ""ü"" /%-- ;'" ("Id" bigint, "Teil" text, "Größe" int, primary key ("Id", "Teil"));`;

/** The service in this process, with a server of each major registered as `pg<major>`. */
export class Fleet {
  private constructor(
    readonly api: ApiUnderTest,
    private readonly state: TestServer,
    readonly servers: ReadonlyMap<number, TestServer>,
  ) {}

  /** @param own settings of those that are not to be the shared ones, by major */
  static async start(
    stateDatabase: string,
    own: Record<number, Record<string, string>> = {},
    majors: readonly number[] = [14, 15, 16, 17, 18],
  ): Promise<Fleet> {
    const state = await TestServer.shared(18);
    const api = await ApiUnderTest.start(state, await state.freshDatabase(stateDatabase), { root: App });
    const servers = new Map<number, TestServer>();
    for (const major of majors) {
      const server = own[major] ? await TestServer.start(major, own[major]) : await TestServer.shared(major);
      servers.set(major, server);
      const { host, port, user, password } = server;
      const body = { name: `pg${major}`, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
    return new Fleet(api, state, servers);
  }

  async stop(): Promise<void> {
    await this.api.stop();
    for (const server of [this.state, ...this.servers.values()]) await server.stop();
  }
}

/** A link of two tables, streaming. */
export class Link {
  readonly database: string;
  readonly path: string;

  private constructor(
    private readonly fleet: Fleet,
    readonly from: number,
    readonly to: number,
  ) {
    this.database = `stuck_${from}_${to}`;
    this.path = `${this.base(to)}/subscriptions/${encodeURIComponent(ODD)}`;
  }

  static async create(fleet: Fleet, from: number, to: number, options: { twoPhase?: boolean } = {}): Promise<Link> {
    const link = new Link(fleet, from, to);
    const { api } = fleet;
    for (const server of [link.publisher, link.subscriber]) {
      await server.freshDatabase(link.database);
      await server.run(link.database, SCHEMA);
    }
    await link.publisher.run(link.database, `insert into orders select n, n, 'x' from generate_series(1, 100) n`);
    const tables = ['orders', ODD].map((name) => ({ schema: 'public', name }));
    const publication = { name: 'both', target: { kind: 'tables', tables } };
    expect((await api.post(`${link.base(from)}/publications`, publication)).status).toBe(201);
    const subscription = {
      name: ODD,
      publisher: { server: `pg${from}`, database: link.database },
      publications: ['both'],
      options: { slotName: link.database, ...options },
    };
    expect((await api.post(`${link.base(to)}/subscriptions`, subscription)).status).toBe(201);
    await link.until('streaming');
    return link;
  }

  get publisher(): TestServer {
    return this.fleet.servers.get(this.from)!;
  }

  get subscriber(): TestServer {
    return this.fleet.servers.get(this.to)!;
  }

  base(major: number): string {
    return `/v1/servers/pg${major}/databases/${this.database}`;
  }

  async until(state: string): Promise<Answer['body']> {
    return eventually(
      async () => {
        const { body } = await this.fleet.api.get(this.path);
        return body.state === state && body.tables.every((table: { state: string }) => table.state === 'ready') && body;
      },
      { within: 20_000, every: 50 },
    );
  }

  async diagnose(): Promise<Answer['body']> {
    const answer = await this.fleet.api.post(`${this.path}/diagnose`);
    expect(answer.status).toBe(200);
    return answer.body;
  }

  /** A unique violation: a row of the publisher's that somebody has put on the subscriber already. */
  async stick(id: number): Promise<void> {
    await this.subscriber.run(this.database, `insert into orders values (${id}, 0, 'in the way')`);
    await this.publisher.run(
      this.database,
      `begin;
       insert into orders values (${id}, 1, 'a secret of the customer');
       update orders set total = total + 1000 where id <= 3;
       insert into "Odd ""ü"" /%-- ;'" values (${id}, 'a ''b''', 7);
       delete from orders where id = 100;
       commit`,
    );
    await this.publisher.run(this.database, `insert into orders values (${id + 1}, 1, 'behind it')`);
  }

  async needs(): Promise<[string, string | null][]> {
    const { tables } = (await this.fleet.api.get(this.path)).body;
    return tables.map(({ name, needsVerification }: { name: string; needsVerification: { lsn: string } | null }) => [
      name,
      needsVerification?.lsn ?? null,
    ]);
  }

  async verify(): Promise<Answer['body']> {
    const subscriber = { server: `pg${this.to}`, database: this.database, subscription: ODD };
    const { body } = await this.fleet.api.post('/v1/verifications', { kind: 'at-rest', subscriber });
    return eventually(
      async () => {
        const found = (await this.fleet.api.get(`/v1/verifications/${body.id}`)).body;
        return ['succeeded', 'failed', 'cancelled'].includes(found.state) && found;
      },
      { within: 60_000, every: 50 },
    );
  }

  resyncPath(table: string): string {
    return `${this.path}/tables/public/${encodeURIComponent(table)}/resync`;
  }

  async resync(table: string): Promise<Answer['body']> {
    const { status, body, headers } = await this.fleet.api.post(this.resyncPath(table));
    expect([status, body.problem]).toEqual([202, null]);
    return eventually(
      async () => {
        const operation = (await this.fleet.api.get(headers.get('location')!)).body;
        return ['succeeded', 'failed', 'cancelled'].includes(operation.state) && operation;
      },
      { within: 60_000, every: 50 },
    );
  }

  /** Changes of every kind, one transaction after the other, among them such as find no row on the subscriber. */
  write(): { stop(): Promise<void> } {
    let going = true;
    const run = this.publisher.withSession(this.database, async (session) => {
      for (let n = 1000; going; n++) {
        await session.execute(
          `update public.orders set total = total + 1 where id in (${n % 90}, ${(n * 7) % 90}, 501);
           insert into public.orders values (${n}, ${n}, 'new');
           delete from public.orders where id = ${n - 20} and id >= 1000;
           update public.orders set id = id + 100000 where id = ${n - 10} and id >= 1000`,
        );
      }
    });
    return {
      stop: async () => {
        going = false;
        await run;
      },
    };
  }

  /** Slots of the publisher's that are not the subscription's. */
  async strangeSlots(): Promise<string[]> {
    const rows = await this.publisher.withSession(this.database, (session) =>
      session.rows<{ name: string }>(
        `select slot_name as name from pg_replication_slots where database = $1 and slot_name <> $1`,
        [this.database],
      ),
    );
    return rows.map(({ name }) => name);
  }

  async drop(): Promise<void> {
    await this.fleet.api.call('DELETE', this.path);
    for (const server of [this.publisher, this.subscriber]) {
      await server.withSession('postgres', (session) =>
        session.execute(`drop database if exists "${this.database}" with (force)`),
      );
    }
  }
}
