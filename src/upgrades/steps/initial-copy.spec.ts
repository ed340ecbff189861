import { describe, expect, it } from '@jest/globals';
import type { SubscribedTable, Subscription } from '../../postgres/catalog/subscriptions.js';
import { CopyWatch } from './initial-copy.step.js';

/** Looks at tables by name: their state, and the bytes of a copy that is under way. */
function looks() {
  const watch = new CopyWatch();
  const look = (seen: Record<string, [SubscribedTable['state'], number?]>) => {
    const tables = Object.entries(seen).map(([name, [state, bytes]]) => ({
      ...{ schema: 'public', name, state },
      copyProgress: bytes === undefined ? null : { bytes },
    }));
    return watch.look({ tables } as unknown as Pick<Subscription, 'tables'>);
  };
  return { watch, look };
}

describe('copies', () => {
  it('get further with each byte and each state', () => {
    const { look } = looks();
    expect(look({ t: ['initializing'] })).toBe('further');
    expect(look({ t: ['initializing'] })).toBe('still');
    expect(look({ t: ['copying', 10] })).toBe('further');
    expect(look({ t: ['copying', 10] })).toBe('still');
    // More is sent than the table has on disk where that is compressed.
    expect(look({ t: ['copying', 10_000_000_000_000] })).toBe('further');
    for (const state of ['copied', 'catching-up', 'ready'] as const) {
      expect([state, look({ t: [state] }), look({ t: [state] })]).toEqual([state, 'further', 'still']);
    }
  });

  it('do not get further by failing and beginning anew over and over, which is counted', () => {
    const { watch, look } = looks();
    look({ t: ['copying', 500] });
    for (let attempt = 1; attempt <= 10; attempt++) {
      expect(look({ t: ['copying'] })).toBe('moving');
      expect(look({ t: ['copying', 250] })).toBe('moving');
      expect(look({ t: ['copying', 500] })).toBe('moving');
      expect(watch.setbacks).toBe(attempt);
    }
    expect(look({ t: ['copying', 501] })).toBe('further');
    expect(watch.setbacks).toBe(0);
  });

  it('move while one that was interrupted comes back to where it was, however long that takes', () => {
    const { watch, look } = looks();
    look({ t: ['copying', 1_000_000] });
    look({ t: ['copying', 0] });
    for (let bytes = 1; bytes < 100; bytes++) expect(look({ t: ['copying', bytes] })).toBe('moving');
    expect(watch.setbacks).toBe(1);
    expect(look({ t: ['copying', 99] })).toBe('still');
  });

  it('get further where another table does, or one is new', () => {
    const { look } = looks();
    look({ t: ['copying', 500], u: ['copying', 1] });
    expect(look({ t: ['copying', 0], u: ['copying', 2] })).toBe('further');
    expect(look({ t: ['copying', 0], u: ['copying', 2], v: ['initializing'] })).toBe('further');
  });
});
