import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

interface Planned {
  server: string;
  database: string;
  sql: string;
  transactional: boolean;
  lock: string;
  effect?: string;
}
interface Plan {
  does?: string;
  tables?: object;
  statements: Planned[];
}
type Server = 'source' | 'sink';

const PATHS = [
  [14, 18],
  [18, 14],
  [17, 16],
].filter((path) => path.every((major) => AVAILABLE_MAJORS.includes(major))) as [number, number][];

/** What runs is read in the servers' own logs, not in what the service says of itself. */
describe.each(PATHS)('a dry run is what is run then: %i -> %i', (from, to) => {
  const database = 'Dry run';
  const base = (server: Server) => `/v1/servers/${server}/databases/Dry%20run`;
  const publications = `${base('source')}/publications`;
  const subscription = `${base('sink')}/subscriptions/s`;
  const slots = '/v1/servers/source/replication-slots';
  const servers: Partial<Record<Server, TestServer>> = {};
  let lockstep: Lockstep;

  beforeAll(async () => {
    lockstep = await Lockstep.start();
    for (const [name, major] of [['source', from] as const, ['sink', to] as const]) {
      const server = await TestServer.start(major, { log_statement: 'all' });
      servers[name] = server;
      await server.freshDatabase(database);
      await server.run(
        database,
        'create table t (id int primary key); create table u (id int primary key); create sequence q',
      );
      const { host, port, user, password } = server;
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', body);
    }
    await servers.source!.run(database, "insert into t values (1); select setval('q', 9)");
  }, 180_000);
  afterAll(async () => {
    await lockstep?.dispose();
    await Promise.all(Object.values(servers).map((server) => server.stop()));
  }, 60_000);

  const sizes = () => ({ source: servers.source!.log().length, sink: servers.sink!.log().length });

  /** Those that are not in the log of their server since then, or not after the one before them in the plan. */
  function notRun({ statements }: Plan, since: Record<Server, number>): string[] {
    // Lines that follow are indented there, and passwords are written out, also the one of a connection to nowhere.
    const left = Object.fromEntries(
      Object.entries(servers).map(([name, server]) => [
        name,
        server
          .log()
          .slice(since[name as Server])
          .replaceAll('\n\t', '\n')
          .replaceAll(server.password, '********')
          .replaceAll(`password=''none''`, `password=''********''`),
      ]),
    );
    return statements.flatMap(({ server, sql }) => {
      const place = left[server]!.indexOf(sql);
      if (place < 0) return [`${server}: ${sql}`];
      left[server] = left[server]!.slice(place + sql.length);
      return [];
    });
  }

  async function planned(method: string, path: string, body?: object): Promise<Plan> {
    const dry = `${path}${path.includes('?') ? '&' : '?'}dryRun=true`;
    const plan = await lockstep.ok<Plan>(method, dry, body);
    for (const statement of plan.statements) {
      expect([path, statement]).toEqual([
        path,
        {
          ...{ server: expect.stringMatching(/^(source|sink)$/), database: expect.any(String) },
          ...{ sql: expect.any(String), transactional: expect.any(Boolean), lock: expect.stringMatching(/\w/) },
          ...(plan.does === undefined ? { effect: expect.stringMatching(/^[A-Z].*\.$/) } : {}),
          ...(statement.effect === undefined ? {} : { effect: expect.any(String) }),
        },
      ]);
    }
    return plan;
  }

  async function runsAsPlanned(action: string, method: string, path: string, body?: object): Promise<Plan> {
    const before = sizes();
    const plan = await planned(method, path, body);
    expect(plan.statements.length).toBeGreaterThan(0);
    const rehearsed = action.startsWith('publications.') && action !== 'publications.drop';
    if (!rehearsed)
      expect([action, notRun(plan, before)]).toEqual([
        action,
        plan.statements.map(({ server, sql }) => `${server}: ${sql}`),
      ]);
    const started = sizes();
    const { status, body: answer } = await lockstep.request(method, path, body);
    expect([action, status < 300 || answer]).toEqual([action, true]);
    expect([action, notRun(plan, started)]).toEqual([action, []]);
    const { items } = await lockstep.ok<{ items: { sql: string[]; outcome: string }[] }>(
      ...(['GET', `/v1/audit-events?action=${action}&limit=2`] as const),
    );
    const [real, dry] = items;
    expect([action, real!.outcome, dry!.outcome]).toEqual([action, 'succeeded', 'dry-run']);
    // A skip reads the publisher first, by a slot that ends with its session; so does its dry run.
    const changing = real!.sql.filter((sql) => !sql.includes(`'lockstep_p_…'`));
    expect(changing).toEqual(
      plan.statements.map(
        ({ server, database: where, sql }) =>
          `-- ${server}/${where}\n${sql.replace(/password=''\*+''/, 'password=[redacted]')}`,
      ),
    );
    expect(dry!.sql).toEqual(real!.sql);
    return plan;
  }

  it('publications', async () => {
    const target = { kind: 'tables', tables: [{ schema: 'public', name: 't' }] };
    await runsAsPlanned('publications.create', 'POST', publications, { name: 'p', target });
    const patch = {
      ...{ name: 'p2', publish: ['insert', 'update', 'delete'] },
      ...{ addTables: [{ schema: 'public', name: 'u' }], removeTables: [{ schema: 'public', name: 't' }] },
    };
    expect((await runsAsPlanned('publications.patch', 'PATCH', `${publications}/p`, patch)).statements).toHaveLength(4);
    await runsAsPlanned('publications.drop', 'DELETE', `${publications}/p2`);
    await lockstep.ok('POST', publications, { name: 'p', target });
  });

  it('slots', async () => {
    await runsAsPlanned('replication-slots.create', 'POST', slots, { name: 'a', kind: 'logical', database });
    await runsAsPlanned('replication-slots.copy', 'POST', `${slots}/a/copy`, { name: 'b' });
    const { currentLsn } = await lockstep.ok<{ currentLsn: string }>('GET', `${slots}/a`);
    await runsAsPlanned('replication-slots.advance', 'POST', `${slots}/a/advance`, { lsn: currentLsn });
    for (const name of ['a', 'b']) await runsAsPlanned('replication-slots.drop', 'DELETE', `${slots}/${name}`);
  });

  it('tables', async () => {
    const path = `${base('source')}/tables/public/u/replica-identity`;
    await runsAsPlanned('tables.setReplicaIdentity', 'PUT', path, { kind: 'full' });
  });

  it('subscriptions, their sequences and what they leave', async () => {
    const body = { name: 's', publisher: { server: 'source', database }, publications: ['p'] };
    const created = await runsAsPlanned('subscriptions.create', 'POST', `${base('sink')}/subscriptions`, body);
    expect(created.statements.map(({ server }) => server)).toEqual(['source', 'sink']);
    expect(created.tables).toEqual({
      ...{ added: [{ schema: 'public', name: 't' }], removed: [], absent: [], reason: null },
      copy: { tables: 1, bytes: 8192, rows: null },
    });
    await eventually(async () => (await lockstep.ok<{ state: string }>('GET', subscription)).state === 'streaming', {
      within: 60_000,
    });
    await runsAsPlanned('subscriptions.refresh', 'POST', `${subscription}/refresh`, { copyData: false });
    await runsAsPlanned('link-sequences.sync', 'POST', '/v1/links/sink/Dry%20run/s/sequences/sync');
    await planned('POST', `${subscription}/diagnose`);
    const resync = await planned('POST', `${subscription}/tables/public/t/resync`);
    expect(resync.does).toMatch(/\d+ rows/);
    if (to >= 15) {
      const { lsn } = await servers.source!.withSession(database, (session) =>
        session.row<{ lsn: string }>(`select (pg_current_wal_lsn() + 1000)::text as lsn`),
      );
      await runsAsPlanned('stuck.skip', 'POST', `${subscription}/skip`, { lsn, force: true });
      await runsAsPlanned('stuck.skip', 'POST', `${subscription}/skip`, { lsn: null });
    }
    await runsAsPlanned('subscriptions.disable', 'POST', `${subscription}/disable`);
    await runsAsPlanned('subscriptions.patch', 'PATCH', subscription, {
      ...{ options: { synchronousCommit: 'local' }, addPublications: ['later'] },
      ...{ publisher: { server: 'source', database }, owner: servers.sink!.user },
    });
    await runsAsPlanned('subscriptions.enable', 'POST', `${subscription}/enable`);
    await runsAsPlanned('subscriptions.drop', 'DELETE', `${subscription}?slot=keep`);
    const { items } = await lockstep.ok<{ items: { id: string }[] }>('GET', '/v1/orphaned-slots');
    const forget = await planned('DELETE', `/v1/orphaned-slots/${items[0]!.id}`);
    expect(forget).toMatchObject({ does: expect.stringContaining('Forgets'), statements: [] });
  });
});
