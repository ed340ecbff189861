import { describe, expect, it } from '@jest/globals';
import type { SubscribedTable, Subscription } from '../postgres/catalog/subscriptions.js';
import { type CopyMemories, copyTroubles, keyOf, rememberCopies } from './copy-observations.js';

const named = (name: string) => ({ schema: 'public', name });
const APPLY = { pid: 1, kind: 'apply', table: null };

/** `tables`: their states; `at`: by table, the process that copies it; `sync`: errors so far, null where none are counted. */
interface Seen {
  tables: Record<string, SubscribedTable['state']>;
  at?: Record<string, number>;
  sync: number | null;
  applies?: boolean;
}

/** Looks at the given seconds; answers what is told of each table. */
function look() {
  let memories: CopyMemories = new Map();
  let before: { sync: number | null; now: number } | null = null;
  return (seconds: number, { tables, at = {}, sync, applies = true }: Seen) => {
    const now = seconds * 1000;
    const subscription = {
      enabled: true,
      tables: Object.entries(tables).map(([name, state]) => ({ ...named(name), state })),
      workers: [
        ...(applies ? [APPLY] : []),
        ...Object.entries(at).map(([name, pid]) => ({ pid, kind: 'table synchronization', table: named(name) })),
      ],
      errors: sync === null ? null : { apply: 0, sync },
    } as unknown as Subscription;
    const grown = sync === null || before === null || before.sync === null ? null : sync - before.sync;
    memories = rememberCopies(memories, subscription, grown, { since: before?.now ?? now, now });
    before = { sync, now };
    const troubles = copyTroubles(memories, subscription, now);
    return (name: string) => troubles.get(keyOf(named(name))) ?? null;
  };
}

const both = (sync: number | null, at: Record<string, number> = {}): Seen => ({
  tables: { bad: 'copying', good: 'copying' },
  at: { good: 7, ...at },
  sync,
});

describe('first copies that do not get on', () => {
  it('are named where errors rise and no worker stays at them; one that is copied all the while is not', () => {
    const at = look();
    const first = at(0, both(3));
    expect(first('bad')).toMatchObject({
      failing: false,
      reason: expect.stringMatching(/no worker is seen.*so far: 3/),
    });
    const second = at(5, both(4));
    expect(second('bad')).toMatchObject({
      failing: true,
      reason: expect.stringMatching(/1 table synchronization error was counted within 5.0 s .*no worker is at it/),
    });
    expect(second('good')).toBeNull();
    // The next try has proven nothing yet.
    expect(at(6, both(4, { bad: 8 }))('bad')).toMatchObject({ failing: true });
    expect(at(11, both(5))('bad')).toMatchObject({ failing: true, reason: expect.stringContaining('2 table') });
    expect(at(12, { ...both(5), tables: { bad: 'ready', good: 'copying' } })('bad')).toBeNull();
  });

  it('are not failing any more once a worker stays for a minute, and what was is told', () => {
    const at = look();
    at(0, both(0));
    at(5, both(1));
    at(10, both(1, { bad: 8 }));
    expect(at(64, both(1, { bad: 8 }))('bad')).toMatchObject({ failing: true });
    expect(at(70, both(1, { bad: 8 }))('bad')).toMatchObject({
      failing: false,
      reason: expect.stringContaining('before; worker 8 is at it'),
    });
  });

  it('are seen without counters by who is at them', () => {
    const at = look();
    const alone = (worker: Record<string, number> = {}): Seen => ({
      tables: { bad: 'copying' },
      at: worker,
      sync: null,
    });
    expect(at(0, alone())('bad')).toMatchObject({
      failing: false,
      reason: expect.stringContaining('counts no errors'),
    });
    expect(at(9, alone())('bad')).toMatchObject({ failing: false });
    expect(at(10, alone())('bad')).toMatchObject({ failing: true, reason: expect.stringContaining('server log') });
    expect(at(11, alone({ bad: 8 }))('bad')).toMatchObject({ failing: true });
    // The copy that follows an interruption may take hours.
    expect(at(71, alone({ bad: 8 }))('bad')).toBeNull();
    expect(look()(0, alone({ bad: 8 }))('bad')).toBeNull();
  });

  it('may wait for a worker while others are at work, also after an interruption, until two of their own are seen to end', () => {
    const at = look();
    at(0, both(null));
    expect(at(30, both(null))('bad')).toMatchObject({ failing: false });
    at(31, both(null, { bad: 8 }));
    expect(at(32, both(null))('bad')).toMatchObject({ failing: false });
    expect(at(300, both(null))('bad')).toMatchObject({ failing: false });
    at(301, both(null, { bad: 9 }));
    expect(at(302, both(null))('bad')).toMatchObject({ failing: true });
  });

  it('that failed once and wait for their turn while others are copied are not failing for long', () => {
    const at = look();
    at(0, both(3));
    expect(at(5, both(4))('bad')).toMatchObject({ failing: true });
    expect(at(64, both(4))('bad')).toMatchObject({ failing: true });
    expect(at(66, both(4))('bad')).toMatchObject({ failing: false, reason: expect.stringContaining('before') });
  });

  it('fail at once where two workers were seen to end', () => {
    const at = look();
    at(0, both(null, { bad: 8 }));
    expect(at(2, both(null, { bad: 9 }))('bad')).toBeNull();
    expect(at(4, both(null))('bad')).toMatchObject({ failing: true });
  });

  it('are blamed for nothing while no apply worker runs that would start them', () => {
    const at = look();
    at(0, both(null));
    const none = at(300, { ...both(null), at: {}, applies: false });
    expect(none('good')).toBeNull();
    const away = look();
    away(0, { tables: { bad: 'copying' }, sync: null, applies: false });
    away(300, { tables: { bad: 'copying' }, sync: null, applies: false });
    expect(away(301, { tables: { bad: 'copying' }, sync: null })('bad')).toMatchObject({ failing: false });
  });
});
