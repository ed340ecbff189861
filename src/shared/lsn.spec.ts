import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatLsn, parseLsn, toLsn } from './lsn.js';

describe('LSN', () => {
  it('survives a round trip through text', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }), (value) => {
        expect(parseLsn(formatLsn(toLsn(value)))).toBe(value);
      }),
    );
  });

  it('orders by position, not by text', () => {
    expect(parseLsn('9/0') < parseLsn('10/0')).toBe(true);
    expect(parseLsn('0/1A2B')).toBe(parseLsn('00000000/00001A2B'));
  });

  it.each(['', '0', '0/', '/0', '0/G', '123456789/0', '0/0 ', "0/0'; --"])('refuses %j', (text) => {
    expect(() => parseLsn(text)).toThrow(RangeError);
  });
});
