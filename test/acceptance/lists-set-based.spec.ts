import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LinksModule } from '../../src/links/links.module.js';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { SequencesModule } from '../../src/sequences/sequences.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { TablesModule } from '../../src/tables/tables.module.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const DATABASE = 'lists';
/** Of the same server: what enabled subscriptions read from. */
const SOURCE = 'lists_source';
const IN_DATABASE = `/v1/servers/one/databases/${DATABASE}`;
const LISTS = [
  ...[`${IN_DATABASE}/tables`, `${IN_DATABASE}/sequences`, `${IN_DATABASE}/publications`],
  ...[`${IN_DATABASE}/publications/every/tables`, `${IN_DATABASE}/subscriptions`],
  ...['/v1/servers/one/replication-slots', '/v1/links', '/v1/orphaned-slots'],
  `/v1/links/one/${DATABASE}/e1/sequences`,
];
const FEW = 6;
const MANY = 120;
/** Of the enabled, each of which is two processes, and of the dropped, each of which is a request. */
const MANY_LIVE = 30;
const SETTINGS = {
  ...{ log_statement: 'all', max_connections: '200', max_replication_slots: '300', max_wal_senders: '60' },
  ...{ max_logical_replication_workers: '50', max_worker_processes: '70' },
};

/** What a page costs the managed servers does not grow with what is on it: read in the server's own log. */
describe.each([14, 18])('a page of any list is a number of statements, not one for each item, on %i', (major) => {
  let state: TestServer;
  let server: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [state, server] = await Promise.all([
      TestServer.shared(18),
      TestServer.start(major, { ...SETTINGS, ...(major >= 18 ? { max_active_replication_origins: '60' } : {}) }),
    ]);
    for (const database of [DATABASE, SOURCE]) await server.freshDatabase(database);
    await server.run(DATABASE, 'create publication every for all tables');
    api = await ApiUnderTest.start(state, await state.freshDatabase(`lists_state_${major}`), {
      imports: [
        ...[TablesModule, SequencesModule, PublicationsModule, SubscriptionsModule],
        ...[ReplicationSlotsModule, LinksModule],
      ],
      environment: { LOCKSTEP_SCHEMA_DRIFT_SECONDS: '0' },
    });
    const { host, port, user, password } = server;
    const body = { name: 'one', host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
    expect((await api.post('/v1/servers', body)).status).toBe(201);
  }, 60_000);
  afterAll(async () => {
    await api?.stop();
    for (const each of [state, server]) await each?.stop();
  });

  const connection = (database: string) => {
    const { host, port, user, password } = server;
    return `host=${host} port=${port} user=${user} password=${password} dbname=${database}`;
  };

  async function fill(from: number, to: number): Promise<void> {
    await server.run(
      DATABASE,
      `do $$ begin for i in ${from}..${to} loop
         execute format('create table t%s (id bigserial primary key)', i);
         execute format('create publication p%s for table t%s', i, i);
         execute format('create subscription s%s connection %L publication p%s with (connect = false, slot_name = s%s)',
                        i, '${connection(DATABASE)}', i, i);
         perform pg_catalog.pg_create_physical_replication_slot('s' || i);
       end loop; end $$`,
    );
  }

  /** Subscriptions that stream, and slots of ones that were dropped without them. */
  async function fillLive(from: number, to: number): Promise<void> {
    for (let i = from; i <= to; i++) {
      await server.withSession(SOURCE, async (session) => {
        await session.execute(`create table public.t${i} (id bigserial primary key)`);
        await session.execute(`create publication p${i} for table public.t${i}`);
        for (const kind of ['e', 'o']) {
          await session.rows('select pg_catalog.pg_create_logical_replication_slot($1, $2)', [
            `${kind}${i}`,
            'pgoutput',
          ]);
        }
      });
      for (const kind of ['e', 'o']) {
        await server.run(
          DATABASE,
          `create subscription ${kind}${i} connection '${connection(SOURCE)}' publication p${i}
             with (create_slot = false, copy_data = false, enabled = ${kind === 'e'}, slot_name = ${kind}${i})`,
        );
      }
      const dropped = await api.call('DELETE', `${IN_DATABASE}/subscriptions/o${i}?slot=keep`);
      expect([i, dropped.status]).toEqual([i, 200]);
    }
    await eventually(
      async () => {
        const streaming = await server.withSession('postgres', async (session) => {
          const senders = await session.rows("select from pg_stat_replication where state = 'streaming'");
          return senders.length;
        });
        if (streaming !== to) throw new Error(`${streaming} stream`);
        return true;
      },
      { within: 60_000, every: 300 },
    );
  }

  /** How many statements a page of each list comes to; the least of several: something else may be at work. */
  async function statements(limit: number): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const path of LISTS) {
      for (let round = 0; round < 3; round++) {
        const before = server.log().length;
        const answer = await api.get(`${path}?limit=${limit}`);
        expect([path, answer.status]).toEqual([path, 200]);
        expect([path, answer.body.items.length >= FEW]).toEqual([path, true]);
        const lines =
          server
            .log()
            .slice(before)
            .match(/LOG: {2}(statement|execute)/g) ?? [];
        counts[path] = Math.min(counts[path] ?? Infinity, lines.length);
      }
    }
    return counts;
  }

  it('few and many take the same', async () => {
    await fill(1, FEW);
    await fillLive(1, FEW);
    await statements(200);
    const few = await statements(200);
    await fill(FEW + 1, MANY);
    await fillLive(FEW + 1, MANY_LIVE);
    await statements(200);
    const many = await statements(200);
    expect(many).toEqual(few);
    for (const path of LISTS) expect([path, many[path]]).toEqual([path, expect.any(Number)]);
    expect(Math.min(...Object.values(many))).toBeGreaterThan(0);
    const { body } = await api.get('/v1/orphaned-slots?limit=200');
    expect(body.items).toHaveLength(MANY_LIVE);
  }, 240_000);
});
