import * as sql from '../../postgres/catalog/published-tables.sql.js';
import type { ConnectionTarget } from '../../postgres/connection.js';
import { emptyPublications } from '../../postgres/replication/empty-publications.js';
import { createLogicalSlot, dropLogicalSlot } from '../../postgres/replication/logical-slot.js';
import { withSession, type Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { tableId, type TableName } from '../at-rest/table-shape.js';
import {
  createOwnPublication,
  dropOwnPublications,
  ownPublicationNames,
  ownPublications,
  setOwnPublicationTables,
  type OwnPublication,
  type SubscribedTable,
} from './own-publications.ddl.js';

/** Both ends of a link, and the id by which what we create there is found again. */
export interface LinkEnds {
  /** Lower-case letters, digits and `_`, at most 40: part of our slots' and publications' names. */
  readerId: string;
  publisher: ConnectionTarget;
  subscriber: ConnectionTarget;
}

type DroppedEnds = Pick<LinkEnds, 'readerId'> & Record<'publisher' | 'subscriber', ConnectionTarget | null>;

export function publisherSlotName(readerId: string): string {
  return `lockstep_v_${readerId}`;
}

export function subscriberSlotName(readerId: string): string {
  return `lockstep_s_${readerId}`;
}

/** The id under which an operation's own slots and publications go. */
export function readerIdOf(operationId: string): string {
  return operationId
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '')
    .slice(0, 40);
}

/** Creates (or finds) our slot on the publisher. */
export async function preparePublisher(
  ends: LinkEnds,
  options: { deadlineMs: number; signal?: AbortSignal },
): Promise<void> {
  await createLogicalSlot(ends.publisher, publisherSlotName(ends.readerId), options);
}

/** What could be prepared on a subscriber: its own stream's publications, or why there is none. */
export type PreparedSubscriber = { publications: string[] } | { publications: null; reason: string };

/**
 * Creates (or finds, and brings up to date) our publications and slot on the subscriber. Where it cannot have them,
 * says why; binding then goes by positions (unless the stream is needed: then it rejects).
 */
export async function prepareSubscriber(
  ends: LinkEnds,
  tables: readonly TableName[],
  options: { deadlineMs: number; signal?: AbortSignal; needsSubscriberStream?: boolean },
): Promise<PreparedSubscriber> {
  return withSession(ends.subscriber, { purpose: 'verification' }, async (session) => {
    const reason = await noStreamBecause(session);
    if (reason !== null && options.needsSubscriberStream) throw new Problem('PREREQUISITE_FAILED', reason);
    if (reason !== null) return { publications: null, reason };
    try {
      const wanted = ownPublications(ends.readerId, await subscribedTables(session, tables));
      for (const publication of wanted) await ensurePublication(session, publication);
      // After the publications: a slot older than a publication cannot decode with it.
      await createLogicalSlot(ends.subscriber, subscriberSlotName(ends.readerId), options);
      return { publications: wanted.map(({ name }) => name) };
    } catch (error) {
      if (!isRefusedForGood(error) || options.needsSubscriberStream || options.signal?.aborted) throw error;
      return { publications: null, reason: error.detail };
    }
  });
}

/** Why the subscriber cannot have a stream of its own; null when nothing is known to be in the way. */
export async function noStreamBecause(subscriber: Session): Promise<string | null> {
  const { level } = await subscriber.row<{ level: string }>(`select pg_catalog.current_setting('wal_level') as level`);
  return level === 'logical' ? null : `wal_level is ${level} on the subscriber`;
}

const FALLS_BACK = new Set(['SERVER_PRIVILEGE_MISSING', 'LIMIT_REACHED', 'PREREQUISITE_FAILED']);
const LOCK_NOT_AVAILABLE = '55P03';

/** What a subscriber may refuse us without being broken: also a table that VACUUM holds, which may be for hours. */
function isRefusedForGood(error: unknown): error is Problem {
  return error instanceof Problem && (FALLS_BACK.has(error.code) || error.options.sqlstate === LOCK_NOT_AVAILABLE);
}

export async function subscribedTables(session: Session, tables: readonly TableName[]): Promise<SubscribedTable[]> {
  return session.rows<SubscribedTable & Record<string, unknown>>(sql.replicaIdentityUsableSql(), [
    tables.map(({ schema }) => schema),
    tables.map(({ name }) => name),
  ]);
}

async function ensurePublication(session: Session, publication: OwnPublication): Promise<void> {
  const [existing] = await session.rows<{ tables: [string, string][] }>(sql.namedTablesSql(), [publication.name]);
  if (!existing) {
    await session.execute(createOwnPublication(publication));
    return;
  }
  // Where nothing changes nothing is locked: a VACUUM would be waited for.
  const named = new Set(existing.tables.map(([schema, name]) => tableId({ schema, name })));
  const isSame =
    named.size === publication.tables.length && publication.tables.every((table) => named.has(tableId(table)));
  if (isSame) return;
  if (publication.tables.length > 0) await session.execute(setOwnPublicationTables(publication));
  else await emptyPublications(session, [publication.name]);
}

/**
 * Removes our slots and publications of that id from both ends, whoever left them there; nothing of it being there
 * is fine. Tries both ends before it rejects. An end that is null is left as it is.
 */
export async function dropLinkObjects({ readerId, publisher, subscriber }: DroppedEnds): Promise<void> {
  const onPublisher = async (session: Session) => {
    await dropLogicalSlot(session, publisherSlotName(readerId));
  };
  const onSubscriber = async (session: Session) => {
    await dropLogicalSlot(session, subscriberSlotName(readerId));
    await emptyPublications(session, ownPublicationNames(readerId));
    await session.execute(dropOwnPublications(readerId));
  };
  const outcomes = await Promise.allSettled([
    publisher && withSession(publisher, { purpose: 'verification' }, onPublisher),
    subscriber && withSession(subscriber, { purpose: 'verification' }, onSubscriber),
  ]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
