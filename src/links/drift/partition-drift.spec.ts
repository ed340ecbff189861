import { describe, expect, it } from '@jest/globals';
import type { ColumnDefinition, TableDefinition } from '../../postgres/catalog/table-definitions.js';
import { noRules, type PartitionRule } from '../../postgres/catalog/table-rules.js';
import type { TablePair } from './finding.js';
import { partitionDrift } from './partition-drift.js';

const named = (name: string) => ({ schema: 'public', name });

function table(column: Partial<ColumnDefinition>, kind: 'r' | 'p', partitions: PartitionRule[]): TableDefinition {
  return {
    ...{ ...named('t'), kind, replicaIdentity: 'default', root: null, keys: [], withoutEquality: [] },
    columns: [
      {
        ...{ name: 'k', position: 1, type: 'integer', base: column.type ?? 'integer', builtIn: true, enumName: null },
        ...{ labels: null, compositeName: null, attributes: null, collation: null, notNull: false, hasDefault: false },
        ...{ default: null, generated: null, ...column },
      },
    ],
    rules: { ...noRules(), partitions },
  };
}

/** Partitioned by `key`, with a partition of each of the bounds. */
function root(column: Partial<ColumnDefinition>, key: string, bounds: readonly string[]): TableDefinition {
  const none = { parentIsPartition: false, constraint: null };
  return table(column, 'p', [
    { ...none, table: named('t'), parent: null, parentKey: null, bound: null, key },
    ...bounds.map((bound, at) => {
      return { ...none, table: named(`p${at}`), parent: named('t'), parentKey: key, bound, key: null };
    }),
  ]);
}

/** Sent by itself; a partition of that bound. */
function leaf(bound: string, constraint: string, parentIsPartition = false): TableDefinition {
  const parent = { parent: named('above'), parentKey: 'RANGE (k)', parentIsPartition };
  return table({}, 'r', [{ table: named('t'), ...parent, bound, key: null, constraint }]);
}

function between(publisher: TableDefinition, subscriber: TableDefinition, more: Partial<TablePair> = {}) {
  const found = partitionDrift({
    ...{ publisher, subscriber, sent: ['k'], filtered: false, binary: false, knownTypes: new Set<string>() },
    versions: { publisher: 160000, subscriber: 160000 },
    applies: { subscription: 's', owner: 'o', runAsOwner: false },
    copies: { login: 'l', complete: false },
    ...more,
  });
  return found.map(({ kind, impact }) => [kind, impact]);
}

const range = (from: number, to: number) => `FOR VALUES FROM (${from}) TO (${to})`;
const times = <T>(count: number, each: (at: number) => T) => Array.from({ length: count }, (_, at) => each(at));

describe('partitions of both sides', () => {
  // Seconds are far more than it takes, and far less than work that grows with the third power.
  it.each([
    ['days by months', 3650, 1, 120, 31],
    ['months by days', 120, 30, 3650, 1],
  ])(
    'are compared without holding each against each: %s',
    (_, ours, width, theirs, theirWidth) => {
      const ranges = (count: number, wide: number) => times(count, (at) => range(at * wide, (at + 1) * wide));
      const begun = performance.now();
      expect(
        between(root({}, 'RANGE (k)', ranges(ours, width)), root({}, 'RANGE (k)', ranges(theirs, theirWidth))),
      ).toEqual([]);
      expect(performance.now() - begun).toBeLessThan(3000);
    },
    120_000,
  );

  it('lack one in a list only where its values are other ones for certain', () => {
    const missing = (column: Partial<ColumnDefinition>, theirs: Partial<ColumnDefinition> = column) => {
      const by = (of: Partial<ColumnDefinition>, value: string) => root(of, 'LIST (k)', [`FOR VALUES IN (${value})`]);
      return between(by(column, `'1.00'`), by(theirs, `'1.0'`)).map(([, impact]) => impact);
    };
    for (const type of ['text', 'character varying(9)', 'uuid', 'boolean', 'integer', 'date']) {
      expect([type, missing({ type })]).toEqual([type, ['may-stop-apply']]);
    }
    const mood = { type: 'public.mood', builtIn: false, enumName: ['public', 'mood'] as [string, string] };
    expect(missing(mood)).toEqual(['may-stop-apply']);
    expect(missing({ type: 'integer' }, { type: 'bigint' })).toEqual(['may-stop-apply']);
    for (const type of ['numeric', 'numeric(10,2)', 'double precision', 'public.citext', 'character(5)', 'jsonb']) {
      expect([type, missing({ type })]).toEqual([type, ['unknown']]);
    }
    const caseless = { type: 'text', collation: 'public.caseless' };
    expect(missing(caseless)).toEqual(['unknown']);
    expect(missing({ type: 'text' }, caseless)).toEqual(['unknown']);
    expect(missing({ type: 'text', collation: 'pg_catalog."C"' })).toEqual(['may-stop-apply']);
    expect(missing({ type: 'public.d', base: 'text' })).toEqual(['unknown']);
    expect(missing({ type: 'date' }, { type: 'text' })).toEqual(['unknown']);
  });

  it('are held to what the tables above a partition are held to as well', () => {
    const ours = leaf(range(0, 10), '(k >= 0 AND k < 10)');
    const wider = '(k >= 0 AND k < 100)';
    expect(between(ours, leaf(range(0, 100), wider))).toEqual([]);
    expect(between(ours, leaf(range(0, 100), `(tenant = 'a' AND ${wider})`, true))).toEqual([
      ['partition-bound', 'unknown'],
    ]);
    // Rows of it that the bound of its own lets pass are refused whatever is above.
    expect(between(ours, leaf(range(5, 100), `(tenant = 'a' AND k >= 5)`, true))).toEqual([
      ['partition-bound', 'may-stop-apply'],
    ]);
    // Which it may never have, where the tables above it leave them out.
    const nested = leaf(range(0, 10), '(k >= 5 AND k < 10)', true);
    expect(between(nested, leaf(range(5, 100), '(k >= 5 AND k < 100)'))).toEqual([['partition-bound', 'unknown']]);
  });

  it('may be left out by a row filter, of which it is not told whether it does', () => {
    const [ours, theirs] = [
      root({}, 'RANGE (k)', [range(0, 10), range(10, 20)]),
      root({}, 'RANGE (k)', [range(10, 20)]),
    ];
    expect(between(ours, theirs)).toEqual([['partition-missing', 'may-stop-apply']]);
    expect(between(ours, theirs, { filtered: true })).toEqual([['partition-missing', 'unknown']]);
    expect(between(table({}, 'r', []), theirs, { filtered: true })).toEqual([['partition-missing', 'unknown']]);
    const bounded = leaf(range(0, 10), '(k >= 0 AND k < 10)');
    expect(between(table({}, 'r', []), bounded)).toEqual([['partition-bound', 'may-stop-apply']]);
    expect(between(table({}, 'r', []), bounded, { filtered: true })).toEqual([['partition-bound', 'unknown']]);
  });
});
