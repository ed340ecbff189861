import { describe, expect, it } from '@jest/globals';
import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import { outlookOf } from './slot-outlook.js';

const MB = 1_000_000;
const slot = (fields: Partial<ReplicationSlot> = {}): ReplicationSlot => ({
  ...{
    name: 'a',
    kind: 'logical',
    plugin: 'pgoutput',
    database: 'orders',
    temporary: false,
    active: true,
    activePid: 7,
  },
  ...{ restartLsn: '0/1', confirmedFlushLsn: '0/1', currentLsn: '0/2', retainedBytes: 10 * MB, walStatus: 'reserved' },
  ...{ safeWalSize: null, xminAge: null, catalogXminAge: 5, twoPhase: false, failover: false, synced: false },
  ...{ conflicting: null, inactiveSince: null, invalidationReason: null },
  ...fields,
});
const rate = (bytesPerSecond: number) => ({ bytesPerSecond, overSeconds: 60 });

describe('outlookOf', () => {
  it('is ok while it is read', () => {
    expect(outlookOf(slot(), rate(1 * MB), null)).toMatchObject({ health: 'ok', reasons: [], limit: null });
  });

  it('never takes a lost slot for anything else, also with no figures and no reader', () => {
    const lost = slot({ walStatus: 'lost', restartLsn: null, retainedBytes: null, active: false });
    expect(outlookOf(lost, null, 500)).toMatchObject({ health: 'lost', bytesToLimit: null, secondsToLimit: null });
    expect(outlookOf(slot({ invalidationReason: 'idle_timeout' }), null, null)).toMatchObject({
      health: 'lost',
      reasons: [expect.stringContaining('idle_timeout')],
    });
  });

  it('is unknown where the server does not say', () => {
    expect(outlookOf(slot({ walStatus: null }), null, null).health).toBe('unknown');
  });

  it('tells how long an unread slot has, by the nearer of the limit of the server and the budget', () => {
    const unread = { active: false };
    const limited = outlookOf(slot({ ...unread, safeWalSize: 600 * MB }), rate(1 * MB), 611 * MB);
    expect(limited).toMatchObject({ health: 'critical', limit: 'max_slot_wal_keep_size', secondsToLimit: 600 });
    const sooner = outlookOf(slot({ ...unread, safeWalSize: 600 * MB }), rate(1 * MB), 310 * MB);
    expect(sooner).toMatchObject({ limit: 'walBudgetBytes', bytesToLimit: 300 * MB, secondsToLimit: 300 });
    expect(sooner.reasons).toEqual([expect.stringContaining('reaches walBudgetBytes in 5 minutes')]);
    // Where both end at once the slot is lost, which is the worse of the two.
    expect(outlookOf(slot({ safeWalSize: 600 * MB }), null, 610 * MB).limit).toBe('max_slot_wal_keep_size');
    expect(outlookOf(slot({ safeWalSize: 600 * MB, retainedBytes: null }), null, 1).limit).toBe(
      'max_slot_wal_keep_size',
    );
    const budgeted = outlookOf(slot(unread), rate(1 * MB), 20_010 * MB);
    expect(budgeted).toMatchObject({ health: 'warning', limit: 'walBudgetBytes', secondsToLimit: 20_000 });
    expect(budgeted.reasons).toEqual([expect.stringContaining('6 hours')]);
    expect(outlookOf(slot(unread), rate(1 * MB), 5 * MB)).toMatchObject({ health: 'critical', bytesToLimit: -5 * MB });
  });

  it('does not foretell without a rate, and takes no writes for no end, not for none', () => {
    const unread = slot({ active: false, safeWalSize: 600 * MB });
    expect(outlookOf(unread, null, null)).toMatchObject({ secondsToLimit: null, walRate: null, health: 'ok' });
    expect(outlookOf(unread, rate(0), null)).toMatchObject({ secondsToLimit: null, health: 'ok' });
  });

  it('warns of an unread slot that nothing limits, and not of the copy of one that a standby keeps', () => {
    expect(outlookOf(slot({ active: false }), null, null).health).toBe('warning');
    expect(outlookOf(slot({ active: false, synced: true }), null, null).health).toBe('ok');
  });

  it('warns of one that is read where its reader does not keep up', () => {
    const behind = (retained: number, fields: Partial<ReplicationSlot> = {}, budget: number | null = null) =>
      outlookOf(slot({ retainedBytes: retained * MB, ...fields }), rate(100 * MB), budget);
    expect(behind(500_000)).toMatchObject({ health: 'warning', reasons: [expect.stringContaining('500000 MB')] });
    expect(behind(900)).toMatchObject({ health: 'ok', reasons: [] });
    expect(behind(600, {}, 1_000 * MB)).toMatchObject({
      health: 'warning',
      reasons: [expect.stringContaining('60 % of the WAL that walBudgetBytes allows')],
    });
    expect(behind(950, { safeWalSize: 50 * MB })).toMatchObject({
      health: 'critical',
      reasons: [expect.stringContaining('95 % of the WAL that max_slot_wal_keep_size allows')],
    });
    // However fast the server writes: at its end the reader is as far from the limit as can be.
    expect(behind(10, { safeWalSize: 1_000 * MB })).toMatchObject({ health: 'ok', secondsToLimit: 10 });
  });

  it('does not foretell the end of a copy that moves on with its primary', () => {
    const copy = slot({ active: false, synced: true, safeWalSize: 600 * MB });
    expect(outlookOf(copy, rate(1 * MB), null)).toMatchObject({ health: 'ok', reasons: [] });
    expect(outlookOf({ ...copy, walStatus: 'unreserved' }, rate(1 * MB), null).health).toBe('critical');
  });

  it('warns of WAL about to go and of rows that cannot be vacuumed', () => {
    expect(outlookOf(slot({ walStatus: 'unreserved', safeWalSize: -1 }), null, null).health).toBe('critical');
    expect(outlookOf(slot({ catalogXminAge: 300_000_000 }), null, null).reasons[0]).toContain('vacuumed');
  });
});
