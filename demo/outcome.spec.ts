import { describe, expect, it } from '@jest/globals';
import { broken, type Outcome, summary } from './outcome.js';

const endpoint = (port: number) => ({ host: '127.0.0.1', port, database: 'orders' });

/** An upgrade of which everything held. */
function held(): Outcome {
  return {
    sourceVersion: '14.23',
    targetVersion: '18.4',
    upgrade: {
      name: 'orders-14-to-18',
      phase: 'switched',
      steps: [],
      preflight: [],
      awaiting: null,
      writeTo: 'target',
      switchover: { fenceLsn: '0/5000028', writePauseMs: 412, fenceProof: 'held' },
      verification: { id: 'v', verdict: 'equal', verifiedLsn: '0/4000000' },
      problem: null,
      source: { server: 'orders-14', database: 'orders' },
      target: { server: 'orders-18', database: 'orders' },
    },
    verification: {
      verdict: 'equal',
      verifiedLsn: '0/4000000',
      progress: null,
      tables: [{ rows: 300_000 }, { rows: 31_204 }],
    },
    clients: {
      writers: 2,
      acknowledged: 5000,
      acknowledgedSinceMove: 2000,
      failedAttempts: 3,
      retried: 2,
      longestPauseMs: 600,
      moves: [500, 600].map((pauseMs) => ({ from: endpoint(1), to: endpoint(2), pauseMs })),
      defects: [],
    },
    ledger: { acknowledged: 5000, lost: [], duplicated: [], mismatches: [], inDoubt: { committed: 0, rolledBack: 0 } },
    comparison: { tables: 16, rows: 340_000, sequences: 207, differences: [] },
    seconds: 61.4,
  };
}

describe('the outcome of a demo', () => {
  it('is good only when nothing is broken', () => {
    expect(broken(held())).toEqual([]);
  });

  it.each<[string, (outcome: Outcome) => void, RegExp]>([
    ['a difference', (o) => (o.verification.verdict = 'different'), /verification says different/],
    ['no verdict', (o) => (o.verification.verdict = null), /verification says nothing/],
    ['writes fenced', (o) => (o.upgrade.writeTo = null), /writes go to nowhere/],
    ['a violated fence', (o) => (o.upgrade.switchover!.fenceProof = 'violated'), /fence is violated/],
    ['a fence without proof', (o) => (o.upgrade.switchover!.fenceProof = null), /fence is not proven/],
    ['an unknown pause', (o) => (o.upgrade.switchover!.writePauseMs = null), /write pause is unknown/],
    ['a writer left behind', (o) => o.clients.moves.pop(), /1 of 2 writers moved/],
    ['nothing written afterwards', (o) => (o.clients.acknowledgedSinceMove = 0), /nothing was written on the target/],
    ['a lost write', (o) => o.ledger.lost.push('f00'), /lost: f00/],
    ['a doubled write', (o) => o.ledger.duplicated.push('f00'), /duplicated: f00/],
    ['a lost update', (o) => o.ledger.mismatches.push('account 7 has 1 cents'), /account 7/],
    ['a refused write', (o) => o.clients.defects.push('ticket: duplicate key'), /duplicate key/],
    ['servers that differ', (o) => o.comparison.differences.push('t: contents differ'), /contents differ/],
  ])('names %s', (_name, breakIt, expected) => {
    const outcome = held();
    breakIt(outcome);
    expect(broken(outcome).join('\n')).toMatch(expected);
  });

  it('is told in a short table', () => {
    const table = summary(held());
    expect(table).toMatch(/PostgreSQL 14\.23 -> 18\.4/);
    expect(table).toMatch(/rows verified +331,204, equal at 0\/4000000/);
    expect(table).toMatch(/write pause, server +412 ms/);
    expect(table).toMatch(/write pause, clients +median 500 ms, worst 600 ms/);
    expect(table).toMatch(/lost +0\n +duplicated +0\n/);
  });
});
