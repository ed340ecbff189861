import { describe, expect, it } from '@jest/globals';
import type { TableDefinition } from '../../postgres/catalog/table-definitions.js';
import { noRules } from '../../postgres/catalog/table-rules.js';
import { securityDrift } from './security-drift.js';

const name = { schema: 'public', name: 't' };
const plain: TableDefinition = {
  ...{ ...name, kind: 'r', replicaIdentity: 'default', root: null, columns: [], keys: [], withoutEquality: [] },
  rules: noRules(),
};
const secured: TableDefinition = {
  ...plain,
  rules: {
    ...noRules(),
    security: [{ on: name, holdsRows: true, forced: false, owner: 'o', tableOwner: 'o', held: ['login'] }],
  },
};

/** Of a subscription whose connection string turns row_security off. */
function impactOn(subscriber: number): string[] {
  const found = securityDrift({
    ...{ publisher: secured, subscriber: plain, sent: [], filtered: false, binary: false },
    ...{ knownTypes: new Set<string>(), versions: { publisher: 140000, subscriber } },
    applies: { subscription: 's', owner: 'o', runAsOwner: false },
    copies: { login: 'login', complete: true },
  });
  return found.map(({ impact }) => impact);
}

describe('row security of the publisher', () => {
  it.each([130023, 140023, 150016, 160012, 170008, 180002])('stops a copy that %i asks to be whole', (version) => {
    expect(impactOn(version)).toEqual(['may-stop-apply']);
  });

  it.each([150015, 160011, 170007, 180001])('cuts the copy where %i does not pass that on', (version) => {
    expect(impactOn(version)).toEqual(['may-differ']);
  });
});
