import { describe, expect, it } from '@jest/globals';
import type { Lsn } from '../../shared/lsn.js';
import { Differences } from './difference.js';
import type { TableShape } from './table-shape.js';

const SHAPE = { schema: 's', name: 't', key: null, columns: [{ name: 'note' }] } as unknown as TableShape;

describe('a difference in a long text', () => {
  it.each([
    ['at its end', `a${'😀'.repeat(600)}`, null],
    ['before the place that differs', `${'😀'.repeat(600)}x`, `${'😀'.repeat(600)}y`],
    [
      'within the pair that differs',
      `${'😀'.repeat(600)}a😀${'x'.repeat(2000)}`,
      `${'😀'.repeat(600)}a😁${'x'.repeat(2000)}`,
    ],
  ])('is cut between characters %s', (_, publisher, subscriber) => {
    const differences = new Differences(SHAPE, 1n as Lsn, 10);
    differences.add('different', null, [publisher], [subscriber]);
    const [{ columns }] = differences.listed as [(typeof differences.listed)[number]];
    for (const text of [columns[0]!.publisher, columns[0]!.subscriber]) {
      // What is no text is replaced on the way through UTF-8.
      if (text !== null) expect(Buffer.from(text, 'utf8').toString('utf8')).toBe(text);
    }
    expect(columns[0]!.publisher).toMatch(/\[characters \d+ to \d+ of \d+\]$/);
  });
});
