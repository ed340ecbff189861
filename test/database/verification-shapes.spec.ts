import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { LinkFixture } from './verification/link-fixture.js';

const NEWEST = AVAILABLE_MAJORS.at(-1)!;

/** Every version as publisher of the newest, and the newest as publisher of the oldest: the way back. */
const PAIRS = [...AVAILABLE_MAJORS.slice(0, -1).map((major) => [major, NEWEST]), [NEWEST, AVAILABLE_MAJORS[0]!]];

describe.each(PAIRS)('verification %i -> %i', (from, to) => {
  let link: LinkFixture;

  beforeAll(async () => {
    link = await LinkFixture.create(
      await TestServer.shared(from),
      await TestServer.shared(to),
      `verification_${from}_${to}`,
    );
  }, 120_000);

  afterAll(async () => {
    await link?.drop();
  });

  it('finds equal what is equal, and what is not', async () => {
    await link.publisher.run(
      link.database,
      `update sales.orders set note = 'changed', id = id + 5000 where id % 7 = 0`,
    );
    expect(await link.verify()).toMatchObject({ verdict: 'equal', differences: [] });
    await link.plant(`update sales.orders set attributes = '{"n": 3.0}' where id = 3`);
    expect(await link.verify()).toMatchObject({
      verdict: 'different',
      differences: [
        {
          key: { id: '3' },
          columns: [{ name: 'attributes', publisher: '{"n": 3}', subscriber: '{"n": 3.0}' }],
        },
      ],
    });
  }, 60_000);
});

const PUBLISHER = `
create table public.widened (id integer primary key, small smallint, n numeric(10,2), c char(4), v varchar(10), f real, b boolean, j jsonb, s text, d numeric(10,2));
insert into widened select i, i, i / 3.0, 'x' || i, 'y' || i, i / 7.0, i % 2 = 0, jsonb_build_object('i', i), 'z', i / 8.0 from generate_series(1, 100) i;
create table public.wide_key (k numeric(6,1), part char(3), note text, primary key (k, part));
insert into wide_key select i / 2.0, 'p' || i % 3, 'n' from generate_series(1, 100) i;
create table public.keyless_widened (a integer, b numeric(8,2));
alter table keyless_widened replica identity full;
insert into keyless_widened select i % 10, i / 4.0 from generate_series(1, 100) i;
create table public.odd (id integer primary key, lockstep_k1 text, "t" text, "lockstep key 0" text, "k" text);
insert into odd select i, 'a', 'b', 'c', 'd' from generate_series(1, 10) i;
create table public.big (id bigint primary key, filler text);
insert into big select i, md5(i::text) from generate_series(1, 120000) i;
create table public.big_keyless (a integer, b text);
alter table big_keyless replica identity full;
insert into big_keyless select i / 2, md5((i / 2)::text) from generate_series(1, 120000) i;
create table public.no_columns ();
create table public.parent (id integer primary key, x text);
create table public.child () inherits (parent);
alter table child add primary key (id);
insert into parent select i, 'p' from generate_series(1, 20) i;
insert into child select i, 'c' from generate_series(1, 30) i;
create table public.shortened (id integer primary key, v varchar(10), c char(10));
create table public.keyless_shortened (v varchar(10), c char(10));
alter table keyless_shortened replica identity full;
insert into shortened values (1, 'abc  ', 'abc'), (2, 'abc', 'abc'), (3, 'abc', 'abc'), (4, null, null);
insert into keyless_shortened select v, c from shortened;
create table public.zoned (id integer primary key, at timestamptz);
create table public.cut (id integer primary key, bits bit varying(8));
create publication more_pub for table shortened, keyless_shortened, zoned, cut, widened, wide_key, keyless_widened, odd, big, big_keyless, no_columns, parent;
create table public.partial (id integer primary key);
create publication partial_pub for table partial with (publish = 'insert, update');
`;

const SUBSCRIBER = `
create domain public.positive as bigint check (value >= 0);
create domain public.fine as numeric(12,4);
create table public.widened (extra text default 'own', id bigint primary key, small positive, n numeric(14,4), c varchar(8), v text, f double precision, b text, j json, s text, d fine, further integer);
create table public.shortened (id integer primary key, v varchar(4), c char(4));
create table public.keyless_shortened (v varchar(4), c char(4));
alter table keyless_shortened replica identity full;
create table public.zoned (id integer primary key, at timestamp);
create table public.cut (id integer primary key, bits bit varying(4));
create table public.wide_key (k numeric(8,3), part char(5), note varchar(20), primary key (k, part));
create table public.keyless_widened (b numeric, a bigint);
alter table keyless_widened replica identity full;
create table public.odd (id integer primary key, lockstep_k1 text, "t" text, "lockstep key 0" text, "k" text);
create table public.big (id bigint primary key, filler text);
create table public.big_keyless (a integer, b text);
alter table big_keyless replica identity full;
create table public.no_columns ();
create table public.parent (id integer primary key, x text);
create table public.child () inherits (parent);
alter table child add primary key (id);
create table public.partial (id integer primary key);
`;

describe('tables that are not the same on both sides', () => {
  let link: LinkFixture;

  beforeAll(async () => {
    link = await LinkFixture.create(await TestServer.shared(14), await TestServer.shared(NEWEST), 'verification_odd', {
      publisher: PUBLISHER,
      subscriber: SUBSCRIBER,
      publications: ['more_pub', 'partial_pub'],
    });
  }, 120_000);

  afterAll(async () => {
    await link?.drop();
  });

  const only = (...names: string[]) => ({ tables: names.map((name) => ({ schema: 'public', name })) });

  it('compares widened types in the form the subscriber has, also while they change', async () => {
    const tables = only('widened', 'wide_key', 'keyless_widened');
    const equal = { verdict: 'equal', differences: [] };
    expect(await link.verify(tables)).toMatchObject(equal);
    const changes = `update widened set n = n + 1, c = 'q' where id % 2 = 0; update wide_key set k = k + 100 where part = 'p1';
                     update keyless_widened set b = b + 1 where a = 3; delete from widened where id = 7`;
    for (let round = 0; round < 5; round++) {
      // Not awaited by the subscriber: the verification has to roll the changes forward.
      await link.publisher.run(link.database, `set search_path = public; ${changes}`);
      expect(await link.verify(tables)).toMatchObject(equal);
    }
    await link.plant(`update widened set f = f + 1e-9 where id = 8; update wide_key set note = 'N' where k = 1.500;
                      insert into keyless_widened (a, b) values (1, 0.250)`);
    const result = await link.verify(tables);
    expect(result.differences).toHaveLength(3);
    expect(result.differences).toContainEqual(
      expect.objectContaining({
        table: 'wide_key',
        key: { k: '1.500', part: 'p0   ' },
        columns: [{ name: 'note', publisher: 'n', subscriber: 'N' }],
      }),
    );
    expect(result.differences).toContainEqual(
      expect.objectContaining({ table: 'keyless_widened', kind: 'extra', key: null }),
    );
  }, 60_000);

  it('does not cut off what the subscriber has no room for', async () => {
    const tables = only('shortened', 'keyless_shortened');
    expect(await link.verify(tables)).toMatchObject({ verdict: 'equal', differences: [] });
    // Changes the subscriber never gets, as where an operator skips a transaction that cannot be applied.
    await link.publisher.run(
      link.database,
      `alter publication more_pub drop table shortened, keyless_shortened;
       update shortened set v = 'abcdef' where id = 2; update shortened set c = 'abcdef' where id = 3;
       update keyless_shortened set v = 'abcdef' where ctid = '(0,2)';
       alter publication more_pub add table shortened, keyless_shortened`,
    );
    await link.plant(`update shortened set v = 'abcd' where id = 2; update shortened set c = 'abcd' where id = 3;
                      update keyless_shortened set v = 'abcd' where ctid = '(0,2)'`);
    const result = await link.verify(tables);
    expect(result.tables.map(({ name, differences }) => [name, differences])).toEqual([
      ['shortened', { missing: 0, extra: 0, different: 2 }],
      ['keyless_shortened', { missing: 1, extra: 1, different: 0 }],
    ]);
    expect(result.differences).toContainEqual(
      expect.objectContaining({
        key: { id: '2' },
        columns: [{ name: 'v', publisher: 'abcdef', subscriber: 'abcd' }],
      }),
    );
  }, 60_000);

  it('does not compare what depends on time zones, or would be cut off', async () => {
    const { tables } = await link.verify(only('zoned', 'cut'));
    for (const { verdict, reason } of tables) {
      expect([verdict, reason]).toEqual(['not-comparable', expect.stringContaining('types that cannot be compared')]);
    }
  }, 60_000);

  it('finds a few differing rows among many, through buckets', async () => {
    const tables = only('big', 'big_keyless');
    expect(await link.verify(tables)).toMatchObject({ verdict: 'equal' });
    await link.plant(`delete from big where id = 70000; update big set filler = filler || ' ' where id in (5, 100000);
                      insert into big values (-1, 'x'); delete from big_keyless where ctid = (select ctid from big_keyless where a = 777 limit 1)`);
    const result = await link.verify(tables);
    expect(result.tables).toEqual([
      expect.objectContaining({ name: 'big', rows: 120_000, differences: { missing: 1, extra: 1, different: 2 } }),
      expect.objectContaining({
        name: 'big_keyless',
        rows: 120_000,
        differences: { missing: 1, extra: 0, different: 0 },
      }),
    ]);
    // Listed in the order of their hashes.
    const listed = result.differences.map(({ kind, key }) => `${kind} ${JSON.stringify(key)}`);
    expect(listed.sort()).toEqual([
      'different {"id":"100000"}',
      'different {"id":"5"}',
      'extra {"id":"-1"}',
      'missing null',
      'missing {"id":"70000"}',
    ]);
  }, 60_000);

  it('counts all differences, and lists as many as asked', async () => {
    await link.plant('update big set filler = filler || 1 where id <= 60000');
    const result = await link.verify({ ...only('big'), listLimit: 10 });
    expect(result.differences).toHaveLength(10);
    expect(result.tables[0]!.differences.different).toBeGreaterThanOrEqual(60_000);
  }, 60_000);

  it('keeps inheritance children, odd column names and tables without columns apart', async () => {
    const tables = only('odd', 'no_columns', 'parent', 'child');
    expect(await link.verify(tables)).toMatchObject({ verdict: 'equal' });
    await link.publisher.run(link.database, `update public.odd set "t" = 'x' where id = 3`);
    await link.plant(
      `update public.odd set "lockstep key 0" = null where id = 4; update only public.parent set x = 'q' where id = 5`,
    );
    const result = await link.verify(tables);
    expect(result.differences.map(({ table, key }) => [table, key])).toEqual(
      expect.arrayContaining([
        ['odd', { id: '4' }],
        ['parent', { id: '5' }],
      ]),
    );
    expect(result.differences).toHaveLength(2);
  });

  it('reads again what was truncated while it was bound', async () => {
    await link.publisher.run(
      link.database,
      'truncate sales.insert_only; insert into sales.insert_only values (1, null)',
    );
    const result = await link.verify({ tables: [{ schema: 'sales', name: 'insert_only' }] });
    expect(result.tables).toEqual([expect.objectContaining({ verdict: 'equal', rows: 1 })]);
  });

  it('never leaves out what cannot be compared', async () => {
    await link.publisher.run(link.database, 'alter publication more_pub drop table public.odd');
    await link.subscriber.run(link.database, 'alter table public.no_columns enable row level security');
    const { tables } = await link.verify(only('odd', 'partial', 'missing'));
    expect(tables.map(({ name, verdict, reason }) => [name, verdict, reason])).toEqual([
      ['odd', 'not-comparable', expect.stringContaining('none of the subscription')],
      ['partial', 'not-comparable', expect.stringContaining('partial_pub does not publish')],
      ['missing', 'not-comparable', expect.stringContaining('does not carry')],
    ]);
  });
});

describe('row filters and column lists (15 and newer)', () => {
  let link: LinkFixture;

  beforeAll(async () => {
    const table =
      'create table public.filtered (id integer primary key, region text, amount numeric, hidden text, document text);';
    link = await LinkFixture.create(
      await TestServer.shared(15),
      await TestServer.shared(NEWEST),
      'verification_filter',
      {
        publisher: `${table} alter table filtered replica identity full; alter table filtered alter document set storage external;
        insert into filtered select i, case when i % 3 = 0 then 'eu' else 'us' end, i, 'secret', repeat('d', 3000) from generate_series(1, 300) i;
        create publication eu_pub for table filtered where (region = 'eu');
        create table public.listed (id integer primary key, shown text, hidden text);
        insert into listed select i, 's', 'h' from generate_series(1, 50) i;
        create publication list_pub for table listed (id, shown)`,
        subscriber: `${table} create table public.listed (id integer primary key, shown text, hidden text)`,
        publications: ['eu_pub', 'list_pub'],
      },
    );
  }, 120_000);

  afterAll(async () => {
    await link?.drop();
  });

  it('compares the published rows and columns, also of rows that enter and leave the filter', async () => {
    const tables = { tables: ['filtered', 'listed'].map((name) => ({ schema: 'public', name })) };
    for (let round = 0; round < 4; round++) {
      await link.publisher.run(
        link.database,
        `update public.filtered set region = 'us' where id % 30 = ${round * 3}; update public.filtered set region = 'eu' where id % 10 = ${round};
         update public.filtered set amount = amount + 1 where id % 4 = 0; update public.listed set hidden = 'x', shown = shown || '!' where id % 5 = ${round}`,
      );
      expect(await link.verify(tables)).toMatchObject({ verdict: 'equal', differences: [] });
    }
    await link.plant(
      `update public.filtered set amount = 0 where id = (select min(id) from public.filtered); insert into public.filtered (id, region) values (-1, 'us')`,
    );
    const { tables: found } = await link.verify(tables);
    expect(found.map(({ name, differences }) => [name, differences])).toEqual([
      ['filtered', { missing: 0, extra: 1, different: 1 }],
      ['listed', { missing: 0, extra: 0, different: 0 }],
    ]);
  }, 60_000);
});
