import { describe, expect, it } from '@jest/globals';
import { coverage, coversAll } from './partition-bounds.js';

const range = (from: string, to: string) => `FOR VALUES FROM (${from}) TO (${to})`;
const list = (...values: string[]) => `FOR VALUES IN (${values.join(', ')})`;
const hash = (modulus: number, remainder: number) => `FOR VALUES WITH (modulus ${modulus}, remainder ${remainder})`;

describe('what partitions of other bounds take', () => {
  it.each([
    [[range('0', '10')], range('0', '10'), null, 'yes'],
    [['DEFAULT'], range('0', '10'), null, 'yes'],
    [[range('0', '10')], 'DEFAULT', 'number', 'no'],
    [[range('9', '20'), range("'-5'", '9')], range('0', '10'), 'number', 'yes'],
    [[range('0', '8'), range('9', '20')], range('0', '10'), 'number', 'no'],
    [[range('MINVALUE', '100')], range('MINVALUE', '10'), 'number', 'yes'],
    [[range('0', '100')], range('MINVALUE', '10'), 'number', 'no'],
    [[range('0', 'MAXVALUE')], range('9', '10'), 'number', 'yes'],
    [[range("'9'", "'99'")], range("'10'", "'11'"), 'text', 'unknown'],
    [[range("'2026-01-01'", "'2027-01-01'")], range("'2026-02-01'", "'2026-03-01'"), 'time', 'yes'],
    [[range("'2026-01-01'", "'2026-02-15'")], range("'2026-02-01'", "'2026-03-01'"), 'time', 'no'],
    [
      [range("'2026-01-01 00:00:00+00'", "'2027-01-01 00:00:00+00'")],
      range("'2026-02-01 00:00:00+00'", "'2026-03-01 00:00:00+00'"),
      'time',
      'yes',
    ],
    [[range("'0044-03-15 BC'", "'2027-01-01'")], range("'2026-02-01'", "'2026-03-01'"), 'time', 'unknown'],
    [[range('0, 0', '10, 0')], range('1, 0', '2, 0'), null, 'unknown'],
    [[list("'a'", "'o''x'"), list("'b, c'", 'NULL')], list("'b, c'", "'a'"), null, 'yes'],
    [[list("'a'", 'NULL')], list("'NULL'"), 'text', 'no'],
    [[list('1', '2')], list('2', '3'), 'number', 'no'],
    [[list("'1.0'")], list("'1.00'"), null, 'unknown'],
    [[list("'1.0'")], list('NULL'), null, 'no'],
    [[range('0', '8'), range('8', '9')], range('8', '9'), null, 'yes'],
    [[range('10', '20'), range('0', '10'), range('MINVALUE', "'-5'")], range('5', '15'), 'number', 'yes'],
    [[range('10', '20'), range('0', '10'), range('MINVALUE', "'-5'")], range("'-6'", '15'), 'number', 'no'],
    [[hash(2, 0)], hash(4, 2), null, 'yes'],
    [[hash(2, 0)], hash(4, 1), null, 'no'],
    [[hash(4, 1), hash(4, 3)], hash(2, 1), null, 'yes'],
  ] as const)('%j and %s (%s): %s', (bounds, bound, comparison, covered) => {
    expect(coverage(bounds, comparison)(bound)).toBe(covered);
  });

  it.each([
    [['DEFAULT', list('1')], true],
    [[list('1')], false],
    [[], false],
    [[hash(2, 0), hash(4, 1), hash(4, 3)], true],
    [[hash(2, 0), hash(4, 1)], false],
  ] as const)('whether %j take all: %s', (bounds, all) => expect(coversAll(bounds)).toBe(all));
});
