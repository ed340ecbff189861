import { describe, expect, it } from '@jest/globals';
import type { Sequence } from '../postgres/catalog/sequences-list.js';
import { compareBothEnds, toBeSet } from './sequence-comparison.js';

const sequence = (values: Partial<Sequence> = {}) =>
  ({
    ...{ schema: 'public', name: 's', increment: '1', minimum: '1', maximum: '100' },
    ...{ lastValue: '10', isCalled: true, reason: null, settable: true, settableBy: null, ...values },
  }) as Sequence;

describe('compareBothEnds', () => {
  it.each<[string, Partial<Sequence>, Partial<Sequence>, string]>([
    ['the same', {}, {}, 'equal'],
    ['the same next value', {}, { lastValue: '11', isCalled: false }, 'equal'],
    ['less', {}, { lastValue: '9' }, 'behind'],
    ['the same, not handed out', {}, { isCalled: false }, 'behind'],
    ['more', {}, { lastValue: '11' }, 'ahead'],
    ['more, counting down', { increment: '-1' }, { increment: '-1', lastValue: '11' }, 'behind'],
    ['other steps, further', {}, { increment: '5', lastValue: '9' }, 'ahead'],
    ['the other direction', {}, { increment: '-1' }, 'incomparable'],
  ])('%s', (_what, publisher, subscriber, verdict) => {
    expect(compareBothEnds([sequence(publisher)], [sequence(subscriber)])).toMatchObject([{ verdict }]);
  });

  it('compares what passes the exact numbers of JavaScript', () => {
    const large = (lastValue: string) => [sequence({ lastValue, maximum: '9223372036854775807' })];
    expect(compareBothEnds(large('9007199254740993'), large('9007199254740992'))).toMatchObject([
      { verdict: 'behind' },
    ]);
  });

  it('names what is on one side only, in order of names', () => {
    const named = (name: string, schema = 'public') => sequence({ name, schema });
    const compared = compareBothEnds([named('b'), named('d')], [named('a'), named('d'), named('z', 'Other')]);
    expect(compared.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual([
      'z extra',
      'a extra',
      'b missing',
      'd equal',
    ]);
  });

  it('calls unknown what one side may not read, and says which', () => {
    const hidden = sequence({ lastValue: null, isCalled: null, reason: 'no privilege' });
    expect(compareBothEnds([hidden], [sequence()])).toMatchObject([
      {
        verdict: 'unknown',
        publisher: null,
        subscriber: { lastValue: '10' },
        reason: 'on the publisher: no privilege',
      },
    ]);
    expect(compareBothEnds([sequence()], [hidden])).toMatchObject([{ reason: 'on the subscriber: no privilege' }]);
  });

  it('sets only what is behind, what is ahead by force, and nothing that cannot be set', () => {
    const behind = compareBothEnds([sequence({ lastValue: '11' })], [sequence()])[0]!;
    const ahead = compareBothEnds([sequence({ lastValue: '9' })], [sequence()])[0]!;
    expect([toBeSet(behind, false), toBeSet(ahead, false), toBeSet(ahead, true)]).toEqual([true, false, true]);
    const narrow = compareBothEnds([sequence({ lastValue: '101' })], [sequence()])[0]!;
    expect([narrow.verdict, toBeSet(narrow, true)]).toEqual(['behind', false]);
    expect(narrow.reason).toContain('1 to 100');
    const barred = compareBothEnds([sequence({ lastValue: '11' })], [sequence({ settable: false })])[0]!;
    expect([barred.verdict, toBeSet(barred, true), barred.reason]).toEqual([
      'behind',
      false,
      expect.stringContaining('UPDATE'),
    ]);
  });
});
