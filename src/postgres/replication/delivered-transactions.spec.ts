import { describe, expect, it } from '@jest/globals';
import { toLsn } from '../../shared/lsn.js';
import { DeliveredTransactions } from './delivered-transactions.js';
import { Snapshot } from './snapshot.js';
import type { StreamedTransaction } from './streamed-transaction.js';

function transaction(xid: number, changes = 1): StreamedTransaction {
  const change = { kind: 'truncate' as const, relations: [], cascade: false, restartIdentity: false };
  return {
    xid,
    commitLsn: toLsn(BigInt(xid * 10)),
    endLsn: toLsn(BigInt(xid * 10 + 5)),
    commitTimeMicros: 0n,
    origin: null,
    changes: Array<typeof change>(changes).fill(change),
    overflow: false,
    messages: [],
  };
}

const LIMITS = { maxChanges: 10, maxBytes: 1000 };
const xids = (recorded: readonly StreamedTransaction[]) => recorded.map(({ xid }) => xid);

describe('delivered transactions', () => {
  it('hands a recording what was delivered shortly before it', () => {
    const delivered = new DeliveredTransactions();
    delivered.add(transaction(1), 10);
    const recording = delivered.record(LIMITS);
    delivered.add(transaction(2), 10);
    recording.stop();
    delivered.add(transaction(3), 10);
    expect(xids(recording.transactions)).toEqual([1, 2]);
  });

  it('knows which transactions it no longer has that a snapshot does not see', () => {
    const delivered = new DeliveredTransactions();
    for (let xid = 100; xid < 5000; xid++) delivered.add(transaction(xid), 10);
    expect(delivered.lostBehind(Snapshot.parse('5000:5000:'))).toEqual([]);
    const again = new DeliveredTransactions();
    for (let xid = 100; xid < 5000; xid++) again.add(transaction(xid), 10);
    const retained = xids(again.record({ maxChanges: 1e6, maxBytes: 1e9 }).transactions);
    const running = Snapshot.parse(`150:5000:150,${retained[0]!}`);
    expect(again.lostBehind(running)).toEqual([150n]);
    // Seen as running again: still unaccounted for. Once it ended, it is forgotten.
    expect(again.lostBehind(running)).toEqual([150n]);
    expect(again.lostBehind(Snapshot.parse('5000:5000:'))).toEqual([]);
    expect(again.lastEvictedEnd).toBe(BigInt((retained[0]! - 1) * 10 + 5));
  });

  it('notices a lost transaction at or above xmax', () => {
    const delivered = new DeliveredTransactions();
    for (let xid = 1; xid < 3000; xid++) delivered.add(transaction(xid), 10);
    expect(delivered.lostBehind(Snapshot.parse('500:500:'))[0]).toBe(500n);
  });

  it('does not keep a transaction too large to keep', () => {
    const delivered = new DeliveredTransactions();
    delivered.add(transaction(7, 30_000), 10);
    delivered.add(transaction(8, 1), 1024 ** 3);
    expect(delivered.record(LIMITS).transactions).toEqual([]);
    expect(delivered.lostBehind(Snapshot.parse('7:9:7'))).toEqual([7n]);
  });

  it('holds a recording to its limits, counting only what is wanted whole', () => {
    const delivered = new DeliveredTransactions();
    const [all, some] = [delivered.record(LIMITS), delivered.record(LIMITS)];
    some.keepWhole(({ xid }) => xid > 2);
    for (let xid = 1; xid < 5; xid++) delivered.add(transaction(xid, 5), 10);
    expect(all.exceeded).toBe(true);
    expect(all.transactions).toEqual([]);
    expect(some.exceeded).toBe(false);
    expect(some.transactions.map((t) => t.changes.length)).toEqual([0, 0, 5, 5]);
    delivered.add(transaction(9), 10);
    expect(some.exceeded).toBe(true);
  });
});
