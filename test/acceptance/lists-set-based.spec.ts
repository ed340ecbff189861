import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LinksModule } from '../../src/links/links.module.js';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { SequencesModule } from '../../src/sequences/sequences.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { TablesModule } from '../../src/tables/tables.module.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const DATABASE = 'lists';
const IN_DATABASE = `/v1/servers/one/databases/${DATABASE}`;
const LISTS = [
  ...[`${IN_DATABASE}/tables`, `${IN_DATABASE}/sequences`, `${IN_DATABASE}/publications`],
  ...[`${IN_DATABASE}/publications/every/tables`, `${IN_DATABASE}/subscriptions`],
  ...['/v1/servers/one/replication-slots', '/v1/links', '/v1/orphaned-slots'],
];
const FEW = 6;
const MANY = 120;

/** What a page costs the managed servers does not grow with what is on it: read in the server's own log. */
describe.each([14, 18])('a page of any list is a number of statements, not one for each item, on %i', (major) => {
  let state: TestServer;
  let server: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [state, server] = await Promise.all([
      TestServer.shared(18),
      TestServer.start(major, { log_statement: 'all', max_replication_slots: '300' }),
    ]);
    await server.freshDatabase(DATABASE);
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

  async function fill(from: number, to: number): Promise<void> {
    const { host, port, user, password } = server;
    const connection = `host=${host} port=${port} user=${user} password=${password} dbname=${DATABASE}`;
    await server.run(
      DATABASE,
      `do $$ begin for i in ${from}..${to} loop
         execute format('create table t%s (id bigserial primary key)', i);
         execute format('create publication p%s for table t%s', i, i);
         execute format('create subscription s%s connection %L publication p%s with (connect = false, slot_name = s%s)',
                        i, '${connection}', i, i);
         perform pg_catalog.pg_create_physical_replication_slot('s' || i);
       end loop; end $$`,
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
        if (path !== '/v1/orphaned-slots')
          expect(answer.body.items.length).toBeGreaterThanOrEqual(Math.min(limit, FEW));
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
    await statements(200);
    const few = await statements(200);
    await fill(FEW + 1, MANY);
    await statements(200);
    const many = await statements(200);
    expect(many).toEqual(few);
    expect(many[`${IN_DATABASE}/tables`]).toBeGreaterThan(0);
  }, 120_000);
});
