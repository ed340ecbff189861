import { describe, expect, it } from '@jest/globals';
import type { WriteCount, WriteCounts } from '../postgres/catalog/table-writes.js';
import { writesOf } from './write-rates.js';

const table = { kind: 'table', oid: '1' } as const;
const reading = (count: Partial<WriteCount>): WriteCounts => ({
  counts: new Map([['1', { inserted: 0, updated: 0, deleted: 0, since: null, readAt: 0, ...count }]]),
  unknown: null,
});

describe('writesOf', () => {
  it('divides what was written between the readings by the time between them', () => {
    const earlier = reading({ inserted: 10, updated: 5, deleted: 1, readAt: 100 });
    const later = reading({ inserted: 50, updated: 5, deleted: 3, readAt: 104 });
    expect(writesOf(table, earlier, later)).toEqual({
      inserted: 50,
      updated: 5,
      deleted: 3,
      since: null,
      perSecond: { inserted: 10, updated: 0, deleted: 0.5, overSeconds: 4 },
      reason: null,
    });
  });

  it('knows no rate from one reading, rather than 0', () => {
    expect(writesOf(table, null, reading({ inserted: 7 }))).toMatchObject({
      inserted: 7,
      perSecond: null,
      reason: expect.stringContaining('two readings'),
    });
  });

  it.each([
    ['dated', { inserted: 100, since: new Date(1000) }, { inserted: 200, since: new Date(2000) }],
    ['the first ever', { inserted: 100 }, { inserted: 200, since: new Date(2000) }],
    ['not dated', { inserted: 100 }, { inserted: 40 }],
  ])('knows no rate across a reset: %s', (_what, before, after) => {
    const writes = writesOf(table, reading({ ...before, readAt: 1 }), reading({ ...after, readAt: 2 }));
    expect(writes).toMatchObject({ perSecond: null, reason: expect.stringContaining('reset') });
  });

  it('knows nothing of a table that is new, of partitioned ones, and where nothing is counted', () => {
    const nothing: WriteCounts = { counts: new Map(), unknown: null };
    expect(writesOf(table, nothing, reading({ readAt: 1 })).perSecond).toBeNull();
    expect(writesOf(table, reading({}), nothing)).toMatchObject({ inserted: null, perSecond: null });
    expect(writesOf({ kind: 'partitioned', oid: '1' }, reading({}), reading({ readAt: 1 }))).toMatchObject({
      inserted: null,
      reason: expect.stringContaining('partitions'),
    });
    expect(writesOf(table, null, { counts: null, unknown: 'off' })).toMatchObject({ inserted: null, reason: 'off' });
  });
});
