import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Drift } from '../../src/links/drift/drift.service.js';
import { identifier } from '../../src/postgres/quoting.js';
import { eventually } from '../support/eventually.js';
import { LinkEnds, SUBSCRIPTION } from './link-ends.js';

const sub = identifier(SUBSCRIPTION);
const TABLES = `
  create table guarded (id int primary key, tenant text);
  create table open (id int primary key);
  create table rooted (id int primary key) partition by range (id);
  create table rooted_a partition of rooted for values from (0) to (10)`;

describe.each([
  [15, 18],
  [16, 15],
  [18, 16],
] as const)('a first copy by a login that row security holds, %i -> %i', (from, to) => {
  const database = `drift_copies_${from}_${to}`;
  const name = `copies ü ${from} ${to}`;
  const low = identifier(name);
  let ends: LinkEnds;
  let connection: string;

  beforeAll(async () => {
    ends = await LinkEnds.start(database, [from, to], TABLES);
    await ends.onPublisher(
      `create role ${low} login replication password 'a-secret';
       grant select on all tables in schema public to ${low};
       insert into guarded values (1, 'a'), (2, 'b'); insert into rooted values (1);
       alter table guarded enable row level security; create policy mine on guarded using (tenant = 'a');
       alter table rooted_a enable row level security;
       create publication p for table guarded, open, rooted with (publish_via_partition_root = true)`,
    );
    await ends.subscribe(database);
    const { host, port } = ends.publisher;
    connection = `host=${host} port=${port} user='${name}' password=a-secret dbname=${database}`;
    await ends.onSubscriber(`alter subscription ${sub} connection '${connection.replaceAll("'", "''")}'`);
  }, 60_000);
  afterAll(async () => {
    await ends?.stop();
    await ends?.publisher.run(database, `drop owned by ${low}; drop role ${low}`).catch(() => {});
  }, 60_000);

  const drift = async () => (await ends.api.get(`${ends.path}/drift`)).body as Drift;
  const rows = (table: string) =>
    ends.subscriber.withSession(database, async (session) => {
      const found = await session.rows<{ id: number }>(`select id from public.${table} order by id`);
      return found.map(({ id }) => id);
    });
  /** Everything is copied afresh. */
  const copyAgain = async () => {
    await ends.onSubscriber(`alter subscription ${sub} set publication p with (refresh = false)`);
    await ends.onPublisher('create publication none');
    await ends.onSubscriber(`alter subscription ${sub} set publication none`);
    await ends.onSubscriber('truncate guarded, rooted');
    await ends.onSubscriber(`alter subscription ${sub} set publication p with (copy_data = true)`);
    await ends.onPublisher('drop publication none');
    await eventually(
      () =>
        ends.subscriber.withSession(database, async (session) => {
          const sql = `select count(*)::int as n from pg_catalog.pg_subscription_rel where srsubstate <> 'r'`;
          return (await session.row<{ n: number }>(sql)).n === 0;
        }),
      { within: 30_000 },
    );
  };

  it('leaves rows out without an error, while their changes are sent', async () => {
    await copyAgain();
    // Policies of a partition are not asked for what is read from its root.
    expect(await rows('rooted')).toEqual([1]);
    expect(await rows('guarded')).toEqual([1]);
    await ends.onPublisher(`insert into guarded values (3, 'b')`);
    await eventually(async () => (await rows('guarded')).includes(3), { within: 20_000 });
    const found = await drift();
    expect(found).toMatchObject({
      ...{ state: 'drifted', statements: [] },
      findings: [
        {
          ...{ kind: 'row-security', table: { name: 'guarded' }, side: 'publisher', impact: 'may-differ' },
          detail: expect.stringContaining('without an error'),
          statements: [{ server: 'source', sql: `alter role ${low} bypassrls` }],
        },
      ],
    });
    const { body } = await ends.api.get(ends.path);
    expect(body).toMatchObject({ schemaDrift: { state: 'drifted' } });
  }, 60_000);

  it('is told otherwise where the connection turns row_security off, or names nobody', async () => {
    const set = (text: string) =>
      ends.onSubscriber(`alter subscription ${sub} connection '${text.replaceAll("'", "''")}'`);
    await set(`${connection} options='-c row_security=off'`);
    expect((await drift()).findings).toMatchObject([{ impact: 'may-stop-apply' }]);
    await set(connection.replace(/user='[^']*' /, ''));
    expect(await drift()).toMatchObject({ state: 'unknown', findings: [{ impact: 'unknown', statements: [] }] });
    await set(connection);
    expect((await drift()).findings).toMatchObject([{ impact: 'may-differ' }]);
  }, 60_000);

  it('is whole once the login bypasses row security, or owns the table', async () => {
    await ends.onPublisher(`alter table guarded owner to ${low}`);
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onPublisher('alter table guarded force row level security');
    const forced = (await drift()).findings;
    expect(forced).toMatchObject([{ statements: [{ sql: expect.stringContaining('no force row level security') }] }]);
    await ends.onPublisher(`alter table guarded owner to current_user; grant select on guarded to ${low}`);
    const [finding] = (await drift()).findings;
    await ends.carryOut(finding!.statements);
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await copyAgain();
    expect(await rows('guarded')).toEqual([1, 2, 3]);
  }, 60_000);

  it('is warned of by the API that makes it, and fails instead of lacking rows', async () => {
    await ends.onSubscriber('create table fresh (id int primary key, tenant text)');
    await ends.onPublisher(
      `alter role ${low} nobypassrls; create table fresh (id int primary key, tenant text);
       insert into fresh values (1, 'a'), (2, 'b'); grant select on fresh to ${low};
       alter table fresh enable row level security; create policy mine on fresh using (tenant = 'a');
       create publication fresh for table fresh`,
    );
    await ends.register('low', { ...ends.publisher.target(), user: name, password: 'a-secret' });
    const path = `/v1/servers/sink/databases/${database}/subscriptions`;
    const options = { slotName: `fresh_${from}_${to}` };
    const body = { name: 'fresh', publisher: { server: 'low', database }, publications: ['fresh'], options };
    const warnings = [{ rule: 'copy-sees-all-rows', option: 'copyData', detail: expect.stringContaining(low) }];
    const asked = await ends.api.post(`${path}?dryRun=true`, body);
    expect([asked.status, asked.body.warnings]).toMatchObject([200, warnings]);
    const uncopied = await ends.api.post(`${path}?dryRun=true`, { ...body, options: { ...options, copyData: false } });
    expect([uncopied.status, uncopied.body.warnings]).toEqual([200, []]);
    const created = await ends.api.post(path, body);
    expect([created.status, created.body.warnings]).toMatchObject([201, warnings]);
    const failed = () =>
      ends.subscriber.withSession(database, async (session) => {
        const sql = `select sync_error_count > 0 as failed from pg_catalog.pg_stat_subscription_stats where subname = 'fresh'`;
        return (await session.row<{ failed: boolean }>(sql)).failed;
      });
    await eventually(failed, { within: 30_000 });
    expect(await rows('fresh')).toEqual([]);
    await ends.onPublisher(`alter role ${low} bypassrls`);
    await eventually(async () => (await rows('fresh')).length === 2, { within: 30_000 });
    expect((await ends.api.call('DELETE', `${path}/fresh`)).status).toBe(200);
  }, 90_000);
});
