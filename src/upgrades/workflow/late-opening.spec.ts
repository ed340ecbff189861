import { describe, expect, it } from '@jest/globals';
import { isLate } from './late-opening.js';

const shown = { monotonic: 1_000_000, wall: 1_700_000_000_000 };
const after = (monotonicMs: number, wallMs: number) => ({
  monotonic: shown.monotonic + monotonicMs,
  wall: shown.wall + wallMs,
});

describe('isLate', () => {
  it('is not while both clocks say so', () => {
    expect(isLate(shown, shown)).toBe(false);
    expect(isLate(shown, after(4_900, 4_900))).toBe(false);
  });

  it.each([
    ['time passed', after(5_100, 5_100)],
    ['the host was suspended, which one clock does not count', after(10, 3_600_000)],
    ['the wall clock was set back', after(5_100, -60_000)],
    ['the wall clock was set back a little', after(10, -10)],
  ])('is when %s', (_, now) => {
    expect(isLate(shown, now)).toBe(true);
  });

  it('is when an earlier process showed it', () => {
    expect(isLate(undefined, shown)).toBe(true);
  });
});
