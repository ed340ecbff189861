import { describe, expect, it } from '@jest/globals';
import type { TransactionKind, TransactionSummary } from '../../postgres/replication/transaction-summary.js';
import { toLsn } from '../../shared/lsn.js';
import { PreparedAsSent, preparedGid } from './prepared-transactions.js';

const OID = 16_400;
const POSITION = 100n;
const TABLES = [{ schema: 'public', name: 't', inserts: 1, updates: 0, deletes: 0, truncates: 0 }];

function summary(kind: TransactionKind, xid: number, finishLsn: bigint): TransactionSummary {
  const isEnd = kind === 'commitPrepared' || kind === 'rollbackPrepared';
  return {
    ...{ kind, xid, gid: kind === 'commit' ? null : 'g', finishLsn: toLsn(finishLsn), endLsn: toLsn(finishLsn + 8n) },
    ...{
      committedAt: `at ${finishLsn}`,
      bytes: 1,
      changeCount: isEnd ? 0 : 1,
      tables: isEnd ? [] : TABLES,
      changes: [],
    },
  };
}

function reading(since: bigint | null, ...prepared: number[]): PreparedAsSent {
  return new PreparedAsSent(
    OID,
    toLsn(POSITION),
    since === null ? null : toLsn(since),
    new Set(prepared.map((xid) => preparedGid(OID, xid))),
  );
}

/** What is told of a transaction that was prepared at 40 and committed at 200. */
function committedLate(asSent: PreparedAsSent) {
  expect(asSent.accept(summary('prepare', 7, 40n))).toBeNull();
  return asSent.accept(summary('commitPrepared', 7, 200n));
}

describe('what a slot sends of prepared transactions, told from what its copy sends', () => {
  it('is what was prepared past the position, when it is prepared', () => {
    const prepare = summary('prepare', 7, POSITION);
    expect(reading(null).accept(prepare)).toBe(prepare);
  });

  it('is the COMMIT PREPARED only, of what was sent when it was prepared: with the changes all the same', () => {
    const told = { kind: 'commitPrepared', finishLsn: 200n, endLsn: 208n, committedAt: 'at 200', tables: TABLES };
    expect(committedLate(reading(40n))).toMatchObject(told);
    // The subscriber has it.
    expect(committedLate(reading(null, 7))).toMatchObject(told);
  });

  it('is the PREPARE, of what was prepared before the slot had two_phase; the origin moves with the COMMIT PREPARED', () => {
    const told = { kind: 'prepare', finishLsn: 40n, endLsn: 208n, committedAt: 'at 40', tables: TABLES };
    expect(committedLate(reading(41n))).toMatchObject(told);
  });

  it('is not known where neither slot nor subscriber tell', () => {
    const asSent = reading(null, 8);
    expect(asSent.untold).toBeNull();
    expect(committedLate(asSent)).toBeNull();
    for (const told of ['transaction 7 ', '0/28', '0/C8', 'pg_gid_16400_7']) expect(asSent.untold).toContain(told);
  });

  it('is a ROLLBACK PREPARED only where there is something to roll back', () => {
    const rollback = summary('rollbackPrepared', 7, 200n);
    expect(reading(null).accept(rollback)).toBeNull();
    expect(reading(null, 7).accept(rollback)).toBe(rollback);
  });
});
