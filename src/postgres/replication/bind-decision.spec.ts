import { describe, expect, it } from '@jest/globals';
import { toLsn } from '../../shared/lsn.js';
import { contradiction, decide, nameApplied } from './bind-decision.js';
import { Snapshot } from './snapshot.js';
import type { StreamedTransaction } from './streamed-transaction.js';

const lsn = (value: number) => toLsn(BigInt(value));

function transaction(end: number, more: Partial<StreamedTransaction> = {}): StreamedTransaction {
  const endLsn = lsn(end);
  const changes = [{ kind: 'truncate' as const, relations: [], cascade: false, restartIdentity: false }];
  const base = { xid: end, commitLsn: lsn(end - 1), endLsn, commitTimeMicros: 0n, origin: null };
  return { ...base, changes, overflow: false, messages: [], ...more };
}

const ends = (transactions: readonly StreamedTransaction[]) => transactions.map(({ endLsn }) => Number(endLsn));
const missing = [10, 20, 30, 40, 50].map((end) => transaction(end));

function decided(bounds: { through: number; before: number | null; upTo: number }, named: [number, boolean][] = []) {
  const decision = decide(
    missing,
    {
      throughLsn: lsn(bounds.through),
      beforeLsn: bounds.before === null ? null : lsn(bounds.before),
      upToLsn: lsn(bounds.upTo),
    },
    named.map(([end, visible]) => ({ endLsn: lsn(end), visible })),
  );
  return { bound: decision.boundLsn, in: ends(decision.rollForward), doubt: ends(decision.inDoubt) };
}

describe('placing transactions in a subscriber snapshot', () => {
  it('by positions, leaves those between the two readings of the origin in doubt', () => {
    expect(decided({ through: 5, before: 20, upTo: 40 })).toEqual({ bound: 10n, in: [10], doubt: [20, 30, 40] });
  });

  it('takes what is known to be applied whatever the origin says', () => {
    expect(decided({ through: 30, before: null, upTo: 40 })).toEqual({ bound: 30n, in: [10, 20, 30], doubt: [40] });
  });

  it('by name, leaves nothing in doubt', () => {
    const named: [number, boolean][] = [
      [10, true],
      [20, true],
      [30, false],
    ];
    expect(decided({ through: 5, before: 10, upTo: 40 }, named)).toEqual({ bound: 20n, in: [10, 20], doubt: [] });
  });

  it('places a transaction without a name below a visible one by apply order', () => {
    expect(decided({ through: 5, before: null, upTo: 40 }, [[30, true]])).toEqual({
      bound: 30n,
      in: [10, 20, 30],
      doubt: [40],
    });
  });

  it('leaves transactions that changed nothing out', () => {
    const empty = transaction(10, { changes: [] });
    const bounds = { throughLsn: lsn(10), beforeLsn: null, upToLsn: lsn(10) };
    expect(decide([empty], bounds, [])).toMatchObject({ rollForward: [], inDoubt: [] });
  });

  it('names only transactions of the subscription itself', () => {
    const local = [
      transaction(7, { origin: { name: 'pg_5', lsn: lsn(10) } }),
      transaction(8, { origin: { name: 'pg_5_99', lsn: lsn(0) } }),
      transaction(9, { origin: { name: 'pg_5', lsn: lsn(20) } }),
      transaction(6),
    ];
    expect(nameApplied(local, 'pg_5', Snapshot.parse('9:9:'))).toEqual([
      { endLsn: 10n, visible: true },
      { endLsn: 20n, visible: false },
    ]);
  });
});

describe('what contradicts the bounds of a subscriber snapshot', () => {
  const bounds = { throughLsn: lsn(20), beforeLsn: lsn(40), upToLsn: lsn(50) };
  const named = (end: number, visible: boolean) => [{ endLsn: lsn(end), visible }];

  it('is a transaction said to be in that it does not show', () => {
    expect(contradiction(bounds, named(20, false))).toBe(20n);
    expect(contradiction(bounds, [...named(10, true), ...named(30, false)])).toBe(30n);
  });

  it('is none that may be out, and none that is in', () => {
    expect(contradiction(bounds, [...named(20, true), ...named(40, false)])).toBeNull();
    expect(contradiction({ ...bounds, beforeLsn: null }, named(30, false))).toBeNull();
  });
});
