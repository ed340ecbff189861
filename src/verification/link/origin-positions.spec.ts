import { describe, expect, it } from '@jest/globals';
import type { StreamedTransaction } from '../../postgres/replication/streamed-transaction.js';
import type { Lsn } from '../../shared/lsn.js';
import { OriginPositions } from './origin-positions.js';

const applied = (local: bigint, origin: bigint) =>
  ({ endLsn: local as Lsn, origin: { name: 'pg_1', lsn: origin as Lsn } }) as StreamedTransaction;

describe('positions of a subscriber’s stream by those of its publisher', () => {
  it('lie at the last point of which all was applied from no later than asked', () => {
    const positions = new OriginPositions();
    for (let n = 1n; n <= 1000n; n++) positions.add(applied(n * 10n, n), 'pg_1');
    expect(positions.localEndFor(50n as Lsn)).toBeNull();
    expect(positions.localEndFor(350n as Lsn)).toBe(3000n);
    expect(positions.localEndFor(399n as Lsn)).toBeNull();
    expect(positions.localEndFor(1000n as Lsn)).toBe(10_000n);
    expect(positions.localEndFor(2000n as Lsn)).toBeNull();
  });
});
