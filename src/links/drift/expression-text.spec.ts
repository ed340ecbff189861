import { describe, expect, it } from '@jest/globals';
import { sameExpression } from './expression-text.js';

const compared = (one: string, other: string, [from, to] = [160000, 160000], typesDiffer = false) =>
  sameExpression({ text: one, versionNum: from }, { text: other, versionNum: to }, typesDiffer);

describe('expressions as servers print them', () => {
  it('are the same whatever parentheses and needless quotes', () => {
    expect(compared('((a > 0) AND (b > 0))', '(a > 0) AND (b > 0)')).toBe('same');
    expect(compared('("system_user" = (1))', 'system_user = 1', [160000, 150000])).toBe('same');
    expect(compared('("Groß" > 0)', '(Groß > 0)')).toBe('differs');
    expect(compared(`(a = ' x  (y')`, `(a = ' x (y')`)).toBe('differs');
    expect(compared(`(a = 'it''s')`, `a = 'it''s'`)).toBe('same');
    expect(compared('(now() > a)', '(now > a)')).toBe('differs');
    expect(compared('(a - (b - c))', '((a - b) - c)')).toBe('differs');
  });

  it('are the same where one server is before 14 and the other prints a syntax of its own', () => {
    const pairs: [string, string][] = [
      [`(date_part('year'::text, d) IS NOT NULL)`, '(EXTRACT(year FROM d) IS NOT NULL)'],
      [`("substring"(t, 1, 2) = 'a'::text)`, `(SUBSTRING(t FROM 1 FOR 2) = 'a'::text)`],
      [`(btrim(t) <> ''::text)`, `(TRIM(BOTH FROM t) <> ''::text)`],
      [`(ltrim(t, 'x'::text) <> ''::text)`, `(TRIM(LEADING 'x'::text FROM t) <> ''::text)`],
      [`("position"(t, 'a'::text) > 0)`, `(POSITION(('a'::text) IN (t)) > 0)`],
      [`("overlay"(t, 'a'::text, 1, 2) = t)`, `(OVERLAY(t PLACING 'a'::text FROM 1 FOR 2) = t)`],
      [`(timezone('UTC'::text, at) > b)`, `((at AT TIME ZONE 'UTC'::text) > b)`],
      [`(lower(btrim((t)::text)) = 'x'::text)`, `(lower(TRIM(BOTH FROM (t)::text)) = 'x'::text)`],
    ];
    for (const [old, now] of pairs) {
      expect([now, compared(old, now, [130000, 180000])]).toEqual([now, 'same']);
      expect([now, compared(now, old, [180000, 130000])]).toEqual([now, 'same']);
      expect(compared(old.replaceAll('t', 'u'), now, [130000, 180000])).not.toBe('same');
      // Both functions are there, and they are not the same.
      expect(compared(old, now, [180000, 180000])).toBe('differs');
    }
  });

  it('cannot be told where only casts differ for the types of columns, or syntax of later versions is in the way', () => {
    expect(compared('(a > (0)::numeric)', '(a > 0)', [160000, 160000], true)).toBe('unknown');
    expect(compared('(a > (0)::numeric)', '(a > 0)')).toBe('differs');
    expect(compared('(a > (1)::numeric)', '(a > 0)', [160000, 160000], true)).toBe('differs');
    const json = '(a IS JSON OBJECT)';
    expect(compared(json, 'is_json(a)', [160000, 150000])).toBe('unknown');
    expect(compared(json, 'is_json(a)')).toBe('differs');
    expect(compared('(a > 0)', '(a > 10)', [130000, 180000])).toBe('differs');
  });
});
