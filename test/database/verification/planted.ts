import { expect } from '@jest/globals';

/** Each damages the subscriber (locally, under no origin of ours) and says what must be found. */
export const PLANTED: { what: string; damage: string; table: string; found: Record<string, unknown> }[] = [
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

export const PLANTED_COUNTS = {
  orders: { missing: 0, extra: 0, different: 5 },
  items: { missing: 1, extra: 1, different: 0 },
  by_index: { missing: 0, extra: 0, different: 1 },
  full_keyed: { missing: 1, extra: 1, different: 0 },
  full_keyless: { missing: 1, extra: 0, different: 0 },
  insert_only: { missing: 0, extra: 1, different: 0 },
  measured: { missing: 0, extra: 0, different: 1 },
};
