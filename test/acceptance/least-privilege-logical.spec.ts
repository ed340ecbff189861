import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { type Answer, Lockstep } from '../support/lockstep.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

interface Body extends Record<string, unknown> {
  code?: string;
  hint?: string;
  detail?: string;
}

const PASSWORD = 'least privilege';
const PATHS = [
  [14, 18],
  [18, 16],
  [16, 17],
  [18, 14],
].filter((path) => path.every((major) => AVAILABLE_MAJORS.includes(major))) as [number, number][];

/** Statements an administrator is told to run. */
function statementsOf(text: string | undefined): string[] {
  return text?.match(/\b(?:grant|alter) [^;]+;/g) ?? [];
}

describe.each(PATHS)('logical replication by logins without superuser: %i -> %i', (from, to) => {
  const database = `Least "own" ${from}-${to}`;
  const login = `Least "l" ${from}-${to}`;
  const other = `Least other ${from}-${to}`;
  const slotName = `least_${from}_${to}`;
  const at = (...names: string[]) => names.map((name) => encodeURIComponent(name)).join('/');
  const base = (server: string) => `/v1/servers/${server}/databases/${at(database)}`;
  const publication = `${base('source')}/publications/pub`;
  const subscription = `${base('sink')}/subscriptions/sub`;
  const slot = `/v1/servers/source/replication-slots/${slotName}_own`;
  const q = (name: string) => `"${name.replaceAll('"', '""')}"`;
  let lockstep: Lockstep;
  let publisher: TestServer;
  let subscriber: TestServer;

  beforeAll(async () => {
    [publisher, subscriber] = [await TestServer.shared(from), await TestServer.shared(to)];
    lockstep = await Lockstep.start();
    for (const [name, server] of Object.entries({ source: publisher, sink: subscriber })) {
      await server.freshDatabase(database);
      await server.run(
        database,
        `create role ${q(other)};
         create role ${q(login)} login password '${PASSWORD}';
         create schema own authorization ${q(login)};
         create schema others authorization ${q(other)};
         grant usage on schema others to ${q(login)};
         create table own.orders (id int primary key, total numeric);
         alter table own.orders owner to ${q(login)};
         create table others.notes (id int primary key);
         alter table others.notes owner to ${q(other)};
         create table public.of_postgres (id int primary key);
         create sequence own.tickets;
         alter sequence own.tickets owner to ${q(login)};
         create sequence others.numbers;
         alter sequence others.numbers owner to ${q(other)}`,
      );
      const { host, port } = server;
      const body = { name, host, port, user: login, password: PASSWORD, database, tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', body);
    }
  }, 120_000);

  afterAll(async () => {
    await lockstep?.dispose();
    for (const server of [subscriber, publisher]) {
      await server?.withSession(database, async (session) => {
        const subscriptions = await session.rows<{ name: string }>(
          `select subname as name from pg_subscription
            where subdbid = (select oid from pg_database where datname = current_database())`,
        );
        for (const { name } of subscriptions) {
          await session.execute(`alter subscription ${q(name)} disable`);
          await session.execute(`alter subscription ${q(name)} set (slot_name = none)`);
          await session.execute(`drop subscription ${q(name)}`);
        }
        await session.rows(
          `select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database() and active`,
        );
        await eventually(
          () =>
            session.rows(
              `select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()`,
            ),
          { within: 10_000 },
        );
      });
      await server?.withSession('postgres', async (session) => {
        await session.execute(`drop database ${q(database)} with (force)`);
        await session.execute(`drop role ${q(login)}`);
        await session.execute(`drop role ${q(other)}`);
      });
      await server?.stop();
    }
  }, 60_000);

  const request = (method: string, path: string, body?: unknown) => lockstep.request<Body>(method, path, body);

  /** Refused for want of privileges, one after the other; what each refusal says is run, and in the end it works. */
  async function grantedByHints(server: TestServer, act: () => Promise<Answer<Body>>) {
    const run: string[] = [];
    for (;;) {
      const answer = await act();
      if (answer.status < 300) return { run, answer };
      expect(answer).toMatchObject({ status: 403, body: { code: 'SERVER_PRIVILEGE_MISSING' } });
      const statements = statementsOf(answer.body.hint);
      expect([answer.body.detail, answer.body.hint, statements]).not.toEqual([
        answer.body.detail,
        answer.body.hint,
        [],
      ]);
      expect(run).not.toContain(statements[0]);
      for (const statement of statements) await server.run(database, statement);
      run.push(...statements);
    }
  }

  it('a publication: CREATE on the database, and its tables', async () => {
    const tables = [{ schema: 'own', name: 'orders' }];
    const create = () =>
      request('POST', `${base('source')}/publications`, { name: 'pub', target: { kind: 'tables', tables } });
    const { run } = await grantedByHints(publisher, create);
    expect(run).toEqual([`grant create on database ${q(database)} to ${q(login)};`]);

    const add = () => request('PATCH', publication, { addTables: [{ schema: 'others', name: 'notes' }] });
    expect((await grantedByHints(publisher, add)).run).toEqual([`grant ${q(other)} to ${q(login)};`]);
    // Membership in a superuser would make it one: the table is given to it instead.
    const addOfSuperuser = () =>
      request('PATCH', publication, { addTables: [{ schema: 'public', name: 'of_postgres' }] });
    expect((await grantedByHints(publisher, addOfSuperuser)).run).toEqual([
      `alter table "public"."of_postgres" owner to ${q(login)};`,
    ]);
    const all = await request('POST', `${base('source')}/publications?dryRun=true`, {
      name: 'all',
      target: { kind: 'allTables' },
    });
    expect(all).toMatchObject({
      status: 403,
      body: { code: 'SERVER_PRIVILEGE_MISSING', rule: 'superuser-owns-all' },
    });
    expect(statementsOf(all.body.hint)).toEqual([`alter role ${q(login)} superuser;`]);
  });

  it("a publication and a table of somebody else's: the owner", async () => {
    await publisher.run(
      database,
      `revoke ${q(other)} from ${q(login)}; grant create on database ${q(database)} to ${q(other)};
      create publication foreign_pub; alter publication foreign_pub owner to ${q(other)}`,
    );
    const path = `${base('source')}/publications/foreign_pub`;
    for (const [method, body] of [
      ['PATCH', { publish: ['insert'] }],
      ['DELETE', undefined],
    ] as const) {
      const refused = await request(method, path, body);
      expect([method, refused.status, statementsOf(refused.body.hint)]).toEqual([
        ...[method, 403, [`grant ${q(other)} to ${q(login)};`]],
      ]);
    }
    const identity = () => request('PUT', `${base('source')}/tables/others/notes/replica-identity`, { kind: 'full' });
    expect((await grantedByHints(publisher, identity)).run).toEqual([`grant ${q(other)} to ${q(login)};`]);
    expect((await request('DELETE', path)).status).toBe(204);
    expect(
      (await request('PUT', `${base('source')}/tables/others/notes/replica-identity`, { kind: 'default' })).status,
    ).toBe(200);
  });

  it('a slot: REPLICATION', async () => {
    // Other specs have transactions open on the shared server.
    const body = { name: `${slotName}_own`, kind: 'logical', database, deadlineMs: 60_000 };
    const { run } = await grantedByHints(publisher, () =>
      request('POST', '/v1/servers/source/replication-slots', body),
    );
    expect(run).toEqual([`alter role ${q(login)} replication;`]);
    await publisher.run(database, `alter role ${q(login)} noreplication`);
    const acts: [string, string, unknown][] = [
      ['POST', `${slot}/copy`, { name: `${slotName}_copy` }],
      ['POST', `${slot}/advance`, { lsn: await currentLsn() }],
      ['DELETE', slot, undefined],
    ];
    for (const [method, path, given] of acts) {
      const refused = await request(method, path, given);
      expect([path, refused.status, statementsOf(refused.body.hint)]).toEqual([path, 403, run]);
    }
    await publisher.run(database, `alter role ${q(login)} replication`);
    for (const [method, path, given] of acts)
      expect([path, (await request(method, path, given)).status < 300]).toEqual([path, true]);
    expect((await request('DELETE', `/v1/servers/source/replication-slots/${slotName}_copy`)).status).toBe(204);
  });

  async function currentLsn(): Promise<string> {
    const { lsn } = await publisher.withSession(database, (session) =>
      session.row<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn'),
    );
    return lsn;
  }

  it('a subscription: what its version asks for, and no slot is left by what was refused', async () => {
    const body = {
      name: 'sub',
      publisher: { server: 'source', database },
      publications: ['pub'],
      options: { slotName },
    };
    if (to < 16) {
      const refused = await request('POST', `${base('sink')}/subscriptions`, body);
      expect(refused).toMatchObject({ status: 403, body: { code: 'SERVER_PRIVILEGE_MISSING' } });
      expect(statementsOf(refused.body.hint)).toEqual([`alter role ${q(login)} superuser;`]);
      expect(refused.body.hint).toContain('16');
      expect((await request('GET', `/v1/servers/source/replication-slots/${slotName}`)).status).toBe(404);
    }
    const { run } = await grantedByHints(subscriber, () => request('POST', `${base('sink')}/subscriptions`, body));
    expect(run).toEqual(
      to < 16
        ? [`alter role ${q(login)} superuser;`]
        : [`grant pg_create_subscription to ${q(login)};`, `grant create on database ${q(database)} to ${q(login)};`],
    );
  });

  it('what it may not read it does not call unknown without the GRANT, nor zero, nor healthy', async () => {
    if (to < 16) return;
    const blind = (await request('GET', subscription)).body as unknown as {
      publisher: unknown;
      state: string;
      warnings: { rule: string; detail: string }[];
      lag: { bytes: number | null; seconds: number | null; reason: string };
    };
    // It owns neither table of the publication here: each warning's GRANT is run, and what was barred is copied.
    const [warning] = blind.warnings.filter(({ rule }) => rule === 'owner-may-write');
    const rights = statementsOf(warning!.detail);
    expect(rights).toEqual([
      `grant ${q(other)} to ${q(login)};`,
      `alter table "public"."of_postgres" owner to ${q(login)};`,
    ]);
    for (const statement of rights) await subscriber.run(database, statement);
    expect((await request('GET', subscription)).body.warnings).toEqual([]);
    expect(blind).toMatchObject({ publisher: null, connection: null, lag: { bytes: null, seconds: null } });
    const grants = statementsOf(blind.lag.reason);
    expect(grants).toEqual([`grant select (subconninfo) on pg_catalog.pg_subscription to ${q(login)};`]);
    const link = (await request('GET', `/v1/links/sink/${at(database)}/sub`)).body as {
      publisher: unknown;
      lag: unknown;
    };
    expect(link).toMatchObject({ publisher: null, lag: { bytes: null } });
    const { owner } = (await request('GET', `/v1/servers/source/replication-slots/${slotName}`)).body;
    expect(owner).toMatchObject({ name: 'sub', server: 'sink', live: true });
    expect(statementsOf((owner as { detail: string }).detail)).toEqual(grants);
    const unread = await request('POST', `/v1/links/sink/${at(database)}/sub/sequences/sync`);
    expect(statementsOf(JSON.stringify(unread.body).replaceAll('\\"', '"'))).toEqual(grants);
    for (const grant of grants) await subscriber.run(database, grant);
  });

  it('the whole of it works then', async () => {
    await publisher.run(database, `insert into own.orders select n, n from generate_series(1, 50) n`);
    const streaming = await eventually(
      async () => {
        const { body } = await request('GET', subscription);
        const { state, tables } = body as { state: string; tables: { state: string }[] };
        return state === 'streaming' && tables.every((table) => table.state === 'ready') && body;
      },
      { within: 30_000 },
    );
    expect(streaming).toMatchObject({
      publisher: { server: 'source', database },
      lag: { bytes: expect.any(Number) },
    });
    expect((await request('GET', `${base('sink')}/tables`)).status).toBe(200);
    expect((await request('POST', `${subscription}/refresh`, { copyData: false })).status).toBe(200);
    expect((await request('POST', `${subscription}/disable`)).body).toMatchObject({ state: 'disabled' });
    expect((await request('PATCH', subscription, { options: { synchronousCommit: 'off' } })).status).toBe(200);
    expect((await request('POST', `${subscription}/enable`)).body.enabled).toBe(true);
    const links = (await request('GET', '/v1/links?limit=200')).body as {
      items: { subscriber: { database: string } }[];
      unknown: unknown[];
    };
    expect(links.unknown).toEqual([]);
    const own = links.items.filter((link) => link.subscriber.database === database);
    expect(own).toMatchObject([{ publisher: { server: 'source' }, state: expect.any(String) }]);
  });

  it('sequences: SELECT on the publisher, UPDATE on the subscriber', async () => {
    await publisher.run(
      database,
      `revoke ${q(other)} from ${q(login)}; revoke usage on schema others from ${q(login)};
   select setval('others.numbers', 40); select setval('own.tickets', 7)`,
    );
    const readable = `revoke ${q(other)} from ${q(login)}; grant select on others.numbers to ${q(login)}`;
    if (to >= 16) await subscriber.run(database, readable);
    const link = `/v1/links/sink/${at(database)}/sub/sequences`;
    type Compared = { items: { name: string; verdict: string; reason: string | null; publisher: unknown }[] };
    const numbers = async () =>
      ((await request('GET', link)).body as unknown as Compared).items.find(({ name }) => name === 'numbers')!;
    const unread = await numbers();
    expect(unread).toMatchObject({ verdict: 'unknown', publisher: null });
    const reading = statementsOf(unread.reason!);
    expect(reading).toEqual([
      `grant usage on schema "others" to ${q(login)};`,
      `grant select on sequence "others"."numbers" to ${q(login)};`,
    ]);
    for (const statement of reading) await publisher.run(database, statement);
    const behind = await numbers();
    expect(behind).toMatchObject({ verdict: 'behind', publisher: { lastValue: '40' } });
    if (to >= 16) {
      const left = (await request('POST', `${link}/sync`)).body as { moved: unknown[]; left: Compared['items'] };
      expect(left.moved).toMatchObject([{ name: 'tickets' }]);
      expect(left.left).toMatchObject([{ name: 'numbers' }]);
      const setting = statementsOf(left.left[0]!.reason!);
      expect(setting).toEqual([`grant update on sequence "others"."numbers" to ${q(login)};`]);
      for (const statement of setting) await subscriber.run(database, statement);
    }
    const moved = (await request('POST', `${link}/sync`)).body as { moved: { name: string }[]; left: unknown[] };
    expect([moved.moved.at(0)?.name, moved.left]).toEqual(['numbers', []]);
  });

  it('a diagnosis and a skip: REPLICATION on the publisher, the position on the subscriber', async () => {
    if (to < 16) return;
    type Diagnosed = {
      position: string | null;
      transactionReason: string;
      transaction: { finishLsn: string } | null;
    };
    const diagnose = async () => (await request('POST', `${subscription}/diagnose`)).body as unknown as Diagnosed;
    const origin = async () => {
      const { body } = await request('GET', `/v1/links/sink/${at(database)}/sub`);
      return body.origin as { remoteLsn: string | null; reason: string | null };
    };
    const unread = await origin();
    expect(unread.remoteLsn).toBeNull();
    const blind = await diagnose();
    expect(blind).toMatchObject({ transaction: null });
    const reading = statementsOf(blind.transactionReason);
    expect(reading).toEqual([
      `grant execute on function pg_catalog.pg_replication_origin_progress(text, boolean) to ${q(login)};`,
    ]);
    expect(statementsOf(unread.reason!)).toEqual(reading);
    for (const statement of reading) await subscriber.run(database, statement);
    expect(await origin()).toMatchObject({ remoteLsn: expect.stringMatching(/\//), reason: null });
    await publisher.run(database, `alter role ${q(login)} noreplication`);
    const streamless = await diagnose();
    expect(statementsOf(streamless.transactionReason)).toEqual([`alter role ${q(login)} replication;`]);
    await publisher.run(database, `alter role ${q(login)} replication`);

    await subscriber.run(database, 'insert into own.orders values (1000, 0)');
    await publisher.run(database, 'insert into own.orders values (1000, 1)');
    const stuck = await eventually(async () => (await diagnose()).transaction, { within: 30_000 });
    const lost = await request('POST', `${subscription}/skip?dryRun=true`, { lsn: stuck.finishLsn });
    expect(lost).toMatchObject({ status: 200, body: { lost: { finishLsn: stuck.finishLsn } } });
    expect((await request('POST', `${subscription}/skip`, { lsn: stuck.finishLsn })).status).toBe(200);
    await publisher.run(database, 'insert into own.orders values (1001, 1)');
    await eventually(
      () =>
        subscriber.withSession(database, async (session) => {
          const { found } = await session.row<{ found: boolean }>(
            'select exists (select from own.orders where id = 1001) as found',
          );
          return found;
        }),
      { within: 30_000 },
    );
  });

  it("a subscription of somebody else's: its owner; without a password: said, not a fault of the server", async () => {
    if (to < 16) return;
    const body = {
      name: 'bare',
      connection: `host=127.0.0.1 port=${publisher.port} dbname=x user=y`,
      publications: ['pub'],
    };
    const bare = await request('POST', `${base('sink')}/subscriptions`, body);
    expect(bare).toMatchObject({
      status: 409,
      body: {
        ...{ code: 'PREREQUISITE_FAILED', sqlstate: '2F003', hint: expect.stringContaining('password') },
        errors: [{ pointer: '#/connection' }],
      },
    });
    await subscriber.run(database, `alter subscription sub owner to postgres`);
    const disable = () => request('POST', `${subscription}/disable`);
    expect((await grantedByHints(subscriber, disable)).run).toEqual([`alter subscription "sub" owner to ${q(login)};`]);
    expect((await request('DELETE', subscription)).status).toBe(200);
    expect((await request('GET', `/v1/servers/source/replication-slots/${slotName}`)).status).toBe(404);
  });
});
