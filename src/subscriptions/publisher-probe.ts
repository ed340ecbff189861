import type { ConnectionTarget } from '../postgres/connection.js';
import type { Conninfo } from '../postgres/ddl/conninfo.js';
import { type Session, withSession } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { OLDEST_SUPPORTED } from '../shared/server-version.js';
import { connectionTargetOf } from './publisher-connection.js';
import { meansTheSameHere, type ServerAddress } from './publisher-lookup.js';

const PROBE_MS = 3_000;
export const PROBE = {
  purpose: 'publisher probe',
  connectTimeoutMs: PROBE_MS,
  statementTimeoutMs: PROBE_MS,
  answerWithinMs: 2 * PROBE_MS,
};

/** Null: the string leads to no single address, or to another one from here (`subscriber` null: its address is not known). */
export function probeTarget(connection: Conninfo, subscriber: ServerAddress | null): ConnectionTarget | null {
  return meansTheSameHere(connection, subscriber) ? connectionTargetOf(connection) : null;
}

/**
 * What the server at a connection string says of itself, to the login of that string; null: it cannot be asked from here,
 * does not answer, or is older than what our statements are for.
 */
export async function probe<T>(
  connection: Conninfo,
  subscriber: ServerAddress | null,
  look: (session: Session) => Promise<T>,
): Promise<T | null> {
  const target = probeTarget(connection, subscriber);
  if (target === null) return null;
  try {
    return await withSession(target, PROBE, async (session) => (isKnown(session) ? look(session) : null));
  } catch (error) {
    if (error instanceof Problem && error.code !== 'INTERNAL') return null;
    throw error;
  }
}

/** Whether our statements are for a server of its version. */
export function isKnown({ versionNum }: Session): boolean {
  return versionNum >= OLDEST_SUPPORTED;
}
