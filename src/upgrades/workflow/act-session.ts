import { setTimeout as delay } from 'node:timers/promises';
import type { ConnectionTarget } from '../../postgres/connection.js';
import {
  ACT_LOCK_HOLDER,
  TERMINATE_BACKEND,
  TRY_ACT_LOCK,
  WAIT_FOR_OWN_COMMITS,
} from '../../postgres/catalog/act-lock.sql.js';
import { LeaseLost } from '../../engine/engine.js';
import { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';

const PURPOSE = 'act';
const TAKE_WITHIN_MS = 20_000;

/**
 * The one session through which an upgrade changes a server. It holds an advisory lock there, so that two instances
 * never act at once, and carries the lease epoch in its name: a later holder ends the session of an earlier one,
 * paused or not, before it acts itself.
 */
export async function openActSession(target: ConnectionTarget, upgrade: string, epoch: bigint): Promise<Session> {
  const session = await Session.open(target, { purpose: `${PURPOSE} ${epoch.toString()}` });
  const key = `lockstep upgrade ${upgrade}`;
  const deadline = Date.now() + TAKE_WITHIN_MS;
  try {
    for (;;) {
      const { taken } = await session.row<{ taken: boolean }>(TRY_ACT_LOCK, [key]);
      if (taken) {
        await session.execute(WAIT_FOR_OWN_COMMITS);
        return session;
      }
      await endEarlierHolder(session, key, epoch);
      if (Date.now() > deadline) {
        throw new Problem('OBJECT_IN_USE', `another session holds the lock of upgrade ${upgrade} on ${session.where}`);
      }
      await delay(50);
    }
  } catch (error) {
    await session.close();
    throw error;
  }
}

async function endEarlierHolder(session: Session, key: string, epoch: bigint): Promise<void> {
  const holders = await session.rows<{ pid: number; application: string }>(ACT_LOCK_HOLDER, [key]);
  for (const { pid, application } of holders) {
    const theirs = /^lockstep act (\d+)$/.exec(application)?.[1];
    if (theirs === undefined) continue;
    if (BigInt(theirs) > epoch) throw new LeaseLost();
    // An equal epoch is a session of this very run whose connection was lost: the server has not noticed yet.
    if (BigInt(theirs) <= epoch) await session.rows(TERMINATE_BACKEND, [pid]);
  }
}
