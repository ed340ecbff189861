import { describe, expect, it } from '@jest/globals';
import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import { parseLsn } from '../shared/lsn.js';
import { isOwnReader, type SeenSender } from './own-reader.js';
import { gapOf } from './slot-gap.js';

const look = (confirmedFlushLsn: string, currentLsn: string) => ({
  slot: { confirmedFlushLsn, currentLsn } as ReplicationSlot,
  unknown: null,
  isCarriedOver: false,
  versionNum: 180000,
});

describe('what a slot does not send', () => {
  it('is nothing where it starts no later than applying ended, or nothing was taken up yet', () => {
    expect(gapOf('s', look('0/10', '0/30'), parseLsn('0/10'))).toBeNull();
    expect(gapOf('s', look('0/20', '0/30'), null)).toBeNull();
  });

  it('lies between what is applied and where it starts', () => {
    expect(gapOf('s', look('0/20', '0/30'), parseLsn('0/10'))).toMatchObject({ until: parseLsn('0/20') });
    expect(gapOf('s', look('0/20', '0/30'), { unknown: 'who knows' })?.detail).toContain('who knows');
  });

  it('is nothing where it came with the promotion, though it had confirmed more than the origin shows', () => {
    expect(gapOf('s', look('0/20', '0/30'), parseLsn('0/10'), true)).toBeNull();
  });

  it('is what a publisher writes anew that has not got all that was applied', () => {
    for (const isCarriedOver of [false, true]) {
      const gap = gapOf('s', look('0/10', '0/30'), parseLsn('0/40'), isCarriedOver);
      expect(gap).toMatchObject({ until: parseLsn('0/40'), detail: expect.stringContaining('ends at 0/30') });
    }
  });
});

describe('the reader of a slot', () => {
  const sender = (more: Partial<SeenSender> = {}): SeenSender => ({
    ...{ pid: 7, user: 'u', application: 'sub', clientAddress: null, state: 'streaming', versionNum: 160000 },
    ...{ sentLsn: '0/30', writeLsn: '0/20', flushLsn: '0/20', replayLsn: '0/20' },
    ...more,
  });
  const isOwn = (before: SeenSender | null, received: string | null, after: SeenSender | null = before) => {
    const senders = [before, after];
    return isOwnReader(
      ['sub'],
      () => Promise.resolve(senders.shift() ?? null),
      () => Promise.resolve(received),
    );
  };

  it('is the worker that has received what was sent, and no less than it has told of', async () => {
    for (const received of ['0/20', '0/28', '0/30']) expect(await isOwn(sender(), received)).toBe(true);
  });

  it('is not known to be it where anything does not fit, or may not be seen', async () => {
    expect(await isOwn(sender(), '0/1F')).toBe(false);
    expect(await isOwn(sender(), '0/31')).toBe(false);
    expect(await isOwn(sender(), null)).toBe(false);
    expect(await isOwn(null, '0/28')).toBe(false);
    expect(await isOwn(sender(), '0/28', null)).toBe(false);
    expect(await isOwn(sender(), '0/28', sender({ pid: 8 }))).toBe(false);
    expect(await isOwn(sender({ application: 'other' }), '0/28')).toBe(false);
    expect(await isOwn(sender({ application: null, writeLsn: null, sentLsn: null }), '0/28')).toBe(false);
    expect(await isOwn(sender(), '1/0', sender({ sentLsn: '2/0' }))).toBe(false);
  });
});
