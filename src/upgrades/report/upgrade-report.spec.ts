import { describe, expect, it } from '@jest/globals';
import type { UpgradeEntity } from '../upgrade.entity.js';
import type { UpgradePhase } from '../upgrade-request.js';
import { renderMarkdown, upgradeReport } from './upgrade-report.js';

const DATE = new Date('2026-01-02T03:04:05Z');
const SOMETHING = { code: 'CONFLICT', detail: 'something is in the way' };

function upgrade(phase: UpgradePhase, more: Partial<UpgradeEntity> = {}): UpgradeEntity {
  return {
    ...{ name: 'orders', shortId: 'a1', operationId: 'o', phase, awaiting: null, writeTo: 'source', preflight: [] },
    request: { source: { server: 'old', database: 'd' }, target: { server: 'new', database: 'd' } } as never,
    ...{ secrets: null, facts: {}, verification: null, problem: null, attempt: 1 },
    ...{ abortRequestedAt: null, openingAt: null, createdAt: DATE, updatedAt: DATE, ...more },
  };
}

const remains = (phase: UpgradePhase, more?: Partial<UpgradeEntity>) =>
  upgradeReport(upgrade(phase, more), []).remains.join(' ');
const markdown = (phase: UpgradePhase, more?: Partial<UpgradeEntity>) =>
  renderMarkdown(upgradeReport(upgrade(phase, more), []));

describe('the report of an upgrade', () => {
  it.each<[UpgradePhase, RegExp, Partial<UpgradeEntity>]>([
    ['preflight', /retry.*abort/, { problem: SOMETHING }],
    ['blocked', /blockers, then retry.*abort/, {}],
    ['awaiting-approval', /Approve the copy, or abort/, { awaiting: 'copy' }],
    ['awaiting-approval', /Approve the switchover, or abort.*keep WAL/, { awaiting: 'switchover' }],
    ['switched', /roll back, or finalize/, { writeTo: 'target' }],
    ['switched', /not open: .*retry, which opens it/, { writeTo: null, problem: SOMETHING }],
    ['rolled-back', /Retry for another switchover, or abort.*keep WAL/, {}],
    ['rolling-back', /roll back again/, { problem: SOMETHING }],
    ['failed', /then retry. Or abort.*keep WAL/, { problem: SOMETHING }],
    ['aborting', /abort again/, { problem: SOMETHING }],
  ])('of the phase %s says what is due: %s', (phase, due, more) => {
    expect(remains(phase, more)).toMatch(due);
    expect(markdown(phase, more)).not.toContain('Nothing');
  });

  it.each<UpgradePhase>([
    'preflight',
    'prepare',
    'copy',
    'catch-up',
    'verify',
    'switchover',
    'rolling-back',
    'aborting',
  ])('of the phase %s says that it goes on by itself', (phase) => {
    expect(remains(phase)).toBe('');
    expect(markdown(phase)).toContain('Nothing but to wait');
  });

  it.each<UpgradePhase>(['finalized', 'aborted'])(
    'of the phase %s says that nothing remains, or what was left',
    (phase) => {
      expect(markdown(phase)).toContain('## What remains to do\n\nNothing.\n');
      const left = { facts: { leftovers: ['the source could not be reached'] } };
      expect(markdown(phase, left)).toContain('## What remains to do\n\n- the source could not be reached\n');
    },
  );

  it('does not ask for a problem to be mended where the target is just being opened', () => {
    expect(remains('switched', { writeTo: null })).toBe('');
  });

  it('does not say that nothing was left out before that was looked for', () => {
    expect(markdown('blocked')).toContain('## Not carried\n\nNot looked for yet.\n');
    expect(markdown('verify', { facts: { notCarried: [] } })).toContain('## Not carried\n\nNothing was left out.\n');
    const notCarried = [{ kind: 'unlogged table', objects: ['public.scratch'], remedy: 'Fill it.' }];
    expect(markdown('finalized', { facts: { notCarried } })).toContain('- unlogged table: public.scratch. Fill it.');
    expect(remains('finalized', { facts: { notCarried } })).toBe('unlogged table (1): Fill it.');
    expect(upgradeReport(upgrade('blocked'), []).notCarried).toBeNull();
  });
});
