import { setTimeout as delay } from 'node:timers/promises';
import {
  FENCE_POSITION,
  type FencedSession,
  MAY_SEE_ACTIVITY,
  OTHER_WRITING_SESSIONS,
  PREPARED_TRANSACTIONS,
  SESSIONS_OF_ROLES,
  STARTING_SESSIONS,
  TERMINATE,
} from '../../postgres/catalog/fence.sql.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { applyBar, restoreBar, type RestoreTo } from './bar.js';
import { compareRecord, type RecordDifference } from './compare-record.js';
import type { FenceRecord } from './fence-record.js';

/** The bar itself takes milliseconds; a tight deadline must not fail it half way to being useful. */
const MIN_BAR_MS = 1_000;
/** Between looks at the sessions that are still ending. */
const UNCOMMITTED_GRACE_MS = 1_000;
const POLL_MS = 10;
/** A starting session that has not locked the database by then is still authenticating, and will meet the bar. */
const STARTING_GRACE_MS = 1_000;

export interface FenceRaised {
  /** When the bar was in force: no new session of the roles from here. */
  barredAt: string;
  /** When the last session of the roles was gone. */
  fencedAt: string;
  /** WAL insert position read after that: every commit of the roles lies below it. */
  fenceLsn: string;
  /** Sessions that were ended. */
  terminated: number;
  /**
   * Writing transactions of roles the fence does not cover (superusers): not prevented, shown by the proof. Null when
   * the login may not see them (it lacks pg_read_all_stats).
   */
  otherWriters: FencedSession[] | null;
}

/**
 * Bars the recorded roles, ends their sessions, and returns once none is left and no prepared transaction is open in
 * the database. Safe to repeat: what is done already is found done, and the position is read anew. When the deadline
 * passes or something stands in the way it rejects with what is left named; the caller then lowers the fence.
 */
export async function raiseFence(
  session: Session,
  record: FenceRecord,
  { deadlineMs, signal }: { deadlineMs: number; signal?: AbortSignal },
): Promise<FenceRaised> {
  const deadline = Date.now() + deadlineMs;
  const barred = record.roles.map(({ oid }) => oid);
  await applyBar(session, record, { timeoutMs: Math.max(deadlineMs, MIN_BAR_MS) });
  const { at: barredAt } = await position(session);
  const starting = new Set((await session.rows<StartingRow>(STARTING_SESSIONS)).map(({ vxid }) => vxid));
  const startedBy = Date.now() + STARTING_GRACE_MS;
  const ended = new Set<number>();
  for (;;) {
    signal?.throwIfAborted();
    const stillStarting = await unsettled(session, starting, Date.now() >= startedBy);
    // Read after the starting ones: a session is either still starting above or listed here.
    const left = await session.rows<FencedSession>(SESSIONS_OF_ROLES, [barred]);
    if (left.length === 0 && stillStarting === 0) break;
    if (Date.now() >= deadline) throw deadlinePassed(left, stillStarting, deadlineMs);
    if (left.length > 0) {
      for (const { pid } of left) ended.add(pid);
      await session.rows(TERMINATE, [left.map(({ pid }) => pid)]);
    }
    await delay(POLL_MS);
  }
  await refusePrepared(session);
  const { visible } = await session.row<{ visible: boolean }>(MAY_SEE_ACTIVITY);
  const otherWriters = visible ? await session.rows<FencedSession>(OTHER_WRITING_SESSIONS) : null;
  const { lsn, at } = await position(session);
  return { barredAt, fencedAt: at, fenceLsn: lsn, terminated: ended.size, otherWriters };
}

/**
 * Puts back exactly what the record says, and proves it by reading. Safe to repeat, and after half a raise. Answers
 * with what somebody else changed meanwhile (a role dropped, another setting), which is left alone.
 */
export async function lowerFence(session: Session, record: FenceRecord): Promise<RecordDifference[]> {
  return putBack(session, record, 'recorded');
}

/** Opens for the roles: as `lowerFence`, but each may log in as `canLoginWhenOpen` says. */
export async function openRoles(session: Session, record: FenceRecord): Promise<RecordDifference[]> {
  return putBack(session, record, 'open');
}

/**
 * Keeps the roles out of a target that nobody uses yet: the bar without waiting for a position. Roles created NOLOGIN
 * are found barred already; one that somebody else barred since it was recorded is refused (PRECONDITION_FAILED), and
 * nothing is changed: either would let it in on the other when it lowers its own.
 */
export async function barRoles(session: Session, record: FenceRecord): Promise<void> {
  await applyBar(session, record, { refuseForeign: true });
}

async function putBack(session: Session, record: FenceRecord, to: RestoreTo): Promise<RecordDifference[]> {
  await restoreBar(session, record, to);
  const differences = await compareRecord(session, record, to);
  if (differences.some(({ ours }) => ours)) {
    throw new Problem('CONFLICT', `the fence of ${record.database.name} could not be taken down as recorded`, {
      hint: 'Something changes the roles or the database ACL at the same time; `differences` says what is not as it was.',
      retryable: true,
      extra: { differences },
    });
  }
  return differences;
}

interface StartingRow {
  pid: number;
  vxid: string;
  admitted: boolean;
}

/** How many of the sessions that were starting when the bar fell may yet turn out to be past it. */
async function unsettled(session: Session, starting: Set<string>, graceOver: boolean): Promise<number> {
  if (starting.size === 0) return 0;
  const now = (await session.rows<StartingRow>(STARTING_SESSIONS)).filter(({ vxid }) => starting.has(vxid));
  starting.clear();
  for (const row of now) if (row.admitted || !graceOver) starting.add(row.vxid);
  return starting.size;
}

/**
 * Refuses where anybody has a transaction that could still be committed: it is in no stream until then, and that may be
 * after the other side was opened. Open ones get a moment to end.
 */
export async function refuseUncommitted(session: Session): Promise<void> {
  await refusePrepared(session);
  const { visible } = await session.row<{ visible: boolean }>(MAY_SEE_ACTIVITY);
  // The fence has said then that others cannot be seen.
  if (!visible) return;
  for (const deadline = Date.now() + UNCOMMITTED_GRACE_MS; ;) {
    const open = await session.rows<FencedSession>(OTHER_WRITING_SESSIONS);
    if (open.length === 0) return;
    if (Date.now() > deadline) {
      const who = open.map(({ pid, user }) => `pid ${pid} of ${user}`).join(', ');
      throw new Problem('CONFLICT', `transactions that wrote are still open inside the fence: ${who}`, {
        hint: 'End them (of a superuser, a background worker, or a role left out of `writerRoles`), then try once more.',
        retryable: true,
        extra: { sessions: open },
      });
    }
    await delay(POLL_MS);
  }
}

async function refusePrepared(session: Session): Promise<void> {
  const prepared = await session.rows<{ gid: string; owner: string; ageSeconds: number }>(PREPARED_TRANSACTIONS);
  if (prepared.length === 0) return;
  const names = prepared.map(({ gid, owner }) => `${JSON.stringify(gid)} of ${owner}`).join(', ');
  throw new Problem('PREREQUISITE_FAILED', `prepared transactions could still be committed: ${names}`, {
    hint: 'Commit or roll back each (COMMIT PREPARED, ROLLBACK PREPARED), then switch over again.',
    retryable: true,
    extra: { preparedTransactions: prepared },
  });
}

function deadlinePassed(left: FencedSession[], starting: number, deadlineMs: number): Problem {
  const who = left.map(({ pid, user, ageSeconds }) => {
    return `pid ${pid} of ${user}${ageSeconds === null ? '' : `, transaction ${ageSeconds.toFixed(1)} s old`}`;
  });
  if (starting > 0) who.push(`${starting} still logging in`);
  return new Problem('SERVER_TIMEOUT', `sessions did not end within ${deadlineMs} ms: ${who.join('; ')}`, {
    extra: { sessions: left },
  });
}

function position(session: Session): Promise<{ lsn: string; at: string }> {
  return session.row<{ lsn: string; at: string }>(FENCE_POSITION);
}
