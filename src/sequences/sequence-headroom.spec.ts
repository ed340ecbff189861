import { describe, expect, it } from '@jest/globals';
import type { Sequence } from '../postgres/catalog/sequences-list.js';
import { headroomOf } from './sequence-headroom.js';

const MAX = '9223372036854775807';
const MIN = '-9223372036854775808';
const sequence = (values: Partial<Sequence>) =>
  ({
    increment: '1',
    minimum: '1',
    maximum: MAX,
    lastValue: '1',
    isCalled: true,
    ownedBy: null,
    ...values,
  }) as Sequence;
const ofColumn = (columnType: string) => ({ schema: 's', name: 't', column: 'c', columnType, identity: false });

describe('headroomOf', () => {
  it.each<[string, Partial<Sequence>, string, number]>([
    ['unused', { maximum: '10', isCalled: false }, '10', 0],
    ['half used', { maximum: '10', lastValue: '5' }, '5', 50],
    ['used up', { maximum: '10', lastValue: '10' }, '0', 100],
    ['the last value to come', { maximum: '10', lastValue: '10', isCalled: false }, '1', 90],
    ['in steps that do not meet the end', { maximum: '10', increment: '4', lastValue: '5' }, '1', 66.66],
    ['downwards', { minimum: '-9', maximum: '0', increment: '-2', lastValue: '-2' }, '3', 40],
    ['over the whole of int8', { minimum: MIN, lastValue: '-1' }, '9223372036854775808', 50],
    ['started late', { maximum: '1000', lastValue: '900', isCalled: false }, '101', 89.9],
  ])('%s', (_what, values, valuesLeft, percentUsed) => {
    expect(headroomOf(sequence(values))).toMatchObject({ valuesLeft, percentUsed, limitedBy: 'sequence' });
  });

  it('ends where the column it belongs to ends, if that is sooner', () => {
    const narrow = sequence({ lastValue: '2147483600', ownedBy: ofColumn('integer') });
    expect(headroomOf(narrow)).toMatchObject({
      valuesLeft: '47',
      percentUsed: 99.99,
      lastPossible: '2147483647',
      limitedBy: 'column',
    });
    const beyond = sequence({ lastValue: '40000', ownedBy: ofColumn('smallint') });
    expect(headroomOf(beyond)).toMatchObject({ valuesLeft: '0', percentUsed: 100 });
    const down = sequence({
      increment: '-1',
      minimum: MIN,
      maximum: '-1',
      lastValue: '-1',
      ownedBy: ofColumn('smallint'),
    });
    expect(headroomOf(down)).toMatchObject({ lastPossible: '-32768', valuesLeft: '32767' });
    expect(headroomOf(sequence({ ownedBy: ofColumn('bigint') }))).toMatchObject({ limitedBy: 'sequence' });
  });

  it('is not known where the position is not', () => {
    expect(headroomOf(sequence({ lastValue: null, isCalled: null }))).toBeNull();
  });
});
