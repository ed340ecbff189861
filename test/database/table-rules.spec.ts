import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sameExpression } from '../../src/links/drift/expression-text.js';
import { readRulesFingerprint, readTableRules, type TableRules } from '../../src/postgres/catalog/table-rules.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'table_rules';
const ODD = 'Wéird "Name" / ü';
const odd = `"${ODD.replaceAll('"', '""')}"`;

/** Enables the triggers of foreign keys ALWAYS, which ALL cannot be said for. */
function alwaysKeys(table: string): string {
  return `do $$ declare t name; begin
    for t in select tgname from pg_trigger where tgrelid = '${table}'::regclass loop
      execute format('alter table ${table} enable always trigger %I', t);
    end loop; end $$`;
}

const TABLES = `
  create domain above as int constraint ${odd} check (value > 0);
  create domain far_above as above check (value > 10);
  create domain given as text not null;
  create function touch() returns trigger language plpgsql as 'begin return new; end';
  create table plain (id int primary key, a int unique, b int check (b > 0) no inherit);
  create table ${odd} (
    id int primary key, "Ä b" int, word text, own int, at daterange, n far_above, g given,
    twice int generated always as (id * 2) stored,
    constraint ${odd} check ("Ä b" > 0 and word <> ''), constraint loose check (id > 0) not valid,
    constraint apart exclude using gist (at with &&) where (own is not null));
  create unique index part on ${odd} ("Ä b", word) where own > 0;
  create unique index expressed on ${odd} (lower(word), id);
  create unique index deferred_index on ${odd} (own);
  alter table ${odd} add constraint deferred unique using index deferred_index deferrable;
  create trigger ordinary before insert on ${odd} for each row execute function touch();
  create trigger ${odd} before insert or update on ${odd} for each row execute function touch();
  create trigger copied after truncate on ${odd} for each statement execute function touch();
  alter table ${odd} enable always trigger ${odd}, enable replica trigger copied;
  create table refers (id int primary key references plain);
  ${alwaysKeys('refers')};
  create table parted (id int, n int, constraint positive check (n > 0)) partition by range (id);
  create table part_a partition of parted for values from (0) to (10);
  create table part_b partition of parted for values from (10) to (20);
  alter table part_a add constraint small check (n < 100);
  create table part_c partition of parted for values from (20) to (30) partition by list (id);
  create table part_c_1 partition of part_c for values in (21);
  create unique index parted_expr on parted (id, (n + 1)) where n > 5;
  create unique index part_b_expr on part_b (lower(n::text));
  create trigger rows after insert on parted for each row execute function touch();
  alter table part_a enable always trigger rows;
  create table above_all (id int, constraint kept check (id > 0));
  create table below () inherits (above_all);`;
const NAMES = ['plain', ODD, 'refers', 'parted', 'part_a', 'part_c_1', 'below', 'missing'].map((name) => ({
  schema: 'public',
  name,
}));

/** The same on all versions, and one that is nearly so. */
const EXPRESSIONS: [string, string][] = [
  ['n > 0', 'n > 1'],
  ['n > 0 and (n < 10 or n between 20 and 30)', 'n > 0 and n < 10 or n between 20 and 30'],
  [`t in ('a', 'b''c', 'd\\e')`, `t in ('a', 'b''c')`],
  [`t like 'a%' and t !~ '^x' and t ilike 'y'`, `t like 'a%' and t !~* '^x' and t ilike 'y'`],
  [`v = 'x' and length(v) < 5`, `v = 'y' and length(v) < 5`],
  [`price > 1.5 and price <= 1e6 and price <> -1`, `price > 1.50001 and price <= 1e6 and price <> -1`],
  [`extract(year from d) is not null`, `extract(month from d) is not null`],
  [`date_part('year', d) > 2000`, `date_part('year', d) > 2001`],
  [`substring(t from 1 for 2) = 'ab'`, `substring(t from 2 for 2) = 'ab'`],
  [`substring(t from '^x') is null`, `substring(t from '^y') is null`],
  [`trim(t) <> '' and trim(leading 'x' from t) = t`, `trim(t) <> '' and trim(trailing 'x' from t) = t`],
  [`position('a' in t) > 0`, `position('b' in t) > 0`],
  [`overlay(t placing 'a' from 1 for 2) = t`, `overlay(t placing 'a' from 2 for 2) = t`],
  [`(ts at time zone 'UTC') > timestamp '2020-01-01'`, `(ts at time zone 'CET') > timestamp '2020-01-01'`],
  [`ts > timestamptz '2020-01-01 00:00+00'`, `ts > timestamptz '2020-01-01 00:00+01'`],
  [`iv < interval '1 day 2 hours'`, `iv < interval '1 day 3 hours'`],
  [`(d, d + 1) overlaps (d, d + 2)`, `(d, d + 1) overlaps (d, d + 3)`],
  [`coalesce(n, 0) > 0 and nullif(n, 1) is not null`, `coalesce(n, 1) > 0 and nullif(n, 1) is not null`],
  [`case when n > 0 then t is not null else t is null end`, `case when n > 1 then t is not null else t is null end`],
  [`a[1] > 0 and 5 = any (a) and array_length(a, 1) < 3`, `a[2] > 0 and 5 = any (a) and array_length(a, 1) < 3`],
  [`j ->> 'k' = 'v' and j @> '{"a": 1}'`, `j ->> 'k' = 'w' and j @> '{"a": 1}'`],
  [`t collate "C" > 'a'`, `t > 'a'`],
  [`n is distinct from 5 and t is not null`, `n is not distinct from 5 and t is not null`],
  [`(n > 0) is true and not (n = 7)`, `(n > 0) is not true and not (n = 7)`],
  [`row(n, t) <> row(1, 'a')`, `row(n, t) <> row(2, 'a')`],
  [`d <= current_date`, `d < current_date`],
  [`b = '\\x00ff'::bytea`, `b = '\\x00fe'::bytea`],
  [`"system_user" = 1 and "select" > 0`, `"system_user" = 2 and "select" > 0`],
  [`n = 0 or (n <> 0 and 10 / n > 1)`, `n = 0 or (n <> 0 and 10 / n > 2)`],
  [`t::int > 5 and n::text = '6'`, `t::int > 5 and n::text = '7'`],
];
const printed = new Map<number, [string, string][]>();

describe.each(AVAILABLE_MAJORS)('what holds the rows of tables on %i', (major) => {
  let server: TestServer;
  let found: Map<string, TableRules>;
  const of = (name: string) => found.get(JSON.stringify(['public', name]))!;
  const read = () => server.withSession(DATABASE, (session) => readTableRules(session, NAMES));

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(DATABASE);
    await server.run(DATABASE, TABLES);
    found = await read();
  });
  afterAll(() => server.stop());

  it('are checks, with what they read and where they are declared', () => {
    const [mine, loose] = of(ODD)
      .checks.sort((one, other) => one.columns.length - other.columns.length)
      .reverse();
    expect(mine).toEqual({
      ...{ name: ODD, on: { schema: 'public', name: ODD }, columns: ['word', 'Ä b'].sort(), whole: true },
      ...{ inherited: false, expression: `(("Ä b" > 0) AND (word <> ''::text))` },
    });
    expect(loose).toMatchObject({ name: 'loose', expression: '(id > 0)' });
    expect(of('plain')).toMatchObject({ checks: [{ columns: ['b'] }], uniques: [], exclusions: [], triggers: [] });
    expect(of('below').checks).toMatchObject([{ name: 'kept', inherited: true }]);
    expect(of('missing')).toBeUndefined();
    const on = (name: string) => ({ schema: 'public', name });
    const parted = of('parted').checks.map(({ name, on: where, whole }) => [name, where, whole]);
    expect(parted).toEqual(
      expect.arrayContaining([
        ['positive', on('parted'), true],
        ['small', on('part_a'), false],
      ]),
    );
    expect(parted).toHaveLength(2);
    const leaf = of('part_a').checks.map(({ name, on: where, inherited }) => [name, where, inherited]);
    expect(leaf).toEqual(
      expect.arrayContaining([
        ['positive', on('parted'), false],
        ['small', on('part_a'), false],
      ]),
    );
  });

  it('are unique indexes beyond plain keys, and exclusion constraints', () => {
    const uniques = Object.fromEntries(of(ODD).uniques.map((each) => [each.name, each]));
    expect(Object.keys(uniques).sort()).toEqual(['expressed', 'part']);
    expect(uniques.part).toMatchObject({
      ...{ elements: ['"Ä b"', 'word'], plain: ['Ä b', 'word'], predicate: '(own > 0)', constraint: null },
      ...{ columns: ['own', 'word', 'Ä b'], immediate: true, valid: true, nullsNotDistinct: false, whole: true },
    });
    expect(uniques.expressed).toMatchObject({
      elements: ['lower(word)', 'id'],
      plain: ['id'],
      columns: ['id', 'word'],
    });
    expect(of(ODD).exclusions).toMatchObject([
      { name: 'apart', constraint: 'apart', columns: ['at', 'own'], definition: expect.stringContaining('EXCLUDE') },
    ]);
    const parted = of('parted').uniques.map(({ name, on, whole }) => [name, on.name, whole]);
    expect(parted.sort()).toEqual([
      ['part_b_expr', 'part_b', false],
      ['parted_expr', 'parted', true],
    ]);
    expect(of('part_a').uniques).toMatchObject([{ name: 'parted_expr', on: { name: 'parted' }, whole: true }]);
  });

  it('are unique indexes that take NULLs for alike, and keys without overlaps, where there are such', async () => {
    if (major >= 15) {
      await server.run(DATABASE, 'create table alike (a int unique nulls not distinct, b int unique)');
      const alike = await server.withSession(DATABASE, (session) =>
        readTableRules(session, [{ schema: 'public', name: 'alike' }]),
      );
      expect([...alike.values()]).toMatchObject([{ uniques: [{ plain: ['a'], nullsNotDistinct: true }] }]);
    }
    if (major >= 18) {
      await server.run(
        DATABASE,
        `create table temporal (id int4range, at daterange, primary key (id, at without overlaps));
         create table unheld (id int check (id > 0) not enforced)`,
      );
      const names = ['temporal', 'unheld'].map((name) => ({ schema: 'public', name }));
      const [temporal, ...none] = [
        ...(await server.withSession(DATABASE, (session) => readTableRules(session, names))).values(),
      ];
      expect(temporal).toMatchObject({
        exclusions: [{ definition: 'PRIMARY KEY (id, at WITHOUT OVERLAPS)' }],
        uniques: [],
      });
      expect(none).toEqual([]);
    }
  });

  it('are triggers that fire in apply, generated columns and domains', () => {
    expect(
      of(ODD)
        .triggers.map(({ name, enabled, foreignKey }) => [name, enabled, foreignKey])
        .sort(),
    ).toEqual([
      [ODD, 'A', null],
      ['copied', 'R', null],
    ]);
    const keys = of('refers').triggers;
    expect(keys).toHaveLength(2);
    for (const key of keys) expect(key).toMatchObject({ foreignKey: 'refers_id_fkey', referencing: true });
    expect(of('parted').triggers).toMatchObject([{ name: 'rows', on: { name: 'part_a' }, function: 'public.touch' }]);
    expect(of(ODD).generated).toEqual([{ name: 'twice', stored: true, expression: '(id * 2)' }]);
    const domains = of(ODD).domains.map(({ name, on, column, expression }) => [column, on.name, name, expression]);
    expect(domains).toHaveLength(3);
    expect(domains).toEqual(
      expect.arrayContaining([
        ['n', 'above', ODD, '(VALUE > 0)'],
        ['n', 'far_above', 'far_above_check', '((VALUE)::integer > 10)'],
        ['g', 'given', null, null],
      ]),
    );
  });

  it('are partitions with their bounds, and row security with whom it holds', async () => {
    const parts = of('parted').partitions.map(({ table, parent, bound, key }) => [
      table.name,
      parent?.name,
      bound,
      key,
    ]);
    expect(parts).toHaveLength(5);
    expect(parts).toEqual(
      expect.arrayContaining([
        ['parted', undefined, null, 'RANGE (id)'],
        ['part_a', 'parted', 'FOR VALUES FROM (0) TO (10)', null],
        ['part_b', 'parted', 'FOR VALUES FROM (10) TO (20)', null],
      ]),
    );
    expect(of('part_a').partitions).toMatchObject([
      {
        parentKey: 'RANGE (id)',
        parentIsPartition: false,
        constraint: '((id IS NOT NULL) AND (id >= 0) AND (id < 10))',
      },
    ]);
    expect(of('part_c_1').partitions).toMatchObject([{ parent: { name: 'part_c' }, parentIsPartition: true }]);
    expect(of('plain').partitions).toEqual([]);
    const owner = `rules_owner_${major}`;
    await server.run(
      DATABASE,
      `create role ${owner}; create table secured (id int); alter table secured owner to ${owner}`,
    );
    const secured = async (change: string) => {
      await server.run(DATABASE, `alter table secured ${change} row level security`);
      const name = [{ schema: 'public', name: 'secured' }];
      const rules = await server.withSession(DATABASE, (session) => readTableRules(session, name));
      return [...rules.values()][0]?.security.map(({ tableOwner, forced, held }) => ({ tableOwner, forced, held }));
    };
    expect(await secured('force')).toBeUndefined();
    expect(await secured('enable')).toEqual([{ tableOwner: owner, forced: true, held: [owner] }]);
    expect(await secured('no force')).toEqual([{ tableOwner: owner, forced: false, held: [] }]);
    await server.run(DATABASE, `drop table secured; drop role ${owner}`);
  });

  it('have a hash that changes with them', async () => {
    const hash = () => server.withSession(DATABASE, (session) => readRulesFingerprint(session, NAMES));
    const before = await hash();
    expect(before).toMatch(/^[0-9a-f]{32}$/);
    for (const [change, back] of [
      ['alter table plain add constraint more check (a > 0)', 'alter table plain drop constraint more'],
      [alwaysKeys('plain'), 'alter table plain enable trigger all'],
      ['create unique index more on plain (a) where b > 1', 'drop index more'],
    ]) {
      await server.run(DATABASE, change!);
      expect(await hash()).not.toBe(before);
      await server.run(DATABASE, back!);
      expect(await hash()).toBe(before);
    }
  });

  it('are printed so that no version is taken to differ from another where it does not', async () => {
    const columns = `n int, t text, v varchar(9), price numeric, d date, ts timestamptz, iv interval, a int[], j jsonb,
      b bytea, "system_user" int, "select" int`;
    const checks = EXPRESSIONS.flat().map((text, at) => `constraint c${at} check (${text})`);
    await server.run(DATABASE, `create table printed (${columns}, ${checks.join(', ')})`);
    const rules = await server.withSession(DATABASE, (session) =>
      readTableRules(session, [{ schema: 'public', name: 'printed' }]),
    );
    const byName = new Map([...rules.values()][0]!.checks.map(({ name, expression }) => [name, expression]));
    printed.set(
      major,
      EXPRESSIONS.map((_, at) => [byName.get(`c${2 * at}`)!, byName.get(`c${2 * at + 1}`)!]),
    );
    const told: unknown[] = [];
    for (const [other, texts] of printed) {
      const versions = [other * 10_000, major * 10_000] as const;
      const compare = (one: string, two: string) =>
        sameExpression({ text: one, versionNum: versions[0] }, { text: two, versionNum: versions[1] }, false);
      for (const [at, [mine, nearly]] of printed.get(major)!.entries()) {
        const [theirs, nearlyTheirs] = texts[at]!;
        for (const [one, two] of [
          [theirs, mine],
          [nearlyTheirs, nearly],
        ] as const) {
          const sameness = compare(one, two);
          const expected = /OVERLAPS/.test(two) && other < 14 ? 'unknown' : 'same';
          if (sameness !== expected) told.push([sameness, other, major, one, two]);
        }
        for (const [one, two] of [
          [theirs, nearly],
          [nearlyTheirs, mine],
        ] as const) {
          if (compare(one, two) === 'same') told.push(['taken for the same', other, major, one, two]);
        }
      }
    }
    expect(told).toEqual([]);
  });
});
