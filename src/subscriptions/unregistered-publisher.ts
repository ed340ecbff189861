import { readReplicationSlots } from '../postgres/catalog/replication-slots.js';
import { type Conninfo, parseConninfo } from '../postgres/ddl/conninfo.js';
import { Problem } from '../problems/problem.js';
import { hostOf, type ServerAddress } from './publisher-lookup.js';
import { probe } from './publisher-probe.js';

/**
 * SQLSTATEs, or their classes, of a CREATE SUBSCRIPTION that did not get as far as its slot, which is the last it asks of
 * the publisher: the request, a privilege, a name or a table was wrong, or the publisher could not be reached at all.
 */
const BEFORE_SLOT = /^(08006|08001|0A|22|23505|28|2F|42)/;
/**
 * Those after which the publisher may be at work still: the subscriber was ended or gave up, or does not say why it failed.
 * 08P01 is that of a slot that could not be created, as the publisher answered.
 */
const UNHEARD = /^(57|XX|08(?!P01))/;

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
  const slots = await probe(connection, subscriber, (session) => readReplicationSlots(session, slot));
  return slots === null ? null : slots.length > 0;
}

/** What became of the slot of a creation that failed, and of which it is not certain that it was not made. */
export type SlotDoubt =
  /** It was not there before, and may be now. */
  | 'may-be-left'
  /** It may have been there before. */
  | 'unknown';

/**
 * Whether a creation that was sent, and failed, may have made its slot; null: it has not.
 * @param wasThere false: the slot was known not to be there before
 */
export async function slotDoubt(
  error: unknown,
  wasThere: boolean | null,
  look: () => Promise<boolean | null>,
): Promise<SlotDoubt | null> {
  const { sqlstate = '' } = error instanceof Problem ? error.options : {};
  if (BEFORE_SLOT.test(sqlstate)) return null;
  if (sqlstate !== '' && !UNHEARD.test(sqlstate) && (await look()) === false) return null;
  return wasThere === false ? 'may-be-left' : 'unknown';
}
