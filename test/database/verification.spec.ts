import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import type { LinkVerification } from '../../src/verification/at-rest/link-verification.js';
import { LinkFixture } from './verification/link-fixture.js';
import { MixedLoad } from './verification/mixed-load.js';

const RUNS = Number(process.env.LOCKSTEP_SOAK_RUNS ?? 20);
const NEWEST = AVAILABLE_MAJORS.at(-1)!;
const KEYLESS = new Set(['full_keyless', 'insert_only']);

describe('verification at rest, under mixed load', () => {
  let link: LinkFixture;

  beforeAll(async () => {
    const publisher = await TestServer.shared(14);
    const subscriber = await TestServer.shared(NEWEST);
    link = await LinkFixture.create(publisher, subscriber, 'verification_load');
  }, 120_000);

  afterAll(async () => {
    await link?.drop();
  });

  it(
    `finds both sides equal, every one of ${RUNS} times`,
    async () => {
      const load = MixedLoad.start(link.publisher, link.database);
      try {
        for (let run = 0; run < RUNS; run++) {
          const result = await link.verify();
          expect(result.differences).toEqual([]);
          expect(result.tables.filter(({ verdict }) => verdict !== 'equal')).toEqual([]);
          expect(result).toMatchObject({ verdict: 'equal', method: 'own-slot' });
          expect(result.tables.map(({ name }) => name).sort()).toEqual([
            'by_index',
            'full_keyed',
            'full_keyless',
            'insert_only',
            'items',
            'measured',
            'orders',
          ]);
        }
      } finally {
        await load.stop();
      }
      expect(load.transactions).toBeGreaterThan(RUNS * 10);
    },
    60_000 + RUNS * 5_000,
  );
});

/** Each damages the subscriber (locally, under no origin of ours) and says what must be found. */
const PLANTED: { what: string; damage: string; table: string; found: Record<string, unknown> }[] = [
  {
    what: 'a missing row',
    damage: `delete from sales.items where order_id = 7 and line = 1`,
    table: 'items',
    found: { kind: 'missing', key: { order_id: '7', line: '1' } },
  },
  {
    what: 'an extra row',
    damage: `insert into sales.items values (-5, 1, 'x', 1)`,
    table: 'items',
    found: { kind: 'extra', key: { order_id: '-5', line: '1' } },
  },
  {
    what: 'one microsecond',
    damage: `update sales.orders set placed_at = placed_at + interval '1 microsecond' where id = 11`,
    table: 'orders',
    found: {
      kind: 'different',
      key: { id: '11' },
      columns: [
        { name: 'placed_at', publisher: '2024-01-01 00:00:11+00', subscriber: '2024-01-01 00:00:11.000001+00' },
      ],
    },
  },
  {
    what: 'NULL against the empty string',
    damage: `update sales.orders set note = '' where id = 12`,
    table: 'orders',
    found: { kind: 'different', key: { id: '12' }, columns: [{ name: 'note', publisher: null, subscriber: '' }] },
  },
  {
    what: 'numeric scale',
    damage: `update sales.orders set total = 1.500 where id = 13`,
    table: 'orders',
    found: {
      kind: 'different',
      key: { id: '13' },
      columns: [{ name: 'total', publisher: '1.50', subscriber: '1.500' }],
    },
  },
  {
    what: 'a trailing space',
    damage: `update sales.by_index set note = note || ' ' where code = 'c14'`,
    table: 'by_index',
    found: {
      kind: 'different',
      key: { region: 'r2', code: 'c14' },
      columns: [{ name: 'note', publisher: 'n', subscriber: 'n ' }],
    },
  },
  {
    what: 'one character of a value kept out of line',
    damage: `update sales.orders set document = overlay(document placing '!' from 2000) where id = 15`,
    table: 'orders',
    found: {
      kind: 'different',
      key: { id: '15' },
      columns: [expect.objectContaining({ name: 'document', subscriber: expect.stringContaining('!') })],
    },
  },
  {
    what: 'a float by its last bit',
    damage: `update sales.orders set weight = 5.3333333333333339 where id = 16`,
    table: 'orders',
    found: {
      kind: 'different',
      key: { id: '16' },
      columns: [{ name: 'weight', publisher: '5.333333333333333', subscriber: '5.333333333333334' }],
    },
  },
  {
    what: 'a key that is another',
    damage: `update sales.full_keyed set id = '00000000-0000-0000-0000-000000000000' where id = md5('17')::uuid`,
    table: 'full_keyed',
    found: { kind: 'missing', key: { id: '70efdf2e-c9b0-8607-9795-c442636b55fb' } },
  },
  {
    what: 'a row of one partition',
    damage: `update sales.measured set value = value + 1 where id = 18`,
    table: 'measured',
    found: {
      kind: 'different',
      key: { id: '18', day: '2020-01-19' },
      columns: [expect.objectContaining({ name: 'value' })],
    },
  },
  {
    what: 'a duplicate of a row without a key',
    damage: `insert into sales.insert_only values (19, 'y')`,
    table: 'insert_only',
    found: {
      kind: 'extra',
      key: null,
      count: 1,
      columns: [
        { name: 'a', publisher: null, subscriber: '19' },
        { name: 'b', publisher: null, subscriber: 'y' },
      ],
    },
  },
  {
    what: 'a lost duplicate under REPLICA IDENTITY FULL',
    damage: `delete from sales.full_keyless where ctid = (select ctid from sales.full_keyless where a = 20 limit 1)`,
    table: 'full_keyless',
    found: { kind: 'missing', key: null, count: 1 },
  },
];

describe.each([
  { what: 'a quiet link', underLoad: false },
  { what: 'a link under load', underLoad: true },
])('planted differences are found and located, on $what', ({ underLoad }) => {
  let link: LinkFixture;
  let load: MixedLoad | null = null;
  let result: LinkVerification;

  beforeAll(async () => {
    const publisher = await TestServer.shared(14);
    const subscriber = await TestServer.shared(NEWEST);
    link = await LinkFixture.create(publisher, subscriber, `verification_planted_${underLoad}`);
    await publisher.run(link.database, `update sales.orders set note = null, total = 1.50 where id in (12, 13)`);
    if (underLoad) load = MixedLoad.start(publisher, link.database);
    expect(await link.verify()).toMatchObject({ verdict: 'equal', differences: [] });
    for (const { damage } of PLANTED) await link.plant(damage);
    result = await link.verify();
  }, 120_000);

  afterAll(async () => {
    await load?.stop();
    await link?.drop();
  });

  it.each(PLANTED)('$what', ({ table, found }) => {
    expect(result.differences).toContainEqual(expect.objectContaining({ schema: 'sales', table, ...found }));
    expect(result.tables.find(({ name }) => name === table)).toMatchObject({ verdict: 'different' });
  });

  it('and nothing else is', () => {
    expect(result).toMatchObject({ verdict: 'different', verifiedLsn: expect.anything() });
    const counts = Object.fromEntries(result.tables.map(({ name, differences }) => [name, differences]));
    expect(counts).toEqual({
      orders: { missing: 0, extra: 0, different: 5 },
      items: { missing: 1, extra: 1, different: 0 },
      by_index: { missing: 0, extra: 0, different: 1 },
      full_keyed: { missing: 1, extra: 1, different: 0 },
      full_keyless: { missing: 1, extra: 0, different: 0 },
      insert_only: { missing: 0, extra: 1, different: 0 },
      measured: { missing: 0, extra: 0, different: 1 },
    });
  });
});

describe('binding by positions, where the subscriber cannot decode its own WAL', () => {
  let subscriber: TestServer;
  let link: LinkFixture;

  beforeAll(async () => {
    subscriber = await TestServer.start(NEWEST, { wal_level: 'replica' });
    link = await LinkFixture.create(await TestServer.shared(14), subscriber, 'verification_positions');
  }, 120_000);

  afterAll(async () => {
    await link?.drop();
    await subscriber?.stop();
  });

  it(
    'finds both sides equal under load, and then each planted difference',
    async () => {
      await link.publisher.run(link.database, `update sales.orders set note = null, total = 1.50 where id in (12, 13)`);
      const load = MixedLoad.start(link.publisher, link.database);
      try {
        for (let run = 0; run < Math.ceil(RUNS / 4); run++) {
          const result = await link.verify();
          expect(result.differences).toEqual([]);
          // Without a stream of the subscriber a busy table without a key may stay undecided; it is never misjudged.
          const undecided = result.tables.filter(({ verdict }) => verdict !== 'equal');
          expect(undecided.filter(({ name, verdict }) => verdict !== 'pending' || !KEYLESS.has(name))).toEqual([]);
          expect(result.method).toBe('positions');
        }
      } finally {
        await load.stop();
      }
      for (const { damage } of PLANTED) await link.plant(damage);
      const { differences } = await link.verify();
      for (const { table, found } of PLANTED) {
        expect(differences).toContainEqual(expect.objectContaining({ table, ...found }));
      }
    },
    60_000 + RUNS * 5_000,
  );
});
