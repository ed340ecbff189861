import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Drift } from '../../src/links/drift/drift.service.js';
import { identifier } from '../../src/postgres/quoting.js';
import { eventually } from '../support/eventually.js';
import { LinkEnds } from './link-ends.js';

const ODD = 'Wéird "Part" / ü';
const odd = identifier(ODD);

const TABLES = `
  create table monthly (id int, at date, primary key (id, at)) partition by range (at);
  create table monthly_01 partition of monthly for values from ('2026-01-01') to ('2026-02-01');
  create table listed (id int, land text, primary key (id, land)) partition by list (land);
  create table listed_de partition of listed for values in ('de', 'at');
  create table nested (id int, at date, primary key (id, at)) partition by range (at);
  create table nested_26 partition of nested for values from ('2026-01-01') to ('2027-01-01') partition by range (id);
  create table nested_26_a partition of nested_26 for values from (0) to (10);
  create table singly (id int primary key, note text) partition by range (id);
  create table singly_a partition of singly for values from (0) to (10);
  create table own_bound (id int primary key) partition by range (id);
  create table own_bound_a partition of own_bound for values from (0) to (10);
  create table plain (id int primary key);
  create table priced (id int, price numeric, primary key (id, price)) partition by list (price);
  create table priced_9 partition of priced for values in (9);
  create table below (id int, tenant text, primary key (id, tenant)) partition by range (id);
  create table below_a partition of below for values from (0) to (10);
  create table kept (id int primary key) partition by range (id);
  create table kept_b partition of kept for values from (10) to (20)`;

describe.each([
  [14, 18],
  [18, 14],
  [13, 17],
] as const)('drift of partitions, %i -> %i', (from, to) => {
  const database = `drift_partitions_${from}_${to}`;
  let ends: LinkEnds;

  beforeAll(async () => {
    ends = await LinkEnds.start(database, [from, to], TABLES);
    await ends.onPublisher(
      `create publication p for table monthly, listed, nested, plain, priced with (publish_via_partition_root = true);
       create publication q for table singly, own_bound, below;
       create publication r for table kept ${from >= 15 ? 'where (id >= 10)' : ''} with (publish_via_partition_root = true)`,
    );
    await ends.subscribe(database, 'p, q, r');
  }, 60_000);
  afterAll(() => ends?.stop(), 60_000);

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
  const mended = async () => {
    const found = await drift();
    await ends.carryOut(found.statements);
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    return found;
  };

  it('is none where both sides have the same', async () => {
    expect(await drift()).toMatchObject({ state: 'none', reason: null, findings: [], statements: [] });
  });

  it('is a partition that the subscriber lacks, of a root that is sent', async () => {
    await ends.onPublisher(
      `create table monthly_02 partition of monthly for values from ('2026-02-01') to ('2026-03-01');
       create table ${odd} partition of listed for values in ('fr', 'o''x');
       create table listed_rest partition of listed default;
       create table nested_26_b partition of nested_26 for values from (10) to (20);
       create table nested_27 partition of nested for values from ('2027-01-01') to ('2028-01-01') partition by list (id);
       create table nested_27_a partition of nested_27 for values in (1, 2)`,
    );
    const found = await drift();
    expect(found.findings).toHaveLength(5);
    for (const finding of found.findings) {
      expect(finding).toMatchObject({ kind: 'partition-missing', side: 'subscriber', impact: 'may-stop-apply' });
    }
    expect(found.statements.map(({ sql }) => sql)).toEqual(
      expect.arrayContaining([
        `create table "public"."monthly_02" partition of "public"."monthly" for values from ('2026-02-01') to ('2026-03-01')`.replace(
          /for values from (.*) to/,
          'FOR VALUES FROM $1 TO',
        ),
        'create table "public"."listed_rest" partition of "public"."listed" DEFAULT',
      ]),
    );
    await mended();
    await ends.onPublisher(
      `insert into monthly values (1, '2026-02-05'); insert into listed values (1, 'o''x'), (2, 'pl');
       insert into nested values (1, '2027-05-05'), (15, '2026-05-05')`,
    );
    for (const table of ['monthly', 'listed', 'nested']) await arrived(table);
  }, 60_000);

  it('is none where other bounds, a default partition or a plain table take all rows', async () => {
    await ends.onSubscriber(
      `drop table monthly_01, monthly_02;
       create table monthly_26 partition of monthly for values from ('2026-01-01') to ('2026-02-15');
       create table monthly_26_b partition of monthly for values from ('2026-02-15') to (maxvalue);
       drop table nested_27; create table nested_all partition of nested default`,
    );
    const found = await drift();
    // A default partition takes no row of a partition that is there, and incomplete.
    expect(found).toMatchObject({ state: 'none', findings: [] });
    await ends.onSubscriber('drop table nested; create table nested (id int, at date, primary key (id, at))');
    expect(await drift()).toMatchObject({ findings: [{ kind: 'table-not-subscribed' }] });
    await ends.onSubscriber(`drop table nested; create table nested (id int, at date, primary key (id, at)) partition by hash (id);
      create table nested_0 partition of nested for values with (modulus 2, remainder 0);
      create table nested_1 partition of nested for values with (modulus 4, remainder 1);
      create table nested_3 partition of nested for values with (modulus 4, remainder 3)`);
    expect(await drift()).toMatchObject({ findings: [{ kind: 'table-not-subscribed' }] });
    await mended();
  }, 60_000);

  it('cannot be told where the partitions are by other keys, and is a subscriber that alone has partitions', async () => {
    await ends.onSubscriber('drop table nested_3');
    expect((await drift()).findings).toMatchObject([{ kind: 'partition-missing', impact: 'unknown', statements: [] }]);
    await ends.onSubscriber('create table nested_3 partition of nested for values with (modulus 4, remainder 3)');
    await ends.onSubscriber(`drop table plain; create table plain (id int primary key) partition by range (id);
      create table plain_a partition of plain for values from (0) to (10)`);
    await ends.carryOut((await drift()).statements.filter(({ sql }) => sql.includes('refresh')));
    const found = await drift();
    expect(found.findings).toMatchObject([{ kind: 'partition-missing', impact: 'may-stop-apply', statements: [] }]);
    expect(found.findings[0]!.advice).toContain('default');
    await ends.onSubscriber('create table plain_rest partition of plain default');
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onPublisher('insert into plain values (1), (99)');
    await arrived('plain');
  }, 60_000);

  it('is none for certain where equal values are printed differently, or a row filter leaves them out', async () => {
    await ends.onPublisher('create table priced_1 partition of priced for values in (1.00)');
    await ends.onSubscriber('create table priced_one partition of priced for values in (1.0)');
    expect(await drift()).toMatchObject({
      ...{ state: 'unknown', statements: [] },
      findings: [{ kind: 'partition-missing', table: { name: 'priced' }, impact: 'unknown', statements: [] }],
    });
    await ends.onPublisher('insert into priced values (1, 1)');
    await arrived('priced');
    await ends.onSubscriber('create table priced_rest partition of priced default');
    await ends.onPublisher('create table kept_a partition of kept for values from (0) to (10)');
    if (from >= 15) {
      const found = await drift();
      expect(found).toMatchObject({
        ...{ state: 'unknown', statements: [] },
        findings: [{ kind: 'partition-missing', impact: 'unknown', detail: expect.stringContaining('row filter') }],
      });
      await ends.onPublisher('insert into kept values (1), (11); alter publication r set table kept');
    }
    await mended();
    await ends.onPublisher('delete from kept; insert into kept values (2), (12)');
    await arrived('kept');
  }, 60_000);

  it('is a partition that is sent by itself, made as one on the subscriber', async () => {
    await ends.onPublisher(`create table singly_b partition of singly for values from (10) to (20)`);
    const found = await drift();
    expect(found.findings).toMatchObject([{ kind: 'table-missing', table: { name: 'singly_b' } }]);
    expect(found.statements[0]!.sql).toBe(
      'create table "public"."singly_b" partition of "public"."singly" FOR VALUES FROM (10) TO (20)',
    );
    await mended();
    await ends.onPublisher(`insert into singly values (1, 'a'), (11, 'b')`);
    await arrived('singly');
  }, 60_000);

  it('is a partition of other bounds into which rows come by itself', async () => {
    const rebound = (bound: string) =>
      ends.onSubscriber(
        `alter table own_bound detach partition own_bound_a;
         alter table own_bound attach partition own_bound_a for values ${bound}`,
      );
    await rebound('from (0) to (100)');
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await rebound('from (5) to (100)');
    const found = await drift();
    expect(found.findings).toMatchObject([
      { kind: 'partition-bound', table: { name: 'own_bound_a' }, impact: 'may-stop-apply', side: 'subscriber' },
    ]);
    expect(found.statements).toEqual([]);
    await ends.carryOut(found.findings[0]!.statements);
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onPublisher('insert into own_bound values (1), (7)');
    await arrived('own_bound_a');
  }, 60_000);

  it('cannot be told where a partition of wider bounds lies below another one', async () => {
    await ends.onSubscriber(
      `alter table below detach partition below_a; drop table below;
       create table below (id int, tenant text, primary key (id, tenant)) partition by list (tenant);
       create table tenant_a partition of below for values in ('a') partition by range (id);
       alter table tenant_a attach partition below_a for values from (0) to (100)`,
    );
    expect((await drift()).findings).toMatchObject([{ kind: 'partition-bound', impact: 'unknown', statements: [] }]);
  }, 60_000);
});
