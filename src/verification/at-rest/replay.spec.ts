import { describe, expect, it } from '@jest/globals';
import { UNCHANGED } from '../../postgres/replication/streamed-transaction.js';
import { replay, type BaseRow } from './replay.js';
import { keyText, type RowChange } from './row-changes.js';

const KEY = [0];
const base = (rows: Record<string, (string | null)[]>, published = true): Map<string, BaseRow> =>
  new Map(Object.entries(rows).map(([key, values]) => [keyText([key]), { values, published }]));
const after = (rows: Map<string, BaseRow>, ...changes: RowChange[]) => {
  const { expected, unresolved } = replay(rows, changes, KEY);
  return { expected: Object.fromEntries(expected), unresolved: [...unresolved] };
};
const update = (row: (string | null | typeof UNCHANGED)[], old: (string | null)[] | null = null): RowChange => ({
  kind: 'update',
  row,
  old,
  oldIsWhole: false,
});

describe('replay', () => {
  it('takes a column left unchanged out of line from the previous version', () => {
    const result = after(base({ 1: ['1', 'a', 'long'] }), update(['1', 'b', UNCHANGED]), update(['1', 'c', UNCHANGED]));
    expect(result).toEqual({ expected: { '["1"]': ['1', 'c', 'long'] }, unresolved: [] });
  });

  it('carries such a column along when the key changes, and back', () => {
    const changes = [
      update(['2', 'b', UNCHANGED], ['1', null, null]),
      update(['1', 'c', UNCHANGED], ['2', null, null]),
    ];
    const result = after(base({ 1: ['1', 'a', 'long'] }), ...changes);
    expect(result).toEqual({ expected: { '["1"]': ['1', 'c', 'long'], '["2"]': null }, unresolved: [] });
  });

  it('takes an unchanged key column from the old key', () => {
    const result = after(base({ 1: ['1', 'a'] }), update([UNCHANGED, 'b'], ['1', null]));
    expect(result.expected).toEqual({ '["1"]': ['1', 'b'] });
  });

  it('takes unchanged columns from a whole old row', () => {
    const result = after(new Map(), { ...update(['1', UNCHANGED], ['1', 'old']), oldIsWhole: true } as RowChange);
    expect(result).toEqual({ expected: { '["1"]': ['1', 'old'] }, unresolved: [] });
  });

  it('forgets a deleted row, and knows one that came again', () => {
    const gone: RowChange = { kind: 'delete', old: ['1', null], oldIsWhole: false };
    const rows = base({ 1: ['1', 'a'] });
    expect(after(rows, gone).expected).toEqual({ '["1"]': null });
    expect(after(rows, gone, { kind: 'insert', row: ['1', null] }).expected).toEqual({ '["1"]': ['1', null] });
  });

  it('does not expect rows that the filter leaves out, but leans on them when they enter it', () => {
    const outside = base({ 1: ['1', 'a', 'long'] }, false);
    expect(after(outside).expected).toEqual({ '["1"]': null });
    expect(after(outside, { kind: 'insert', row: ['1', 'b', UNCHANGED] }).expected).toEqual({
      '["1"]': ['1', 'b', 'long'],
    });
  });

  it('leaves open what it cannot know', () => {
    expect(after(new Map(), update(['1', UNCHANGED])).unresolved).toEqual(['["1"]']);
  });
});
