import { describe, expect, it } from '@jest/globals';
import { cutAt, cutText } from './cut-text.js';

describe('a text that is cut', () => {
  it('keeps pairs whole', () => {
    expect(cutText('a😀b', 2)).toBe('a');
    expect(cutText('a😀b', 3)).toBe('a😀');
    expect(cutAt('a😀b', 2)).toBe(1);
    expect(cutAt('a😀b', 3)).toBe(3);
  });

  it('is as long as may be, and whole where it may', () => {
    expect(cutText('abc', 2)).toBe('ab');
    expect(cutText('a😀', 3)).toBe('a😀');
    expect(cutAt('', 0)).toBe(0);
  });
});
