import type { SlotCreationBlocker } from '../postgres/catalog/replication-slots.js';
import type { Conninfo } from '../postgres/ddl/conninfo.js';
import { Problem } from '../problems/problem.js';
import { explainCreationTimeout } from './creation-timeout.js';
import type { ServerAddress } from './publisher-lookup.js';
import { explainRefusedLogin } from './refused-login.js';

/** Of a CREATE_REPLICATION_SLOT that came to nothing, for whatever reason: the name is taken, say, or wal_level too low. */
const SLOT_REFUSED = '08P01';

/** How a creation went that asked the publisher by its own connection string. */
export interface CreationWay {
  connection: Conninfo;
  /** Null: its address is not known. */
  subscriber: ServerAddress | null;
  /** How long its slot was waited for. */
  waitedMs: number;
  /** By a login that may see more than that of the connection string; null: there is none. */
  readBlockers: (() => Promise<SlotCreationBlocker[]>) | null;
}

/** What the subscriber's words mean. A login that was refused was refused before there was any slot. */
export async function explainCreationFailure(
  error: unknown,
  { connection, subscriber, waitedMs, readBlockers }: CreationWay,
): Promise<{ explained: unknown; refusedLogin: boolean }> {
  const login = await explainRefusedLogin(error, connection, subscriber);
  if (login !== error) return { explained: login, refusedLogin: true };
  const explained = await explainCreationTimeout(error, connection, subscriber, waitedMs, readBlockers);
  return { explained, refusedLogin: false };
}

/**
 * The subscriber hands on what its publisher said of the slot under a SQLSTATE of lost connections: no repeat mends it.
 * A connection that really was lost then comes under the same one: what may have left a slot was not refused.
 */
export function explainRefusedSlot(error: unknown): unknown {
  if (!(error instanceof Problem) || error.options.sqlstate !== SLOT_REFUSED) return error;
  if (error.options.extra?.slotLeft !== undefined) return error;
  return new Problem('PREREQUISITE_FAILED', `no slot was got from the publisher: ${error.detail}`, {
    ...error.options,
    retryable: false,
    hint: 'If it has a slot of that name, give another as options.slotName, or read from that one with createSlot false; else mend what it says, such as wal_level or max_replication_slots.',
    cause: error,
  });
}

export function mayBeLeft(error: unknown, publisher: string | null, slot: string, where = publisher): unknown {
  if (!(error instanceof Problem)) return error;
  const left = { server: publisher, slot };
  return new Problem(error.code, `${error.detail}; the slot ${slot} may be left behind on ${where}`, {
    ...error.options,
    extra: { ...error.options.extra, slotLeft: left },
    cause: error,
  });
}

/**
 * No `slotLeft`: whoever is told that it was left may drop what another lives on. The publisher may have refused the slot,
 * for good, or have died; asking again does no harm, and succeeds where it died before it made one.
 */
export function mayBeAnothers(error: unknown, slot: string, where: string): unknown {
  if (!(error instanceof Problem)) return error;
  const refused = error.options.sqlstate === SLOT_REFUSED;
  const hint = `Look for the slot ${slot} there, once the publisher answers. If it is not there, ask again; if that is refused once more, mend what it says, such as wal_level or max_replication_slots. If it is there, read from it with createSlot false, provided nobody else does, or give another name as options.slotName.`;
  const doubt = `whether the slot ${slot} of ${where} was made by this, was there before, or is not there, is not known: look before dropping it`;
  const way = refused ? { hint, retryable: true } : {};
  return new Problem(error.code, `${error.detail}; ${doubt}`, { ...error.options, ...way, cause: error });
}
