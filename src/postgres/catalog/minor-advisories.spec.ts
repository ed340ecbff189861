import { describe, expect, it } from '@jest/globals';
import { fixedIn, MINOR_ADVISORIES, minorAdvisories } from './minor-advisories.js';

function ids(version: string): string[] {
  const [, major, minor] = /^(\d+)(?:\.(\d+)|beta\d+|devel)/.exec(version)!;
  return minorAdvisories(Number(major) * 10000 + Number(minor ?? 0), version).map(({ id }) => id);
}

describe('minor-release advisories', () => {
  it.each([
    [
      'lost-changes-beside-ddl',
      ['13.0', '13.23', '14.17', '15.12', '16.8', '17.4'],
      ['14.18', '15.13', '16.9', '17.5', '18.0'],
    ],
    [
      'decoding-memory-beside-ddl',
      ['14.18', '15.13', '16.9', '17.5'],
      ['14.17', '14.19', '15.14', '16.10', '17.4', '17.6', '18.0'],
    ],
    ['pg-upgrade-and-max-slot-wal-keep-size', ['17.0', '17.5'], ['16.9', '17.6', '18.0']],
    ['run-as-owner-ignored', ['16.0'], ['15.0', '16.1', '17.0']],
    [
      'connection-options-ignored',
      ['15.0', '15.15', '16.11', '17.7', '18.1'],
      ['13.0', '14.20', '15.16', '16.12', '17.8', '18.2', '19.0'],
    ],
    ['cve-2026-6638', ['16.0', '16.13', '17.9', '18.3'], ['15.17', '16.14', '17.10', '18.4', '19.0']],
    [
      'cve-2026-6471',
      ['14.0', '14.23', '15.18', '16.14', '17.10', '18.5'],
      ['13.23', '14.24', '15.19', '16.15', '17.11', '18.6', '19.0'],
    ],
    ['sequence-sync-loops', ['19beta1', '19beta2'], ['18.0', '19beta3', '19.0', '19devel']],
  ])('%s holds exactly at the edges of its ranges', (id, affected, unaffected) => {
    for (const version of affected) expect([version, ids(version).includes(id)]).toEqual([version, true]);
    for (const version of unaffected) expect([version, ids(version).includes(id)]).toEqual([version, false]);
  });

  it('reads the version however a distribution dresses it up', () => {
    expect(ids('17.4 (Debian 17.4-1.pgdg120+2)')).toEqual(ids('17.4'));
    expect(minorAdvisories(170004, '17.4').length).toBeGreaterThan(0);
  });

  it('names the release with the fix, and says when there is none', () => {
    const lost = MINOR_ADVISORIES.find(({ id }) => id === 'lost-changes-beside-ddl')!;
    expect(fixedIn(lost, 17)).toBe('17.5');
    expect(fixedIn(lost, 13)).toBeNull();
    expect(
      fixedIn(
        MINOR_ADVISORIES.find(({ id }) => id === 'sequence-sync-loops')!,
        19,
      ),
    ).toBe('19beta3');
    expect(new Set(MINOR_ADVISORIES.map(({ id }) => id)).size).toBe(MINOR_ADVISORIES.length);
  });
});
