import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { withSession } from '../../src/postgres/session.js';
import { Problem } from '../../src/problems/problem.js';
import { readRepairFacts } from '../../src/verification/repair/repair-facts.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { LinkFixture } from './verification/link-fixture.js';
import { repair } from './verification/repairing.js';

const SCHEMA = `
  create table sales.parents (id int primary key, email text unique, state sales.state default 'new');
  create table sales.children (id int generated always as identity primary key, parent int references sales.parents, tag text);`;

const ON_PUBLISHER = `${SCHEMA}
  create table sales.typed (id int primary key, n int, amount numeric, note varchar(5), at timestamp(3));
  insert into sales.parents select i, 'mail ' || i from generate_series(1, 20) i;
  insert into sales.children (parent, tag) select i % 20 + 1, 'tag ' || i from generate_series(1, 60) i;
  insert into sales.typed select i, i, i / 7.0, 'n' || i, '2024-01-01'::timestamp + i * interval '1.2345 s' from generate_series(1, 40) i;
  create publication more_pub for table sales.parents, sales.children, sales.typed;`;

const ON_SUBSCRIBER = `${SCHEMA}
  create table sales.typed (own text default 'own', id bigint primary key, n bigint, amount numeric(12, 3), note text, at timestamp(1),
                            doubled bigint generated always as (n * 2) stored);
  alter table sales.children add constraint to_grandparent foreign key (parent) references sales.parents;
  create function sales.refuse() returns trigger language plpgsql as $$ begin raise 'fired'; end $$;
  create trigger refuse before insert or update or delete on sales.parents for each row execute function sales.refuse();`;

const QUIET = 'set session_replication_role = replica;';

describe.each(
  [
    [14, 18],
    [18, 15],
  ].filter((pair) => pair.every((major) => AVAILABLE_MAJORS.includes(major))),
)('repair of tables, %i -> %i', (from, to) => {
  const database = `repair_tables_${from}_${to}`;
  let link: LinkFixture;

  beforeAll(async () => {
    link = await LinkFixture.create(await TestServer.shared(from), await TestServer.shared(to), database, {
      ...{ publisher: ON_PUBLISHER, subscriber: ON_SUBSCRIBER, publications: ['more_pub'] },
    });
  }, 120_000);
  afterAll(() => link?.drop());

  const outcomesOf = async (triggers: 'quiet' | 'fire' = 'quiet') => {
    const found = await link.verify();
    const outcomes = await repair(link, found, triggers);
    return outcomes.map(({ position, outcome, reason }) => {
      const { table, kind, key } = found.differences[position]!;
      return { table, kind, key, outcome, reason };
    });
  };
  const planted = (sql: string) => link.plant(`${QUIET} ${sql}`);

  it('fires no trigger, follows no foreign key, and gives identity columns and unique values their place', async () => {
    await planted(`
      delete from sales.parents where id in (1, 2); delete from sales.children where id in (4, 5);
      update sales.children set parent = 77 where id = 6;
      insert into sales.parents values (101, 'mail 1');
      update sales.parents set email = 'moved' where id = 8; update sales.parents set email = 'mail 8' where id = 9`);
    const outcomes = await outcomesOf();
    expect(outcomes).toHaveLength(8);
    expect(outcomes.filter(({ outcome }) => outcome !== 'repaired')).toEqual([]);
    expect(await link.verify()).toMatchObject({ verdict: 'equal' });
    // What comes next from the publisher meets them.
    await link.publisher.run(
      database,
      `update sales.children set tag = 'later' where id in (4, 5, 6); delete from sales.children where parent = 2; delete from sales.parents where id = 2;
       insert into sales.parents values (101, 'mail 101'), (2, 'mail 2')`,
    );
    expect(await link.verify()).toMatchObject({ verdict: 'equal' });
  }, 60_000);

  it('leaves what columns of its own hold, and writes values in the form of the subscriber', async () => {
    await link.plant(`
      update sales.typed set own = 'kept';
      update sales.typed set n = 0, amount = 1, note = 'x', at = null where id in (1, 2);
      delete from sales.typed where id = 3;
      insert into sales.typed (id, n) values (100, 1), (5000000000, 1)`);
    const outcomes = await outcomesOf();
    expect(outcomes.filter(({ outcome }) => outcome !== 'repaired')).toEqual([
      expect.objectContaining({ outcome: 'not-repairable', reason: expect.stringContaining('holds no 5000000000') }),
    ]);
    await link.plant('delete from sales.typed where id > 1000');
    expect(await link.verify()).toMatchObject({ verdict: 'equal' });
    const rows = await link.subscriber.withSession(database, (session) =>
      session.rows('select id::int, own, doubled::int from sales.typed where id < 4 order by id'),
    );
    expect(rows).toEqual([
      { id: 1, own: 'kept', doubled: 2 },
      { id: 2, own: 'kept', doubled: 4 },
      { id: 3, own: 'own', doubled: 6 },
    ]);
  }, 60_000);

  it('lets triggers and foreign keys take part when asked to: parents first, and what is refused stays', async () => {
    await planted(`
      delete from sales.children where parent = 3; delete from sales.parents where id = 3;
      insert into sales.parents values (102, 'extra'); insert into sales.children (id, parent) overriding system value values (900, 102)`);
    const refused = await outcomesOf('fire');
    const reasons = refused.filter(({ outcome }) => outcome !== 'repaired');
    expect(reasons.map(({ table, kind, outcome }) => [table, kind, outcome])).toEqual([
      ['children', 'missing', 'not-repairable'],
      ['children', 'missing', 'not-repairable'],
      ['children', 'missing', 'not-repairable'],
      ['parents', 'extra', 'not-repairable'],
      ['parents', 'missing', 'not-repairable'],
    ]);
    expect(reasons[3]).toMatchObject({ reason: expect.stringContaining('SQLSTATE P0001') });
    expect(reasons[0]).toMatchObject({ reason: expect.stringContaining('SQLSTATE 23503') });
    await planted('drop trigger refuse on sales.parents');
    const outcomes = await outcomesOf('fire');
    expect(outcomes.filter(({ outcome }) => outcome !== 'repaired')).toEqual([]);
    expect(await link.verify()).toMatchObject({ verdict: 'equal' });

    await planted(`
      alter table sales.children drop constraint to_grandparent, drop constraint children_parent_fkey,
        add constraint goes_on foreign key (parent) references sales.parents on delete cascade;
      insert into sales.parents values (103, 'extra'); update sales.children set parent = 103 where id = 7`);
    const [child, parent] = await outcomesOf('fire');
    expect(parent).toMatchObject({ outcome: 'not-repairable', reason: expect.stringContaining('goes_on') });
    expect(child).toMatchObject({ outcome: 'repaired' });
    await planted('delete from sales.parents where id = 103');
    expect(await link.verify()).toMatchObject({ verdict: 'equal' });
  }, 60_000);

  it('repairs a row that the publisher changes without a pause, with effect or without', async () => {
    await planted('delete from sales.parents where id = 11; update sales.parents set email = null where id = 12');
    const found = await link.verify();
    let writing = true;
    const writer = link.publisher.withSession(database, async (session) => {
      for (let turn = 0; writing; turn++) {
        await session.execute(`update sales.parents set email = 'hot ' || id || ' ${turn}' where id in (11, 12)`);
      }
    });
    try {
      // One of the two without effect: nothing but the other tells how far applying is.
      await repair(link, found);
    } finally {
      writing = false;
      await writer;
    }
    expect(await link.verify()).toMatchObject({ verdict: 'equal' });

    await planted('delete from sales.parents where id = 11');
    const missing = await link.verify();
    writing = true;
    const alone = link.publisher.withSession(database, async (session) => {
      for (let turn = 0; writing; turn++) {
        await session.execute(`update sales.parents set email = 'alone ${turn}' where id = 11`);
      }
    });
    try {
      expect(await repair(link, missing)).toMatchObject([{ outcome: 'repaired' }]);
    } finally {
      writing = false;
      await alone;
    }
    expect(await link.verify()).toMatchObject({ verdict: 'equal' });
  }, 120_000);

  it('loses no change that passes without effect while rows are judged and inserted', async () => {
    await link.plant('delete from sales.orders where id > 1000');
    const found = await link.verify({ tables: [{ schema: 'sales', name: 'orders' }] });
    // Each row once: a change that is lost is not mended by a later one.
    const writing = link.publisher.withSession(database, async (session) => {
      for (let id = 1001; id <= 2000; id += 2) {
        await session.execute(`delete from sales.orders where id = ${id}`);
        await session.execute(`update sales.orders set customer = -id where id = ${id + 1}`);
        // Seldom enough that the position stays behind, and often enough that it moves.
        if (id % 40 === 1) await session.execute(`update sales.by_index set note = '${id}' where code = 'c1'`);
        await session.execute('select pg_sleep(0.008)');
      }
    });
    const outcomes = await repair(link, found);
    await writing;
    expect(outcomes.filter(({ outcome }) => outcome !== 'repaired' && outcome !== 'gone')).toEqual([]);
    expect(outcomes.filter(({ outcome }) => outcome === 'repaired').length).toBeGreaterThan(400);
    expect(await link.verify()).toMatchObject({ verdict: 'equal' });
  }, 120_000);

  it('says why a row cannot be written: two that would exchange a unique value, and a table that is gone', async () => {
    await planted(`
      update sales.parents set email = 'between' where id = 13; update sales.parents set email = 'mail 13' where id = 14;
      update sales.parents set email = 'mail 14' where id = 13; update sales.parents set email = 'other' where id = 15;
      delete from sales.typed where id = 7`);
    const found = await link.verify();
    await planted('alter table sales.typed rename to renamed');
    const outcomes = await repair(link, found);
    await planted('alter table sales.renamed rename to typed');
    const reasonOf = (table: string, id: string) =>
      outcomes.find(
        ({ position }) => found.differences[position]!.table === table && found.differences[position]!.key?.id === id,
      );
    expect(reasonOf('parents', '15')).toMatchObject({ outcome: 'repaired' });
    for (const id of ['13', '14']) {
      expect(reasonOf('parents', id)).toMatchObject({
        ...{ outcome: 'not-repairable', reason: expect.stringContaining('SQLSTATE 23505') },
      });
    }
    expect(reasonOf('typed', '7')).toMatchObject({
      ...{ outcome: 'not-repairable', reason: 'the table does not exist on the subscriber' },
    });
    await planted(`update sales.parents set email = null where id in (13, 14)`);
    await outcomesOf();
    expect(await link.verify()).toMatchObject({ verdict: 'equal' });
  }, 60_000);

  it('names what a login lacks, and what a repair would pass on', async () => {
    await link.subscriber.withSession(database, async (session) => {
      await session.execute(`drop role if exists repairer; create role repairer login password 'repairer'`);
    });
    const facts = (mode: 'quiet' | 'fire') => {
      const subscriber = { ...link.subscriber.target(database), user: 'repairer', password: 'repairer' };
      const tables = [{ schema: 'sales', name: 'parents' }];
      return withSession(link.publisher.target(database), {}, (ours) =>
        withSession(subscriber, {}, (theirs) => readRepairFacts(ours, theirs, link.subscription, tables, mode)),
      );
    };
    try {
      const refused = await facts('quiet').catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(Problem);
      expect(refused).toMatchObject({ code: 'SERVER_PRIVILEGE_MISSING' });
      expect((refused as Problem).options.hint).toContain('"triggers": "fire"');
      expect((await facts('fire')).refused.get('"sales"."parents"')).toContain(
        'grant select, insert, update, delete on table "sales"."parents" to "repairer"',
      );
      await link.plant(`
        grant usage on schema sales to repairer; grant select, insert, update, delete on sales.parents to repairer;
        create publication onward for table sales.parents`);
      if (to >= 15) await link.plant('grant set on parameter session_replication_role to repairer');
      const granted = await facts(to >= 15 ? 'quiet' : 'fire');
      expect(granted).toMatchObject({ quiet: to >= 15, marks: false, refused: new Map() });
      expect(granted.warnings).toContainEqual('"sales"."parents": what is written is sent on by onward');
    } finally {
      await link.plant('drop publication if exists onward; drop owned by repairer');
      if (to >= 15) await link.plant('revoke set on parameter session_replication_role from repairer');
      await link.plant('drop role repairer');
    }
  }, 60_000);
});
