import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Drift } from '../../src/links/drift/drift.service.js';
import { identifier } from '../../src/postgres/quoting.js';
import { eventually } from '../support/eventually.js';
import { LinkEnds } from './link-ends.js';

const ODD = 'Wéird "Name" / ü';
const odd = identifier(ODD);

interface Scenario {
  /** Names the table, too. */
  name: string;
  columns: string;
  /** What only the subscriber has. */
  subscriber: string;
  kind: string;
  impact: string;
  /** How many statements mend it. */
  statements: number;
  /** It may be meant: what mends it stands with the finding only. */
  meant?: true;
  /** What the publisher takes, and the subscriber does not or not as it is. */
  row: string;
}

const SCENARIOS: Scenario[] = [
  {
    ...{ name: 'checked', columns: 'a int', row: `(1, -1)` },
    subscriber: `alter table checked add constraint ${odd} check (a > 0) not valid`,
    ...{ kind: 'check-constraint', impact: 'may-stop-apply', statements: 1 },
  },
  {
    ...{ name: 'limited', columns: 'n counted', row: `(1, -1)` },
    subscriber: `alter domain counted add constraint ${odd} check (value > 0)`,
    ...{ kind: 'domain-constraint', impact: 'may-stop-apply', statements: 1 },
  },
  {
    ...{ name: 'given', columns: 'n known', row: `(1, null)` },
    subscriber: 'alter domain known set not null',
    ...{ kind: 'domain-constraint', impact: 'may-stop-apply', statements: 1 },
  },
  {
    ...{ name: 'partial', columns: 'a int, b int', row: `(1, 1, 1), (2, 1, 1)` },
    subscriber: `create unique index ${odd} on partial (a) where b > 0`,
    ...{ kind: 'unique-index', impact: 'may-stop-apply', statements: 1 },
  },
  {
    ...{ name: 'expressed', columns: 'word text', row: `(1, 'a'), (2, 'A')` },
    subscriber: 'create unique index expressed_lower on expressed (lower(word))',
    ...{ kind: 'unique-index', impact: 'may-stop-apply', statements: 1 },
  },
  {
    ...{
      name: 'excluded',
      columns: 'at daterange',
      row: `(1, '[2026-01-01,2026-02-01)'), (2, '[2026-01-09,2026-03-01)')`,
    },
    subscriber: `alter table excluded add constraint ${odd} exclude using gist (at with &&)`,
    ...{ kind: 'exclusion-constraint', impact: 'may-stop-apply', statements: 1 },
  },
  {
    ...{ name: 'changed', columns: 'a int', row: `(1, 1), (2, 2)` },
    subscriber: `create trigger ${odd} before insert on changed for each row execute function leave_out();
                 alter table changed enable always trigger ${odd}`,
    ...{ kind: 'trigger', impact: 'may-differ', statements: 1, meant: true },
  },
  {
    ...{ name: 'in_replica', columns: 'a int', row: `(1, 1), (2, 2)` },
    subscriber: `create trigger ${odd} before insert on in_replica for each row execute function leave_out();
                 alter table in_replica enable replica trigger ${odd}`,
    ...{ kind: 'trigger', impact: 'may-differ', statements: 1, meant: true },
  },
  {
    ...{ name: 'referring', columns: 'parent int', row: `(1, 99)` },
    subscriber: `alter table referring add constraint ${odd} foreign key (parent) references referring;
                 do $$ declare t name; begin
                   for t in select tgname from pg_trigger where tgrelid = 'referring'::regclass loop
                     execute format('alter table referring enable always trigger %I', t);
                   end loop; end $$`,
    ...{ kind: 'trigger', impact: 'may-stop-apply', statements: 4, meant: true },
  },
];

const HELD = `a int, b int, t text, v varchar(20), d date, at daterange, ts timestamptz,
  constraint ${odd} check (a > 0 and "b" < 10 or t is null), constraint odd2 check (trim(t) <> 'x' and substring(t from 1 for 1) <> 'y'),
  constraint odd3 check (extract(month from d) is not null or d is null), check (v in ('a', 'b')),
  check ((ts at time zone 'UTC') > timestamp '2020-01-01'), exclude using gist (at with &&) where (a > 5),
  g int generated always as (a * 2 + coalesce(b, 0)) stored`;

const TABLES = `create domain counted as int; create domain known as int;
  create function leave_out() returns trigger language plpgsql as 'begin return null; end';
  ${SCENARIOS.map(({ name, columns }) => `create table ${name} (id int primary key, ${columns});`).join('\n')}
  create table held (id int primary key, ${HELD});
  create unique index held_lower on held (lower(t), id) where a > 0;
  create unique index held_trimmed on held (btrim(v)) where extract(year from d) is null;
  create table computed (id int primary key, n int, twice int generated always as (n * 2) stored);
  create table later (id int primary key, a int, b int);
  create table deferred (id int primary key, a int);
  create table swapped (id int primary key, a int);
  create table rooted (id int primary key, n int) partition by range (id);
  create table rooted_a partition of rooted for values from (0) to (10);`;

describe.each([
  [14, 18],
  [18, 14],
  [13, 17],
  [16, 13],
] as const)('drift of what holds rows, %i -> %i', (from, to) => {
  const database = `drift_rules_${from}_${to}`;
  let ends: LinkEnds;

  beforeAll(async () => {
    ends = await LinkEnds.start(database, [from, to], TABLES);
    const tables = [...SCENARIOS.map(({ name }) => name), 'held', 'computed', 'later', 'deferred', 'swapped', 'rooted'];
    await ends.onPublisher(
      `create publication p for table ${tables.join(', ')} with (publish_via_partition_root = true)`,
    );
    await ends.subscribe(database);
  }, 60_000);
  afterAll(() => ends?.stop(), 60_000);

  const drift = async () => (await ends.api.get(`${ends.path}/drift`)).body as Drift;
  const rows = (server: typeof ends.publisher, table: string) =>
    server.withSession(database, (session) => session.rows(`select * from public.${table} order by id`));
  const arrived = async (table: string) => {
    const written = await rows(ends.publisher, table);
    await eventually(
      async () => {
        expect(await rows(ends.subscriber, table)).toEqual(written);
        return true;
      },
      { within: 20_000 },
    );
  };

  it('is none where both hold rows to the same, however each version prints it', async () => {
    expect(await drift()).toMatchObject({ state: 'none', reason: null, findings: [], statements: [] });
  });

  it.each(SCENARIOS)(
    '$name: $kind is found, and mended by its statements',
    async ({ name, subscriber, kind, impact, statements: many, meant, row }) => {
      await ends.onSubscriber(subscriber);
      const found = await drift();
      expect(found).toMatchObject({
        state: 'drifted',
        reason: `${kind} public.${name}${found.findings[0]!.column === null ? '' : '.n'}`,
      });
      expect(found.findings).toMatchObject([{ kind, impact, side: 'subscriber', advice: expect.any(String) }]);
      const [{ statements }] = found.findings as [Drift['findings'][number]];
      expect(statements).toHaveLength(many);
      expect(found.statements).toEqual(meant ? [] : statements);
      await ends.carryOut(statements);
      expect(await drift()).toMatchObject({ state: 'none', findings: [], statements: [] });
      await ends.onPublisher(`insert into ${name} values ${row}`);
      await arrived(name);
    },
    60_000,
  );

  it('is what a check says, whatever its name, and on the publisher only it is told and no drift', async () => {
    await ends.onPublisher(
      `alter table later add constraint held_to check (a > 0), add constraint apart exclude using btree (b with =) where (a > 1);
       create unique index ${odd} on later (a) where b > 0`,
    );
    await ends.onSubscriber(
      'alter table later add constraint held_to check (a > 10), add constraint named check (b > 0)',
    );
    const found = await drift();
    expect(found.findings.map(({ kind, impact }) => [kind, impact]).sort()).toEqual([
      ['check-constraint', 'may-stop-apply'],
      ['check-constraint', 'may-stop-apply'],
      ['check-constraint', 'none'],
      ['exclusion-constraint', 'none'],
      ['unique-index', 'none'],
    ]);
    await ends.onPublisher('alter table later add constraint other_name check (b > 0)');
    const again = await drift();
    expect(again.statements.map(({ sql }) => sql)).toEqual(['alter table "public"."later" drop constraint "held_to"']);
    await ends.carryOut(again.statements);
    const lacking = await drift();
    expect(lacking).toMatchObject({ state: 'none', statements: [] });
    expect(lacking.findings).toHaveLength(3);
    await ends.carryOut(lacking.findings.flatMap(({ statements }) => statements));
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onPublisher('insert into later values (1, 1, 1)');
    await arrived('later');
  }, 60_000);

  it('is a column that each side computes otherwise', async () => {
    await ends.onSubscriber(
      'alter table computed drop twice, add twice int generated always as (n * 3) stored not null',
    );
    const found = await drift();
    expect(found.findings.map(({ kind, column, impact }) => [kind, column, impact])).toEqual([
      ['generated-expression', 'twice', 'may-differ'],
      ['column-not-null', 'twice', 'may-stop-apply'],
    ]);
    // Up to 16 the column is dropped for it, with what else is on it: you know.
    expect(found.statements).toHaveLength(to >= 17 ? 2 : 1);
    await ends.carryOut(found.findings.flatMap(({ statements }) => statements).sort((a, b) => a.order - b.order));
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onPublisher('insert into computed values (1, 5), (2, null)');
    await arrived('computed');
  }, 60_000);

  it('is what a partition alone is held to, where its root is sent', async () => {
    await ends.onSubscriber('alter table rooted_a add constraint small check (n < 5)');
    const found = await drift();
    expect(found.findings).toMatchObject([
      { kind: 'check-constraint', table: { name: 'rooted' }, detail: expect.stringContaining('of public.rooted_a') },
    ]);
    await ends.carryOut(found.statements);
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onPublisher('insert into rooted values (1, 7)');
    await arrived('rooted');
  }, 60_000);

  it('cannot be told where versions print an expression differently', async () => {
    const add = 'alter table held add constraint lapping check ((d, d + 1) overlaps (d, d + 2))';
    await ends.onPublisher(add);
    await ends.onSubscriber(add);
    const found = await drift();
    if (Math.min(from, to) >= 14) expect(found).toMatchObject({ state: 'none', findings: [] });
    else {
      expect(found).toMatchObject({
        ...{ state: 'unknown', reason: 'not comparable: check-constraint public.held', statements: [] },
        findings: [{ kind: 'check-constraint', impact: 'unknown', detail: expect.stringContaining('OVERLAPS') }],
      });
    }
    const drop = 'alter table held drop constraint lapping';
    await ends.onSubscriber(drop);
    await ends.onPublisher(drop);
  });

  it('is no deferrable key of the subscriber, which apply does not look at, and is one that the publisher defers', async () => {
    await ends.onSubscriber('alter table deferred add unique (a) deferrable');
    expect(await drift()).toMatchObject({ state: 'none', findings: [] });
    await ends.onPublisher('insert into deferred values (1, 1), (2, 1)');
    await arrived('deferred');
    await ends.onPublisher('alter table swapped add unique (a) deferrable initially deferred');
    await ends.onSubscriber('alter table swapped add unique (a)');
    const found = await drift();
    expect(found.findings).toMatchObject([{ kind: 'unique-key', impact: 'may-stop-apply' }]);
    await ends.carryOut(found.statements);
    await ends.onPublisher('insert into swapped values (1, 1), (2, 2); update swapped set a = 3 - a');
    await arrived('swapped');
  }, 60_000);
});
