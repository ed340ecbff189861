import { expect, it } from '@jest/globals';
import type { TableDefinition } from '../../postgres/catalog/table-definitions.js';
import { type IndexRule, noRules } from '../../postgres/catalog/table-rules.js';
import type { TablePair } from './finding.js';
import { indexDrift } from './index-drift.js';

function index(elements: string[], more: Partial<IndexRule> = {}): IndexRule {
  const plain = elements.filter((element) => /^\w+$/.test(element));
  return {
    ...{ name: 'i', index: 'i', on: { schema: 'public', name: 't' }, constraint: null, definition: 'create …' },
    ...{ elements, plain, predicate: null, columns: ['id', 'a', 'word'], whole: true },
    ...{ nullsNotDistinct: false, immediate: true, valid: true, ...more },
  };
}

/** A table with the primary key `id` and a nullable unique `a`. */
function table(uniques: IndexRule[]): TableDefinition {
  const column = (name: string) => ({
    ...{ name, position: 1, type: 'integer', base: 'integer', builtIn: true, enumName: null, labels: null },
    ...{ compositeName: null, attributes: null, collation: null, notNull: name === 'id', hasDefault: false },
    ...{ default: null, generated: null },
  });
  const key = { primary: false, identity: false, immediate: true, constraint: true };
  return {
    ...{ schema: 'public', name: 't', kind: 'r', replicaIdentity: 'default', root: null },
    columns: ['id', 'a', 'word'].map(column),
    keys: [
      { ...key, name: 't_pkey', columns: ['id'], primary: true },
      { ...key, name: 't_a', columns: ['a'] },
    ],
    ...{ withoutEquality: [], rules: { ...noRules(), uniques } },
  };
}

function impacts(ours: IndexRule[], theirs: IndexRule[]): string[] {
  const pair: TablePair = {
    ...{ publisher: table(ours), subscriber: table(theirs), sent: ['id', 'a', 'word'], filtered: false, binary: false },
    ...{
      knownTypes: new Set<string>(),
      versions: { publisher: 160000, subscriber: 160000 },
      applies: { subscription: 's', owner: 'o', runAsOwner: false },
      copies: { login: 'l', complete: false },
    },
  };
  return indexDrift(pair).map(({ impact }) => impact);
}

it('what is unique by some of it is unique by all of it', () => {
  expect(impacts([], [index(['id', 'lower(word)'])])).toEqual([]);
  expect(impacts([], [index(['a'], { predicate: '(id > 0)' })])).toEqual([]);
  expect(impacts([], [index(['lower(word)'])])).toEqual(['may-stop-apply']);
  expect(impacts([index(['lower(word)'])], [index(['lower(word)', 'word'], { predicate: '(a > 0)' })])).toEqual([
    'none',
  ]);
  expect(impacts([index(['lower(word)', 'word'])], [index(['lower(word)'])])).toEqual(['may-stop-apply']);
  const partial = index(['word'], { predicate: '(a > 0)' });
  expect(impacts([partial], [{ ...partial, predicate: '(a > 1)' }])).toEqual(['may-stop-apply', 'none']);
  expect(impacts([partial], [index(['word'])])).toEqual(['may-stop-apply']);
});

it('NULLs that are taken for alike, and deferrable and invalid indexes, hold rows to more or to less', () => {
  const alike = { nullsNotDistinct: true };
  expect(impacts([], [index(['a'], alike)])).toEqual(['may-stop-apply']);
  expect(impacts([], [index(['id', 'a'], alike)])).toEqual([]);
  expect(impacts([index(['a'], alike)], [index(['a'], alike)])).toEqual([]);
  const word = (more: Partial<IndexRule>) => index(['word'], more);
  expect(impacts([], [word({ valid: false })])).toEqual(['may-stop-apply']);
  expect(impacts([word({ valid: false })], [word({})])).toEqual(['may-stop-apply']);
  expect(impacts([word({ immediate: false })], [word({})])).toEqual(['may-stop-apply']);
  expect(impacts([], [word({ immediate: false })])).toEqual([]);
  expect(impacts([], [word({ columns: ['word', 'own'] })])).toEqual([]);
});
