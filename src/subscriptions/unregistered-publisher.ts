import { readReplicationSlots } from '../postgres/catalog/replication-slots.js';
import { type Conninfo, parseConninfo } from '../postgres/ddl/conninfo.js';
import { withSession } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { connectionTargetOf } from './publisher-connection.js';
import { hostOf, meansTheSameHere, type ServerAddress } from './publisher-lookup.js';

const PROBE_MS = 3_000;
/**
 * SQLSTATEs, or their classes, of a CREATE SUBSCRIPTION that did not get as far as its slot, which is the last it asks of
 * the publisher: the request, a privilege, a name or a table was wrong, or the publisher could not be reached at all.
 */
const BEFORE_SLOT = /^(08006|08001|0A|22|28|2F|42)/;

/** Where a publisher is that is no registered server, as a connection string tells; empty: it leaves it to the default. */
export interface PublisherLocation {
  host: string;
  port: string;
  database: string;
}

export function locationOf(connection: Conninfo): PublisherLocation {
  const { port, dbname, user } = connection;
  return { host: hostOf(connection) ?? '', port: port ?? '', database: dbname ?? user ?? '' };
}

/** Null: the connection may not be read. */
export function leadsTo(conninfo: string | null, { host, port, database }: PublisherLocation): boolean | null {
  try {
    if (conninfo === null) return null;
    const found = locationOf(parseConninfo(conninfo));
    return found.host === host && found.port === port && found.database === database;
  } catch {
    return null;
  }
}

/** Whether it has a slot of that name; null: it cannot be asked from here. */
export async function hasSlot(
  connection: Conninfo,
  subscriber: ServerAddress | null,
  slot: string,
): Promise<boolean | null> {
  const target = meansTheSameHere(connection, subscriber) ? connectionTargetOf(connection) : null;
  if (target === null) return null;
  const limits = { connectTimeoutMs: PROBE_MS, statementTimeoutMs: PROBE_MS, answerWithinMs: 2 * PROBE_MS };
  try {
    const look = { purpose: 'publisher probe', ...limits };
    return (await withSession(target, look, (session) => readReplicationSlots(session, slot))).length > 0;
  } catch (error) {
    if (error instanceof Problem && error.code !== 'INTERNAL') return null;
    throw error;
  }
}

/** Whether the creation is known to have failed before it made its slot. */
export function failedBeforeSlot(error: unknown): boolean {
  return error instanceof Problem && BEFORE_SLOT.test(error.options.sqlstate ?? '');
}
