import { describe, expect, it } from '@jest/globals';
import type { SubscribedTable, Subscription } from '../../postgres/catalog/subscriptions.js';
import { getsFurther } from './initial-copy.step.js';

/** Looks at tables by name: their state, and the bytes of a copy that is under way. */
function looks() {
  const furthest = new Map<string, number>();
  return (seen: Record<string, [SubscribedTable['state'], number?]>) => {
    const tables = Object.entries(seen).map(([name, [state, bytes]]) => ({
      ...{ schema: 'public', name, state },
      copyProgress: bytes === undefined ? null : { bytes },
    }));
    return getsFurther({ tables } as unknown as Pick<Subscription, 'tables'>, furthest);
  };
}

describe('a copy gets further', () => {
  it('with each byte and each state', () => {
    const look = looks();
    expect(look({ t: ['initializing'] })).toBe(true);
    expect(look({ t: ['initializing'] })).toBe(false);
    expect(look({ t: ['copying', 10] })).toBe(true);
    expect(look({ t: ['copying', 10] })).toBe(false);
    // More is sent than the table has on disk where that is compressed.
    expect(look({ t: ['copying', 10_000_000_000_000] })).toBe(true);
    for (const state of ['copied', 'catching-up', 'ready'] as const) {
      expect([state, look({ t: [state] }), look({ t: [state] })]).toEqual([state, true, false]);
    }
  });

  it('not by failing and beginning anew, over and over', () => {
    const look = looks();
    expect(look({ t: ['copying', 500] })).toBe(true);
    for (let attempt = 0; attempt < 10; attempt++) {
      expect(look({ t: ['copying'] })).toBe(false);
      expect(look({ t: ['copying', 250] })).toBe(false);
      expect(look({ t: ['copying', 500] })).toBe(false);
    }
    expect(look({ t: ['copying', 501] })).toBe(true);
  });

  it('where another table does, or one is new', () => {
    const look = looks();
    look({ t: ['copying', 500], u: ['copying', 1] });
    expect(look({ t: ['copying', 0], u: ['copying', 2] })).toBe(true);
    expect(look({ t: ['copying', 0], u: ['copying', 2], v: ['initializing'] })).toBe(true);
  });
});
