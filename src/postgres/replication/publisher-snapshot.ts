import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../../problems/problem.js';
import { UNCOMMITTED_SINCE } from '../catalog/running-transactions.sql.js';
import { variantFor } from '../catalog/variant.js';
import type { Session } from '../session.js';
import type { BoundSnapshot, TakenSnapshot } from './bound-snapshot.js';
import type { ChangeStream } from './change-stream.js';
import { describeBlocker, transactionBlockers } from './slot-blockers.js';
import type { Snapshot } from './snapshot.js';

const FIRST_PAUSE_MS = 10;
const MAX_PAUSE_MS = 200;

/**
 * Takes a publisher snapshot for which the stream can tell every transaction the snapshot lacks. A transaction can
 * have been delivered while it still counts as running; one delivered so long ago that the stream no longer has it, or
 * to an earlier reader of the slot, could be missing in the snapshot and in what is recorded. Then the snapshot is
 * taken again.
 */
export async function takeAccountableSnapshot(
  holder: BoundSnapshot,
  control: Session,
  stream: ChangeStream,
  deadline: number,
): Promise<TakenSnapshot> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
    const taken = await holder.take();
    const suspects = [
      ...stream.delivered.lostBehind(taken.snapshot),
      ...(await deliveredToAnother(control, stream, taken.snapshot)),
    ];
    if (suspects.length === 0) return taken;
    if (Date.now() + pause > deadline) throw await undecidable(control, suspects);
    await delay(pause);
  }
}

/**
 * Running transactions older than the stream that may have committed, as far as the WAL goes, before it began. One
 * that is idle in a transaction or whose statement began later has not; nor has one that is prepared, unless some
 * session may be committing it since before.
 */
async function deliveredToAnother(control: Session, stream: ChangeStream, snapshot: Snapshot): Promise<bigint[]> {
  const { firstXid, readAt } = stream.source;
  if (firstXid === null) return [];
  const older = [...snapshot.inProgress].filter((xid) => xid < firstXid);
  if (older.length === 0) return [];
  const uncommitted = variantFor(UNCOMMITTED_SINCE, control.versionNum);
  const rows = await control.rows<{ xid: string }>(uncommitted, [readAt]);
  const harmless = new Set(rows.map((row) => snapshot.widen(Number(row.xid))));
  return older.filter((xid) => !harmless.has(xid));
}

async function undecidable(control: Session, suspects: bigint[]): Promise<Problem> {
  const low = new Set(suspects.map((xid) => BigInt.asUintN(32, xid).toString()));
  const blockers = (await transactionBlockers(control, 0)).filter((found) => found.xid !== null && low.has(found.xid));
  return new Problem(
    'PREREQUISITE_FAILED',
    `transactions older than the change stream may be committing: ${blockers.map(describeBlocker).join('; ') || suspects.join(', ')}`,
    { hint: 'Try again once they have ended.', retryable: true, extra: { blockers } },
  );
}
