import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Drift } from '../../src/links/drift/drift.service.js';
import { identifier } from '../../src/postgres/quoting.js';
import { eventually } from '../support/eventually.js';
import { OWNER_LOGIN } from '../support/owner-login.js';
import { LinkEnds, SUBSCRIPTION } from './link-ends.js';

const sub = identifier(SUBSCRIPTION);
const TABLES = `
  create table guarded (id int primary key);
  create table rooted (id int primary key) partition by range (id);
  create table rooted_a partition of rooted for values from (0) to (10);
  create table filled (id int primary key, n int, twice int generated always as (n * 2) stored);
  create table given (id int primary key, n int, twice int)`;

describe.each([
  [14, 18],
  [18, 15],
  [18, 14],
  [15, 16],
] as const)('drift of row security and computed columns, %i -> %i', (from, to) => {
  const database = `drift_security_${from}_${to}`;
  const low = identifier(`low "ü" ${from} ${to}`);
  let ends: LinkEnds;

  beforeAll(async () => {
    ends = await LinkEnds.start(database, [from, to], TABLES);
    await ends.onPublisher(
      `create publication p for table guarded, rooted, filled, given with (publish_via_partition_root = true)`,
    );
    await ends.subscribe(database);
    await ends.onSubscriber(
      `create role ${low} superuser login; grant create on database ${identifier(database)} to ${low};
       create policy all_rows on guarded using (true); create policy all_rows on rooted_a using (true)`,
    );
  }, 60_000);
  afterAll(async () => {
    await ends?.onSubscriber(`alter subscription ${sub} owner to current_user; reassign owned by ${low} to current_user;
      drop owned by ${low}; drop role ${low}`);
    await ends?.stop();
  }, 60_000);

  const drift = async () => (await ends.api.get(`${ends.path}/drift`)).body as Drift;
  const arrived = async (table: string) => {
    const rows = (server: typeof ends.publisher) =>
      server.withSession(database, (session) => session.rows(`select * from public.${table} order by id`));
    const written = await rows(ends.publisher);
    await eventually(
      async () => {
        expect(await rows(ends.subscriber)).toEqual(written);
        return true;
      },
      { within: 20_000 },
    );
  };

  it('is none where whoever applies is not held to the policies', async () => {
    await ends.onSubscriber(
      'alter table guarded enable row level security; alter table rooted_a enable row level security',
    );
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onPublisher('insert into guarded values (1); insert into rooted values (1)');
    await arrived('guarded');
    await arrived('rooted');
  }, 60_000);

  it('is a table whose policies hold the role that applies, from 15 on', async () => {
    // From 16 on a table's owner applies to it, whom only FORCE holds; before, the subscription's.
    if (to >= 16) {
      await ends.onSubscriber(
        `alter role ${low} nosuperuser; alter table guarded owner to ${low}; alter table guarded force row level security`,
      );
      // Whoever is no superuser applies only what it may become the owner of.
      if (OWNER_LOGIN !== null) await ends.onSubscriber(`grant ${low} to ${identifier(OWNER_LOGIN.user)}`);
    } else {
      await ends.onSubscriber(`alter subscription ${sub} owner to ${low}; alter role ${low} nosuperuser`);
      await ends.onSubscriber(`grant all on guarded, rooted, rooted_a, filled, given to ${low}`);
    }
    const found = await drift();
    if (to < 15) {
      expect(found).toMatchObject({ state: 'none', findings: [] });
      await ends.onPublisher('insert into guarded values (2)');
      return arrived('guarded');
    }
    const names = to >= 16 ? ['guarded'] : ['guarded', 'rooted'];
    expect(found.findings).toMatchObject(
      names.map((name) => ({ kind: 'row-security', table: { name }, side: 'subscriber', impact: 'stops-apply' })),
    );
    // Whom policies hold, you know.
    expect(found.statements).toEqual([]);
    await ends.onPublisher('insert into guarded values (2); insert into rooted values (2)');
    await eventually(
      () =>
        ends.subscriber.withSession(database, async (session) => {
          if (to < 15) return true;
          const { errors } = await session.row<{ errors: number }>(
            `select e.apply_error_count::int as errors from pg_catalog.pg_stat_subscription_stats e
               join pg_catalog.pg_subscription s on s.oid = e.subid
               join pg_catalog.pg_database d on d.oid = s.subdbid where d.datname = current_database()`,
          );
          return errors > 0;
        }),
      { within: 20_000 },
    );
    await ends.carryOut(found.findings.flatMap(({ statements }) => statements));
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await arrived('guarded');
    await arrived('rooted');
  }, 60_000);

  it('is one for the subscription’s owner, where that runs the worker', async () => {
    if (to < 16) return;
    await ends.onSubscriber(
      `alter table guarded owner to ${identifier(ends.subscriber.user)}; alter subscription ${sub} set (run_as_owner = true)`,
    );
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onSubscriber(`alter subscription ${sub} owner to ${low}`);
    const found = await drift();
    expect(found.findings).toMatchObject([
      { kind: 'row-security', table: { name: 'guarded' }, detail: expect.stringContaining('subscription') },
      { kind: 'row-security', table: { name: 'rooted' } },
    ]);
    await ends.onSubscriber(`alter subscription ${sub} owner to ${identifier(ends.subscriber.user)}`);
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
  }, 60_000);

  it('is a column that the publisher computes and does not send, and that is plain on the subscriber', async () => {
    await ends.onSubscriber('alter table filled alter column twice drop expression');
    const found = await drift();
    expect(found.findings).toMatchObject([
      { kind: 'column-not-generated', column: 'twice', impact: 'may-differ', side: 'subscriber' },
    ]);
    expect(found.findings[0]!.advice).toMatch(from >= 18 ? /publish_generated_columns/ : /values/);
    // What is in the column goes with it.
    expect(found.statements).toEqual([]);
    await ends.carryOut(found.findings[0]!.statements);
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onPublisher('insert into filled values (1, 5)');
    await arrived('filled');
    if (from < 18) return;
    await ends.onSubscriber('alter table filled alter column twice drop expression');
    await ends.onPublisher('alter publication p set (publish_generated_columns = stored)');
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onPublisher('insert into filled values (2, 6)');
    await arrived('filled');
  }, 60_000);

  it('is a column that is sent, and that the subscriber computes', async () => {
    await ends.onSubscriber('alter table given drop twice, add twice int generated always as (n * 2) stored');
    const found = await drift();
    expect(found.findings).toMatchObject([{ kind: 'column-generated', column: 'twice', impact: 'stops-apply' }]);
    await ends.carryOut(found.statements);
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onPublisher('insert into given values (1, 5, 7)');
    await arrived('given');
  }, 60_000);
});
