import { describe, expect, it } from '@jest/globals';
import type { Subscription } from '../postgres/catalog/subscriptions.js';
import { parseLsn } from '../shared/lsn.js';
import { ApplyObservations } from './apply-observations.js';
import { type ServingEnd, stateOf } from './subscription-state.js';

const worker = (lastMessageAt = '2026-01-01T00:00:00.000Z', receivedLsn: string | null = '0/10') => ({
  ...{ pid: 7, kind: 'apply' as const, leaderPid: null, table: null, receivedLsn, latestEndLsn: receivedLsn },
  ...{ lastMessageAt, startedAt: '2026-01-01T00:00:00.000Z' },
});
const table = (state: Subscription['tables'][number]['state']) => ({
  ...{ schema: 'public', name: 't', state, lsn: null, copyProgress: null },
});
const subscription = (fields: Partial<Subscription> = {}): Subscription => ({
  ...{ oid: 1, name: 's', owner: 'o', enabled: true, publications: ['p'], twoPhaseState: null, skipLsn: null },
  ...{ originLsn: '0/10', originReadable: true, conflicts: null, errors: { apply: 0, sync: 0 } },
  ...{ tables: [table('ready')], workers: [worker()] },
  settings: {
    ...{ slotName: 's', synchronousCommit: 'off', binary: false, streaming: 'off', twoPhase: false, origin: null },
    ...{ disableOnError: false, passwordRequired: null, runAsOwner: null, failover: null },
  },
  ...fields,
});
const SERVING: ServingEnd = { obstacle: null, behind: false, away: false, senderState: 'streaming' };
const errors = (apply: number, sync = 0) => ({ errors: { apply, sync } });
const failed = (apply: number) => ({ ...errors(apply), workers: [] });

/** Looks at the given seconds, the position and the end of the publisher's WAL being those of the look. */
function look(end: ServingEnd = SERVING) {
  const observations = new ApplyObservations();
  return (atSeconds: number, fields: Partial<Subscription> = {}, position: string | null = '0/10', walEnd = '0/10') => {
    const seen = subscription(fields);
    const at = { position: position === null ? null : parseLsn(position), walEnd: parseLsn(walEnd) };
    return stateOf(seen, observations.observe('s', { subscription: seen, ...at }, 1_000_000 + atSeconds * 1000), end);
  };
}

describe('the state of a subscription', () => {
  it('is failing only once errors are seen to rise while nothing is gained', () => {
    const at = look();
    const first = at(0, failed(5));
    expect([first.state, first.reason]).toEqual(['stalled', expect.stringContaining('not known at the first look')]);
    expect(at(5, failed(5))).toMatchObject({
      state: 'stalled',
      reason: expect.stringContaining('none seen since it last went on'),
    });
    const failing = at(10, failed(7));
    expect(failing).toMatchObject({ state: 'failing', reason: expect.stringContaining('2 apply errors were counted') });
    // The worker that runs for a moment has applied nothing: it is not taken for a cure.
    expect(at(11, errors(7)).state).toBe('failing');
    expect(at(12, errors(7), '0/20').state).toBe('streaming');
  });

  it('is stalled where a first copy was begun and no worker has come to any for a minute', () => {
    const copying = { tables: [table('copying'), table('initializing')] };
    const at = look();
    expect(at(0, copying).state).toBe('copying');
    expect(at(59, copying).state).toBe('copying');
    const stalled = { state: 'stalled', reason: expect.stringContaining('no worker is seen at it') };
    expect(at(60, copying)).toMatchObject(stalled);
    // One that works at another table is why the first one waits.
    const busy = { ...worker(), pid: 8, kind: 'table synchronization' as const };
    const other = { schema: 'public', name: 'u' };
    const both = {
      tables: [...copying.tables, { ...table('copying'), ...other }],
      workers: [worker(), { ...busy, table: other }],
    };
    expect(at(61, both).state).toBe('copying');
  });

  it('does not hold errors against it that have not risen for a minute', () => {
    const at = look();
    at(0, errors(1));
    expect(at(5, errors(2)).state).toBe('failing');
    expect(at(50, errors(2)).state).toBe('failing');
    expect(at(70, { ...errors(2), workers: [worker('2026-01-01T00:01:00.000Z')] }).state).toBe('streaming');
  });

  it('is failing for as long as the position stands and the publisher has more, however seldom it fails', () => {
    const at = look({ ...SERVING, senderState: 'catchup' });
    const receiving = (count: number, second: number) => ({
      ...errors(count),
      workers: [worker(new Date(1_000_000 + second * 1000).toISOString())],
    });
    at(0, receiving(1, 0), '0/10', '0/90000');
    expect(at(5, receiving(2, 5), '0/10', '0/90000').state).toBe('failing');
    for (const second of [70, 130, 190, 240]) {
      expect([second, at(second, receiving(2, second), '0/10', '0/90000').state]).toEqual([second, 'failing']);
    }
    expect(at(245, receiving(3, 245), '0/10', '0/90000').reason).toMatch(/2 apply errors .* nothing was applied since/);
    // The transaction went through, or nothing is left that could fail.
    expect(at(400, receiving(3, 400), '0/20', '0/90000').state).toBe('catching-up');
  });

  it('tells errors of before it was looked at, until something was applied', () => {
    const at = look();
    const first = at(0, errors(50), '0/10', '0/900');
    expect(first).toEqual({
      state: 'streaming',
      reason: expect.stringMatching(/so far: 50, whether lately is not known/),
    });
    const received = { ...errors(50), workers: [worker('2026-01-01T00:01:00.000Z')] };
    expect(at(59, received, '0/10', '0/900').reason).toMatch(/so far: 50.*nothing was applied within 59 s/);
    expect(at(60, received, '0/20', '0/900').reason).toBeNull();
    // All is applied: no error is in the way of anything.
    expect(look()(0, errors(50)).reason).toBeNull();
    expect(look()(0, errors(50), null).reason).toContain('so far: 50');
  });

  it('takes an error for no evidence where more was applied since the last look', () => {
    const at = look();
    at(0, errors(1));
    expect(at(300, errors(2), '0/500').state).toBe('streaming');
    expect(at(305, errors(3), '0/500').state).toBe('failing');
  });

  it('takes counters that were reset for no rise', () => {
    const at = look();
    at(0, failed(9));
    expect(at(5, failed(1)).state).toBe('stalled');
  });

  it('is failing when copies fail, until one is over', () => {
    const at = look();
    const copying = (sync: number, state: 'copying' | 'ready') => ({ ...errors(0, sync), tables: [table(state)] });
    expect(at(0, copying(3, 'copying')).state).toBe('copying');
    expect(at(5, copying(4, 'copying')).state).toBe('failing');
    expect(at(10, copying(4, 'ready')).state).toBe('streaming');
  });

  it('is stalled without a worker, for as long as that was seen, and says what is in the way', () => {
    const obstacle = 'the publisher p did not answer';
    const at = look({ ...SERVING, obstacle, away: true, senderState: null });
    at(0, errors(0));
    // The lost connection is counted as an error.
    const lost = at(5, failed(1));
    expect([lost.state, lost.reason]).toEqual(['stalled', expect.stringContaining(obstacle)]);
    expect(at(35, failed(1)).reason).toContain('for 30 s');
    expect(at(36, { ...errors(1), workers: [worker('2026-01-01T00:00:00.000Z', null)] }).state).not.toBe('streaming');
  });

  it('is never streaming from a publisher whose WAL ends before what was applied', () => {
    const obstacle = 'the publisher went back';
    const at = look({ ...SERVING, obstacle, behind: true });
    expect(at(0)).toEqual({ state: 'stalled', reason: obstacle });
    expect(at(1, { enabled: false })).toEqual({ state: 'disabled', reason: obstacle });
    expect(at(2, { workers: [] })).toMatchObject({ state: 'stalled', reason: expect.stringContaining(obstacle) });
    expect(at(3, failed(2))).toMatchObject({ state: 'failing', reason: expect.stringContaining(obstacle) });
  });

  it('is stalled when nothing reaches its worker while the publisher writes', () => {
    const at = look();
    expect(at(0).state).toBe('streaming');
    expect(at(50, {}, '0/10', '0/1000').state).toBe('streaming');
    const still = at(75, {}, '0/10', '0/2000');
    expect(still).toMatchObject({ state: 'stalled', reason: expect.stringContaining('8176 bytes') });
    const received = { workers: [worker('2026-01-01T00:01:20.000Z')] };
    expect(at(80, received, '0/10', '0/3000').state).toBe('streaming');
  });

  it('is not stalled when the publisher is as still', () => {
    const at = look();
    at(0);
    expect(at(600).state).toBe('streaming');
  });

  it('is initializing until the first worker can have started', () => {
    const at = look();
    const none = { workers: [], originLsn: null };
    expect(at(0, none, null).state).toBe('initializing');
    expect(at(11, none, null).state).toBe('stalled');
    // Its tables were copied: it ran, though nothing was applied since.
    expect(look()(0, { ...none, tables: [{ ...table('ready'), lsn: '0/8' }] }, null).state).toBe('stalled');
  });

  it('is stalled when each worker ends before it has received anything, though nothing is counted', () => {
    const at = look({ ...SERVING, senderState: null });
    const started = { tables: [table('initializing')], workers: [worker('2026-01-01T00:00:00.000Z', null)] };
    const ended = { tables: started.tables, workers: [], originLsn: null };
    expect(at(0, ended, null).state).toBe('initializing');
    expect(at(5, started, null).state).toBe('initializing');
    expect(at(11, ended, null)).toMatchObject({
      state: 'stalled',
      reason: expect.stringContaining('none that was seen before had received anything'),
    });
    expect(at(61, started, null)).toMatchObject({
      state: 'stalled',
      reason: expect.stringMatching(/within 61 s had received anything.*server log/),
    });
    const well = { tables: started.tables, workers: [worker()] };
    expect(at(62, well, null).state).toBe('initializing');
  });

  it('is catching up while the publisher sends what is older, or nothing has come yet', () => {
    expect(look({ ...SERVING, senderState: 'catchup' })(0).state).toBe('catching-up');
    expect(look()(0, { workers: [worker('2026-01-01T00:00:00.000Z', null)] }).state).toBe('catching-up');
  });
});
