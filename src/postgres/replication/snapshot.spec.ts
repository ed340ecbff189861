import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Snapshot } from './snapshot.js';

const EPOCH = 1n << 32n;

describe('snapshot', () => {
  it('sees what ended before it and was not running', () => {
    const snapshot = Snapshot.parse('10:20:10,14');
    expect([9, 10, 11, 14, 19, 20, 21].map((xid) => snapshot.visible(xid))).toEqual([
      true,
      false,
      true,
      false,
      true,
      false,
      false,
    ]);
    expect(Snapshot.parse('7:7:').visible(6)).toBe(true);
  });

  it('compares across the wrap of the 32-bit xid', () => {
    const snapshot = Snapshot.parse(`${EPOCH - 3n}:${EPOCH + 5n}:${EPOCH - 3n}`);
    expect(snapshot.visible(0xfffffffd)).toBe(false);
    expect(snapshot.visible(0xfffffffe)).toBe(true);
    expect(snapshot.visible(3)).toBe(true);
    expect(snapshot.visible(5)).toBe(false);
  });

  it('agrees with full xids whatever the epoch', () => {
    const near = fc.bigInt({ min: -(1n << 31n) + 1n, max: (1n << 31n) - 1n });
    fc.assert(
      fc.property(fc.bigInt({ min: 3n, max: 1n << 40n }), near, fc.array(near), (xmax, offset, offsets) => {
        const running = offsets.map((o) => xmax + o).filter((xid) => xid >= 3n && xid < xmax);
        const snapshot = Snapshot.parse(`3:${xmax}:${[...new Set(running)].join(',')}`);
        const xid = xmax + offset;
        fc.pre(xid >= 3n);
        expect(snapshot.widen(Number(BigInt.asUintN(32, xid)))).toBe(xid);
        expect(snapshot.visible(Number(BigInt.asUintN(32, xid)))).toBe(xid < xmax && !running.includes(xid));
      }),
    );
  });

  it.each(['', '1:2', '1:2:x', '1:2:3,', 'a:b:c'])('refuses %j', (text) => {
    expect(() => Snapshot.parse(text)).toThrow(RangeError);
  });
});
