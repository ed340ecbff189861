import { describe, expect, it } from '@jest/globals';
import type { Lsn } from '../shared/lsn.js';
import { LsnHistory } from './lsn-history.js';

const samples = (...pairs: [ageSeconds: number, lsn: bigint][]) =>
  pairs.map(([ageSeconds, lsn]) => ({ ageSeconds, lsn: lsn as Lsn }));
const history = (taken: ReturnType<typeof samples>, now: bigint) => {
  const it = new LsnHistory(taken, now as Lsn);
  return { rate: it.rate, reachSeconds: it.reachSeconds, secondsSince: (lsn: bigint) => it.secondsSince(lsn as Lsn) };
};

describe('LsnHistory', () => {
  it('tells when the WAL ended at a position, between two samples by proportion', () => {
    const seen = history(samples([10, 1000n], [20, 500n], [30, 0n]), 1000n);
    expect(seen.secondsSince(500n)).toBe(20);
    expect(seen.secondsSince(750n)).toBe(15);
    expect(seen.secondsSince(1000n)).toBe(0);
  });

  it('counts from where the position was left, not from where it was reached, while nothing is written', () => {
    const seen = history(samples([10, 500n], [20, 500n], [30, 500n]), 1000n);
    // Left some time within the last ten seconds: the latest sample that still shows it is the bound.
    expect(seen.secondsSince(500n)).toBe(10);
  });

  it('does not know what was before it began, rather than saying 0', () => {
    expect(history([], 1000n).secondsSince(500n)).toBeNull();
    expect(history(samples([10, 800n]), 1000n).secondsSince(500n)).toBeNull();
  });

  it('does not know when the WAL was at a position that it has not reached, rather than saying 0', () => {
    expect(history([], 1000n).secondsSince(1200n)).toBeNull();
    expect(history(samples([10, 800n]), 1000n).secondsSince(1001n)).toBeNull();
  });

  it('measures the rate over five minutes, or what there is of them', () => {
    expect(history(samples([100, 0n], [50, 0n]), 1000n).rate).toEqual({ bytesPerSecond: 10, overSeconds: 100 });
    expect(history(samples([299, 5n], [301, 0n]), 604n).rate).toMatchObject({ overSeconds: 299 });
    expect(history(samples([3, 0n]), 1000n).rate).toBeNull();
    expect(history([], 1000n).rate).toBeNull();
  });

  it('is 0 where nothing was written, which is a figure and not the want of one', () => {
    expect(history(samples([60, 1000n]), 1000n).rate).toEqual({ bytesPerSecond: 0, overSeconds: 60 });
  });

  it('forgets what was before the WAL went back', () => {
    const seen = history(samples([10, 300n], [20, 200n], [30, 9000n]), 400n);
    expect(seen.reachSeconds).toBe(20);
    expect(seen.secondsSince(100n)).toBeNull();
    expect(history(samples([10, 9000n]), 400n).rate).toBeNull();
  });
});
