import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
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

const ODD = `Odd "ü" /%-- ;'`;
const SCHEMA = `
  create table orders (id int primary key, total numeric, note text);
  create table "Odd ""ü"" /%-- ;'" ("Id" bigint, "Teil" text, "Größe" int, primary key ("Id", "Teil"));`;

let state: TestServer;
let api: ApiUnderTest;
const servers = new Map<number, TestServer>();

beforeAll(async () => {
  state = await TestServer.shared(18);
  api = await ApiUnderTest.start(state, await state.freshDatabase('stuck_state'), { root: App });
  for (const major of [14, 15, 16, 17, 18]) {
    const server = await TestServer.shared(major);
    servers.set(major, server);
    const { host, port, user, password } = server;
    const body = { name: `pg${major}`, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
    expect((await api.post('/v1/servers', body)).status).toBe(201);
  }
}, 120_000);

afterAll(async () => {
  await api?.stop();
  for (const server of [state, ...servers.values()]) await server?.stop();
});

/** A link of two tables, streaming. */
class Link {
  readonly database: string;
  readonly path: string;

  private constructor(
    readonly from: number,
    readonly to: number,
  ) {
    this.database = `stuck_${from}_${to}`;
    this.path = `${this.base(to)}/subscriptions/${encodeURIComponent(ODD)}`;
  }

  static async create(from: number, to: number): Promise<Link> {
    const link = new Link(from, to);
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
      options: { slotName: link.database },
    };
    expect((await api.post(`${link.base(to)}/subscriptions`, subscription)).status).toBe(201);
    await link.until('streaming');
    return link;
  }

  get publisher(): TestServer {
    return servers.get(this.from)!;
  }

  get subscriber(): TestServer {
    return servers.get(this.to)!;
  }

  base(major: number): string {
    return `/v1/servers/pg${major}/databases/${this.database}`;
  }

  async until(state: string): Promise<Answer['body']> {
    return eventually(
      async () => {
        const { body } = await api.get(this.path);
        return body.state === state && body.tables.every((table: { state: string }) => table.state === 'ready') && body;
      },
      { within: 20_000, every: 50 },
    );
  }

  async diagnose(): Promise<Answer['body']> {
    const answer = await api.post(`${this.path}/diagnose`);
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
    const { tables } = (await api.get(this.path)).body;
    return tables.map(({ name, needsVerification }: { name: string; needsVerification: { lsn: string } | null }) => [
      name,
      needsVerification?.lsn ?? null,
    ]);
  }

  async verify(): Promise<Answer['body']> {
    const subscriber = { server: `pg${this.to}`, database: this.database, subscription: ODD };
    const { body } = await api.post('/v1/verifications', { kind: 'at-rest', subscriber });
    return eventually(
      async () => {
        const found = (await api.get(`/v1/verifications/${body.id}`)).body;
        return ['succeeded', 'failed', 'cancelled'].includes(found.state) && found;
      },
      { within: 60_000, every: 50 },
    );
  }

  resyncPath(table: string): string {
    return `${this.path}/tables/public/${encodeURIComponent(table)}/resync`;
  }

  async resync(table: string): Promise<Answer['body']> {
    const { status, body, headers } = await api.post(this.resyncPath(table));
    expect([status, body.problem]).toEqual([202, null]);
    return eventually(
      async () => {
        const operation = (await api.get(headers.get('location')!)).body;
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
    await api.call('DELETE', this.path);
    for (const server of [this.publisher, this.subscriber]) {
      await server.withSession('postgres', (session) =>
        session.execute(`drop database if exists "${this.database}" with (force)`),
      );
    }
  }
}

describe.each([
  [15, 18],
  [17, 16],
])('a subscription stuck on a unique violation, %i -> %i', (from, to) => {
  let link: Link;
  beforeAll(async () => void (link = await Link.create(from, to)), 120_000);
  afterAll(() => link?.drop());

  let stuckAt: string;

  it('is idle before, and a diagnosis leaves nothing on the publisher', async () => {
    const plan = await api.post(`${link.path}/diagnose?dryRun=true`);
    expect(plan.body.statements).toMatchObject([
      { server: `pg${from}`, sql: expect.stringContaining('pg_copy_logical_replication_slot') },
    ]);
    expect(await link.diagnose()).toMatchObject({
      verdict: 'idle',
      transaction: null,
      transactionReason: expect.stringContaining('no transaction'),
      remedies: [],
    });
    expect(await eventually(async () => (await link.strangeSlots()).length === 0, { within: 5_000 })).toBe(true);
  });

  it('is told by its transaction: where, when, tables, keys and operations, and no values', async () => {
    const before = Date.now();
    await link.stick(500);
    await link.until('failing');
    const found = await link.diagnose();
    expect(found).toMatchObject({
      verdict: 'failing',
      transactionReason: null,
      passedOver: [],
      errors: { apply: expect.any(Number) },
      transaction: {
        finishLsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
        changeCount: 6,
        changesLeftOut: 0,
        tables: [
          { schema: 'public', name: 'orders', inserts: 1, updates: 3, deletes: 1, truncates: 0 },
          { schema: 'public', name: ODD, inserts: 1, updates: 0, deletes: 0, truncates: 0 },
        ],
      },
    });
    if (to >= 18) {
      expect(found.conflicts.insertExists).toBeGreaterThan(0);
      if (found.lastFailure) expect(found.lastFailure.conflicts).toEqual(['insertExists']);
    } else {
      expect(found.conflicts).toBeNull();
    }
    const { changes, committedAt, finishLsn, bytes } = found.transaction;
    expect(changes.slice(0, 2)).toEqual([
      { operation: 'insert', schema: 'public', table: 'orders', key: { id: '500' }, columns: null, onSubscriber: true },
      {
        ...{ operation: 'update', schema: 'public', table: 'orders', key: { id: '1' } },
        ...{ columns: ['id', 'total', 'note'], onSubscriber: true },
      },
    ]);
    expect(changes.slice(4)).toMatchObject([
      { operation: 'insert', table: ODD, key: { Id: '500', Teil: `a 'b'` }, onSubscriber: false },
      { operation: 'delete', table: 'orders', key: { id: '100' }, onSubscriber: true },
    ]);
    expect(Math.abs(Date.parse(committedAt) - before)).toBeLessThan(20_000);
    expect(bytes).toBeGreaterThan(100);
    expect(JSON.stringify(found)).not.toContain('secret of the customer');
    expect(found.remedies.flatMap(({ sql }: { sql: string[] }) => sql).join()).toContain(`skip (lsn = '${finishLsn}')`);
    expect(await eventually(async () => (await link.strangeSlots()).length === 0, { within: 5_000 })).toBe(true);
    stuckAt = finishLsn;
  });

  it('refuses to skip another transaction, unless told to', async () => {
    const { currentLsn } = (await api.get(link.path)).body.slot;
    const other = await api.post(`${link.path}/skip`, { lsn: currentLsn });
    expect(other).toMatchObject({ status: 409, body: { code: 'CONFLICT', stuckAt, verdict: 'failing' } });
    expect(other.body.hint).toContain('force');
    const forced = await api.post(`${link.path}/skip?dryRun=true`, { lsn: currentLsn, force: true });
    expect(forced).toMatchObject({ status: 200, body: { lost: null, lostReason: expect.any(String) } });
    expect(await api.post(`${link.path}/skip`, { lsn: '0/1', force: true })).toMatchObject({ status: 409 });
    expect((await api.get(link.path)).body.skipLsn).toBeNull();
    expect(await link.needs()).toEqual([
      [ODD, null],
      ['orders', null],
    ]);
  });

  it('shows what a skip loses, skips, and marks the tables that lost it', async () => {
    const plan = await api.post(`${link.path}/skip?dryRun=true`, { lsn: stuckAt });
    expect(plan).toMatchObject({
      status: 200,
      body: {
        statements: [{ server: `pg${to}`, sql: expect.stringContaining(`skip (lsn = '${stuckAt}')`) }],
        lost: { finishLsn: stuckAt, changeCount: 6, changes: expect.any(Array) },
        lostReason: null,
      },
    });
    expect((await api.get(link.path)).body.skipLsn).toBeNull();
    const skipped = await api.post(`${link.path}/skip`, { lsn: stuckAt });
    expect(skipped).toMatchObject({ status: 200, body: { name: ODD, lost: { finishLsn: stuckAt, changeCount: 6 } } });
    expect(skipped.body.lost.tables).toEqual(plan.body.lost.tables);
    await eventually(
      () =>
        link.subscriber.withSession(link.database, async (session) => {
          return (await session.rows('select from public.orders where id = 501')).length === 1;
        }),
      { within: 20_000 },
    );
    expect(await link.needs()).toEqual([
      [ODD, stuckAt],
      ['orders', stuckAt],
    ]);
    const { tables } = await link.until('streaming');
    expect(tables[0].needsVerification.reason).toContain('was skipped');
  });

  it('keeps the mark of a table that a verification finds different', async () => {
    expect(await link.verify()).toMatchObject({ state: 'succeeded', verdict: 'different' });
    expect(await link.needs()).toEqual([
      [ODD, stuckAt],
      ['orders', stuckAt],
    ]);
  });

  it('copies its tables afresh, each by itself, until a verification finds them equal', async () => {
    const plan = await api.post(`${link.resyncPath('orders')}?dryRun=true`);
    expect(plan.status).toBe(200);
    expect(plan.body.statements.map(({ server, sql }: { server: string; sql: string }) => [server, sql])).toEqual([
      [`pg${from}`, expect.stringContaining('pg_create_logical_replication_slot')],
      [`pg${from}`, 'copy (select t."id", t."total", t."note" from only "public"."orders" t) to stdout'],
      [`pg${to}`, 'lock table "public"."orders" in share row exclusive mode'],
      [`pg${to}`, 'delete from only "public"."orders" t'],
      [`pg${to}`, 'copy "public"."orders" ("id", "total", "note") from stdin'],
      [`pg${from}`, expect.stringContaining('pg_drop_replication_slot')],
    ]);
    const writing = link.write();
    const orders = await link.resync('orders');
    expect(orders).toMatchObject({ state: 'succeeded', result: { appliedLsn: expect.any(String) } });
    expect(orders.result.rows).toBeGreaterThan(100);
    const one = await link.verify();
    expect(one.tables).toMatchObject([
      { name: ODD, verdict: 'different', differences: { missing: 1, extra: 0, different: 0 } },
      { name: 'orders', verdict: 'equal' },
    ]);
    expect(await link.needs()).toEqual([
      [ODD, stuckAt],
      ['orders', null],
    ]);
    expect(await link.resync(ODD)).toMatchObject({ state: 'succeeded', result: { rows: 1, removed: 0 } });
    await writing.stop();
    expect(await link.verify()).toMatchObject({ state: 'succeeded', verdict: 'equal' });
    expect(await link.needs()).toEqual([
      [ODD, null],
      ['orders', null],
    ]);
    expect(await link.strangeSlots()).toEqual([]);
    const audit = (await api.get('/v1/audit-events?action=resync.copy')).body.items[0];
    expect(audit.sql.join()).toContain('from stdin');
  }, 120_000);
});

describe('where there is no SKIP, 15 -> 14', () => {
  let link: Link;
  beforeAll(async () => void (link = await Link.create(15, 14)), 120_000);
  afterAll(() => link?.drop());

  it('names the transaction all the same, refuses to skip it, and says what to do instead, which works', async () => {
    await link.stick(500);
    const found = await eventually(
      async () => {
        const diagnosis = await link.diagnose();
        return diagnosis.transaction && diagnosis.verdict !== 'applying' && diagnosis;
      },
      { within: 30_000 },
    );
    expect(found).toMatchObject({ transaction: { changeCount: 6 }, errors: null, conflicts: null, lastFailure: null });
    expect(['failing', 'stalled']).toContain(found.verdict);
    const { finishLsn, endLsn } = found.transaction;
    const refused = await api.post(`${link.path}/skip`, { lsn: finishLsn });
    expect(refused).toMatchObject({
      status: 422,
      body: {
        code: 'OPTION_NOT_SUPPORTED',
        minimumVersion: 15,
        stuckAt: finishLsn,
        lost: { changeCount: 6 },
        instead: [expect.stringContaining('disable'), expect.stringContaining(endLsn), expect.any(String)],
      },
    });
    const [disable, advance, enable] = refused.body.instead as [string, string, string];
    await link.subscriber.withSession(link.database, async (session) => {
      await session.execute(disable);
      await eventually(
        async () => (await session.rows('select from pg_stat_subscription where pid is not null')).length === 0,
        { within: 10_000 },
      );
      await session.execute(advance);
      await session.execute(enable);
      const arrived = async () => (await session.rows('select from public.orders where id = 501')).length === 1;
      await eventually(arrived, { within: 20_000 });
      expect(await session.rows('select from public.orders where id = 100')).toHaveLength(1);
    });
  });
});
