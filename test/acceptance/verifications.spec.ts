import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import { ApiModule } from '../../src/api/api.module.js';
import { ConfigModule } from '../../src/config/config.module.js';
import { EngineModule } from '../../src/engine/engine.module.js';
import { ObservabilityModule } from '../../src/observability/observability.module.js';
import { OperationsApiModule } from '../../src/operations/operations-api.module.js';
import { StorageModule } from '../../src/storage/storage.module.js';
import { VerificationModule } from '../../src/verification/verification.module.js';
import { LinkFixture } from '../database/verification/link-fixture.js';
import { MixedLoad } from '../database/verification/mixed-load.js';
import { eventually } from '../support/eventually.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { type Answer, ApiUnderTest } from './security-app.js';

@Module({
  imports: [
    ...[ConfigModule, ObservabilityModule, StorageModule, ApiModule],
    ...[EngineModule, OperationsApiModule, VerificationModule],
  ],
})
class App {}

const NOTHING = '00000000-0000-4000-8000-000000000000';

describe('verifications', () => {
  const database = 'verifications_api';
  let api: ApiUnderTest;
  let link: LinkFixture;

  beforeAll(async () => {
    const publisher = await TestServer.shared(14);
    const subscriber = await TestServer.shared(AVAILABLE_MAJORS.at(-1)!);
    link = await LinkFixture.create(publisher, subscriber, database);
    await link.readers.drop();
    const state = await subscriber.freshDatabase('verifications_state');
    api = await ApiUnderTest.start(subscriber, state, { root: App });
    await register('old', publisher);
    await register('new', subscriber);
  }, 120_000);

  afterAll(async () => {
    await api?.stop();
    await link?.drop();
  });

  async function register(name: string, { host, port, user, password }: TestServer): Promise<void> {
    const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
    expect((await api.post('/v1/servers', body)).status).toBe(201);
  }

  const subscriber = () => ({ server: 'new', database, subscription: link.subscription });
  const begin = (body: object = {}) =>
    api.post('/v1/verifications', { kind: 'at-rest', subscriber: subscriber(), ...body });

  async function ended(created: Answer): Promise<Answer['body']> {
    expect(created).toMatchObject({ status: 202, body: { kind: 'at-rest', verdict: null } });
    return eventually(
      async () => {
        const { body } = await api.get(`/v1/verifications/${created.body.id}`);
        return ['succeeded', 'failed', 'cancelled'].includes(body.state) ? body : null;
      },
      { within: 60_000, every: 50 },
    );
  }

  /** Slots and publications that the link had before us on both servers. */
  async function left(): Promise<string[]> {
    const names: string[] = [];
    for (const server of [link.publisher, link.subscriber]) {
      await server.withSession(database, async (session) => {
        const rows = await session.rows<{ name: string }>(
          `select slot_name as name from pg_replication_slots where database = current_database() and slot_name like 'lockstep%'
           union all select pubname from pg_publication where pubname like 'lockstep%'`,
        );
        names.push(...rows.map(({ name }) => name));
      });
    }
    return names;
  }

  it('says equal under load, table by table, at an LSN, and leaves nothing behind', async () => {
    const load = MixedLoad.start(link.publisher, database);
    const created = await begin();
    expect(created.headers.get('location')).toBe(`/v1/operations/${created.body.id}`);
    const result = await ended(created);
    await load.stop();
    expect(result).toMatchObject({
      state: 'succeeded',
      verdict: 'equal',
      method: 'own-slot',
      verifiedLsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
      subscriber: subscriber(),
      publisher: { server: 'old', database },
      progress: { percent: 100 },
      counters: { findings: 0 },
    });
    // One pair decided all but for what was in doubt; what is asked for does not change it.
    expect([true, false]).toContain(result.singleLsn);
    expect(result.progress.rowsDone).toBe(result.progress.rowsTotal);
    expect(result.tables).toHaveLength(7);
    expect(result.tables[0]).toMatchObject({
      schema: 'sales',
      name: 'by_index',
      verdict: 'equal',
      rows: 500,
      differences: { missing: 0, extra: 0, different: 0 },
    });
    expect(await left()).toEqual([]);
    // What was created and dropped on the servers for it is accounted for, with the SQL.
    const events = (await api.get('/v1/audit-events?limit=20')).body.items.filter(
      ({ subject }: { subject: string }) => subject === `verifications/${created.body.id}`,
    );
    expect(events).toEqual([
      expect.objectContaining({ action: 'verifications.remove', outcome: 'succeeded' }),
      expect.objectContaining({ action: 'verifications.prepare', outcome: 'succeeded' }),
    ]);
    const [removed, prepared] = events.map(({ sql }: { sql: string[] }) => sql.join('\n'));
    expect(prepared).toMatch(/publisher\nselect pg_catalog.pg_create_logical_replication_slot\('lockstep_v_\w+'/);
    expect(prepared).toMatch(/subscriber\ncreate publication/);
    expect(prepared).toMatch(/subscriber\nselect pg_catalog.pg_create_logical_replication_slot\('lockstep_s_\w+'/);
    expect(removed).toMatch(/publisher\nselect pg_catalog.pg_drop_replication_slot\('lockstep_v_\w+'/);
    expect(removed).toMatch(/subscriber\ndrop publication/);
    const operation = await api.get(`/v1/operations/${created.body.id}`);
    expect(operation.body).toMatchObject({ kind: 'verification', state: 'succeeded', result: { verdict: 'equal' } });
    const list = await api.get('/v1/verifications?limit=1');
    expect(list.body.items).toEqual([expect.objectContaining({ id: created.body.id, verdict: 'equal' })]);
  }, 90_000);

  it('lists differences page by page', async () => {
    await link.plant(`update sales.orders set total = total + 0.01, note = null where id in (1, 2, 4);
                      delete from sales.items where order_id = 5`);
    const result = await ended(
      await begin({
        tables: [
          { schema: 'sales', name: 'orders' },
          { schema: 'sales', name: 'items' },
        ],
      }),
    );
    expect(result).toMatchObject({ verdict: 'different', counters: { findings: 6 } });
    const found = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: Answer = await api.get(
        `/v1/verifications/${result.id}/differences?limit=4${cursor && `&cursor=${cursor}`}`,
      );
      expect(page.status).toBe(200);
      expect(page.body.items.length).toBeLessThanOrEqual(4);
      found.push(...page.body.items);
      cursor = page.body.nextCursor;
    }
    expect(found).toHaveLength(6);
    expect(found).toContainEqual({
      ...{ schema: 'sales', table: 'orders', kind: 'different', key: { id: '1' }, count: 1, subscriberLsn: null },
      id: expect.any(Number),
      columns: [
        { name: 'total', publisher: '0.14285714285714285714', subscriber: '0.15285714285714285714' },
        { name: 'note', publisher: 'note 1', subscriber: null },
      ],
      publisherLsn: expect.stringMatching(/\//),
      observedAt: expect.stringMatching(/Z$/),
    });
    expect(found.filter(({ kind, table }) => kind === 'missing' && table === 'items')).toHaveLength(3);
  }, 90_000);

  it.each([true, false])(
    'says that all was compared at one LSN, whether asked for or not (%s)',
    async (singleLsn) => {
      const created = await begin({ singleLsn, tables: [{ schema: 'sales', name: 'by_index' }] });
      expect(created.body.singleLsn).toBeNull();
      expect(await ended(created)).toMatchObject({ verdict: 'equal', singleLsn: true });
    },
    90_000,
  );

  it('says what cannot be compared, and why', async () => {
    const result = await ended(
      await begin({
        tables: [
          { schema: 'sales', name: 'by_index' },
          { schema: 'public', name: 'nowhere; --' },
        ],
      }),
    );
    expect(result).toMatchObject({ verdict: 'not-comparable', verifiedLsn: null });
    expect(result.tables).toEqual([
      expect.objectContaining({
        name: 'nowhere; --',
        verdict: 'not-comparable',
        reason: expect.stringContaining('does not carry'),
      }),
      expect.objectContaining({ name: 'by_index', verdict: 'equal' }),
    ]);
  }, 90_000);

  it('a dry run tells what would be compared and how, and leaves nothing', async () => {
    const plan = await begin({ dryRun: true });
    const real = await ended(await begin());
    expect(plan).toMatchObject({
      status: 200,
      body: {
        publisher: { server: 'old', database },
        subscriber: subscriber(),
        method: 'own-slot',
        methodReason: null,
      },
    });
    const mode = ({ verdict, reason }: { verdict: string; reason: string | null }) =>
      verdict === 'not-comparable'
        ? [reason, 'not-comparable']
        : [expect.anything(), expect.stringMatching(/^(by-key|as-)/)];
    expect(plan.body.tables).toHaveLength(real.tables.length);
    for (const table of real.tables) {
      const planned = plan.body.tables.find((each: { schema: string; name: string }) => {
        return each.schema === table.schema && each.name === table.name;
      });
      const [reason, expected] = mode(table);
      expect(planned).toMatchObject({ mode: expected });
      if (expected === 'not-comparable') expect(planned.reason).toBe(reason);
    }
    const statements = plan.body.statements.map(({ server, sql }: { server: string; sql: string }) => {
      return `${server}: ${/^(select \S+|\w+ publication)/.exec(sql)?.[1] ?? sql}`;
    });
    expect(statements).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^old: select pg_catalog.pg_create_logical_replication_slot/),
        'new: create publication',
        expect.stringMatching(/^new: select pg_catalog.pg_create_logical_replication_slot/),
        expect.stringMatching(/^old: select pg_catalog.pg_drop_replication_slot/),
        'new: drop publication',
      ]),
    );
    const only = await begin({ dryRun: true, tables: [{ schema: 'public', name: 'not there' }] });
    expect(only.body.tables).toMatchObject([{ name: 'not there', mode: 'not-comparable', reason: expect.any(String) }]);
    expect(await left()).toEqual([]);
    const dry = (await api.get('/v1/audit-events?outcome=dry-run')).body.items;
    expect(dry.map(({ action }: { action: string }) => action)).toEqual(Array(2).fill('verifications.create'));
  }, 90_000);

  it('says stalled when the subscription does not apply', async () => {
    await link.plant(`alter subscription ${link.subscription} disable`);
    try {
      const result = await ended(await begin());
      expect(result).toMatchObject({
        state: 'succeeded',
        verdict: 'stalled',
        reason: expect.stringContaining('disabled'),
      });
    } finally {
      await link.plant(`alter subscription ${link.subscription} enable`);
    }
    expect(await left()).toEqual([]);
  }, 90_000);

  it('is cancelled at once, also while a slot waits for other transactions, and cleans up', async () => {
    const blocker = await link.publisher.open(database);
    await blocker.execute('begin; create temporary table held ()');
    try {
      const created = await begin();
      await eventually(async () => (await api.get(`/v1/operations/${created.body.id}`)).body.state === 'running', {
        within: 10_000,
      });
      for (const kind of ['verifications', 'operations']) {
        const dry = await api.post(`/v1/${kind}/${created.body.id}/cancel?dryRun=true`);
        expect([dry.status, dry.body]).toEqual([200, { does: expect.any(String), statements: expect.any(Array) }]);
      }
      expect((await api.get(`/v1/operations/${created.body.id}`)).body.state).toBe('running');
      const asked = await api.post(`/v1/verifications/${created.body.id}/cancel`);
      expect(asked.status).toBe(202);
      expect(await ended(created)).toMatchObject({ state: 'cancelled', verdict: null });
      expect(await left()).toEqual([]);
      expect(await api.post(`/v1/verifications/${created.body.id}/cancel`)).toMatchObject({
        status: 409,
        body: { code: 'WRONG_STATE' },
      });
    } finally {
      await blocker.close();
    }
  }, 60_000);

  it.each([
    ['in motion, of a later release', { kind: 'in-motion' }, 422, 'NOT_AVAILABLE'],
    ['in motion with settings of its own', { kind: 'in-motion', maxPending: 5, until: 'now' }, 422, 'NOT_AVAILABLE'],
    ['an unknown kind', { kind: 'thorough' }, 400, 'INVALID_INPUT'],
    ['an unknown field', { speed: 'high' }, 400, 'INVALID_INPUT'],
    ['no tables at all', { tables: [] }, 400, 'INVALID_INPUT'],
    ['a table without a name', { tables: [{ schema: 'sales' }] }, 400, 'INVALID_INPUT'],
    ['an over-long name', { tables: [{ schema: 'sales', name: 'ä'.repeat(32) }] }, 400, 'INVALID_INPUT'],
    ['too many at a time', { maxParallel: 1000 }, 400, 'INVALID_INPUT'],
    ['an unknown server', { subscriber: { server: 'none', database, subscription: 's' } }, 404, 'NOT_FOUND'],
    ['an unknown subscription', { subscriber: { server: 'new', database, subscription: `'; --` } }, 404, 'NOT_FOUND'],
  ])('refuses %s', async (_what, body, status, code) => {
    expect(await begin(body)).toMatchObject({ status, body: { code } });
    expect(await left()).toEqual([]);
  });

  it('refuses a link whose publisher is not registered, and says what to register', async () => {
    expect((await api.call('DELETE', '/v1/servers/old')).status).toBe(204);
    try {
      expect(await begin()).toMatchObject({
        status: 409,
        body: { code: 'PREREQUISITE_FAILED', hint: expect.stringContaining('Register') },
      });
    } finally {
      await register('old', link.publisher);
    }
  });

  it('knows its own ids', async () => {
    const { body } = await api.get('/v1/verifications?limit=1');
    const id = body.items[0].id;
    for (const path of ['', '/differences', '/repair.sql']) {
      expect(await api.get(`/v1/verifications/${NOTHING}${path}`)).toMatchObject({
        status: 404,
        body: { code: 'NOT_FOUND' },
      });
    }
    expect(await api.get('/v1/verifications/17')).toMatchObject({ status: 400, body: { code: 'INVALID_INPUT' } });
    expect(await api.get(`/v1/verifications/${id}/differences?cursor=x`)).toMatchObject({ status: 400 });
  });
});
