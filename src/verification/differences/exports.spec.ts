import { describe, expect, it } from '@jest/globals';
import type { StoredDifference } from '../verification.repository.js';
import { asCsv, asJson } from './exports.js';
import { withValues } from './redaction.js';

const difference = (fields: Partial<StoredDifference>): StoredDifference => ({
  ...{ position: 0, schema: 'public', table: 'orders', kind: 'different', key: { id: '1' }, columns: [], count: 1 },
  ...{ publisherLsn: '0/10', subscriberLsn: null, observedAt: new Date(0) },
  ...fields,
});
const FOUND = [
  difference({ columns: [{ name: 'note', publisher: 'a "b", c\nd', subscriber: '' }] }),
  difference({ kind: 'missing', key: { id: '2' }, columns: [{ name: 'id', publisher: '2', subscriber: null }] }),
  difference({ kind: 'extra', key: null, count: 3 }),
];

async function* each(found: StoredDifference[]) {
  await Promise.resolve();
  yield* found;
}

async function text(lines: AsyncIterable<string>): Promise<string> {
  let all = '';
  for await (const line of lines) all += line;
  return all;
}

describe('exported differences', () => {
  it('as CSV tell NULL from the empty text and keep every character', async () => {
    expect(await text(asCsv(each(FOUND)))).toBe(
      'schema,table,kind,key,count,column,publisher,subscriber,publisherLsn\r\n' +
        'public,orders,different,"{""id"":""1""}",1,note,"a ""b"", c\nd","",0/10\r\n' +
        'public,orders,missing,"{""id"":""2""}",1,id,2,,0/10\r\n' +
        'public,orders,extra,,3,,,,0/10\r\n',
    );
  });

  it('as JSON are what the list has, also where there are none', async () => {
    const parsed = JSON.parse(await text(asJson(each(FOUND)))) as Record<string, unknown>[];
    expect(parsed).toHaveLength(3);
    expect(parsed[0]).toEqual({
      ...{ id: 0, schema: 'public', table: 'orders', kind: 'different', key: { id: '1' }, count: 1 },
      columns: [{ name: 'note', publisher: 'a "b", c\nd', subscriber: '' }],
      ...{ publisherLsn: '0/10', subscriberLsn: null, observedAt: '1970-01-01T00:00:00.000Z' },
    });
    expect(JSON.parse(await text(asJson(each([]))))).toEqual([]);
  });

  it('have no value left once they are redacted, and NULL stays NULL', () => {
    const [, missing] = FOUND.map((found) => withValues(found, (value) => `<${value.length}>`));
    expect(missing).toMatchObject({
      key: { id: '<1>' },
      columns: [{ name: 'id', publisher: '<1>', subscriber: null }],
    });
  });
});
