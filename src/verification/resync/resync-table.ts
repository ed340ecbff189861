import { failpoint } from '../../engine/failpoints.js';
import { END_WRITERS } from '../../postgres/catalog/resync.sql.js';
import { variantFor } from '../../postgres/catalog/variant.js';
import { boundedAnswers, type ConnectionTarget } from '../../postgres/connection.js';
import { copyRows } from '../../postgres/copy/copy-rows.js';
import { ChangeStream } from '../../postgres/replication/change-stream.js';
import { createLogicalSlot } from '../../postgres/replication/logical-slot.js';
import { holdTable, type TableHold } from '../../postgres/replication/table-hold.js';
import { withSession } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { formatLsn } from '../../shared/lsn.js';
import { rowChanges, TableMoved } from '../at-rest/row-changes.js';
import { tableId, type TableName, type TableShape } from '../at-rest/table-shape.js';
import { publisherSlotName } from '../link/link-objects.js';
import { checkResync } from './resync-check.js';
import { changeSql, copyInSql, copyOutSql, emptySql } from './resync-sql.js';

export interface ResyncRequest {
  /** Names what is ours on the servers. */
  readerId: string;
  publisher: ConnectionTarget;
  subscriber: ConnectionTarget;
  subscription: string;
  table: TableName;
  signal: AbortSignal;
  onBytes: (bytes: number) => void;
  /** Told of what is sent by COPY, which `onStatement` of the targets does not see. */
  onCopy: (sql: string) => void;
}

export interface ResyncResult {
  rows: number;
  removed: number;
  /** Changes applied on top of the copied snapshot. */
  rolledForward: number;
  /** The publisher's LSN at which the table is what the publisher had; later changes come by the subscription. */
  appliedLsn: string;
  [field: string]: unknown;
}

const LIMITS = { purpose: 'resync', ...boundedAnswers() };
const SLOT_DEADLINE_MS = 120_000;
const HOLD_DEADLINE_MS = 120_000;

/** Application name of the writing session, by which a later run ends what an earlier one left. */
export function writerPurpose(readerId: string): string {
  return `resync ${readerId}`;
}

/**
 * Copies one table afresh in one transaction on the subscriber. Until that commits, whoever reads the table sees the rows
 * of before, and whatever ends us undoes it all. Applying waits at the next transaction that touches the table.
 */
export async function resyncTable(request: ResyncRequest): Promise<ResyncResult> {
  const { readerId, publisher, subscriber, table, signal } = request;
  await endEarlierRun(request);
  const { subscription, shape, quiet } = await withSession(publisher, LIMITS, (ours) =>
    withSession(subscriber, LIMITS, (theirs) => checkResync(ours, theirs, request.subscription, request.table)),
  );
  const slotName = publisherSlotName(readerId);
  await createLogicalSlot(publisher, slotName, { deadlineMs: SLOT_DEADLINE_MS, signal });
  const stream: ChangeStream = new ChangeStream({
    target: publisher,
    slotName,
    publications: subscription.publications,
    ...(subscription.origin === 'none' ? { origin: 'none' as const } : {}),
    onTransaction: ({ endLsn }) => stream.confirm(endLsn),
  });
  try {
    await stream.start({ deadlineMs: SLOT_DEADLINE_MS });
    const hold = await holdTable({
      publisher: { target: publisher, stream },
      subscriber,
      subscription,
      table,
      purpose: writerPurpose(readerId),
      deadlineMs: HOLD_DEADLINE_MS,
      signal,
    });
    try {
      await failpoint('resync.held');
      return await writeAfresh(request, hold, shape, quiet);
    } finally {
      await hold.release();
    }
  } finally {
    await stream.close();
  }
}

async function writeAfresh(
  request: ResyncRequest,
  { publisher, subscriber, appliedLsn, rollForward }: TableHold,
  shape: TableShape,
  quiet: boolean,
): Promise<ResyncResult> {
  // As for an apply worker: only triggers that are enabled for replicas fire, and no foreign key is followed.
  if (quiet) await subscriber.execute('set local session_replication_role = replica');
  const removed = await subscriber.affected(emptySql(shape));
  const [copyTo, copyFrom] = [copyOutSql(shape), copyInSql(shape)];
  request.onCopy(copyFrom);
  const { signal, onBytes } = request;
  const rows = await copyRows({ source: publisher, copyTo, target: subscriber, copyFrom, onBytes, signal });
  const changes = changesOf(rollForward, shape);
  for (const change of changes) {
    const statement = changeSql(shape, change);
    if (statement === null) continue;
    const touched = await subscriber.affected(statement.sql, statement.values);
    if (touched === 1) continue;
    throw new Problem('CONFLICT', `${change.kind} of one row of ${tableId(shape)} met ${touched} rows in the copy`, {
      hint: 'Nothing was changed. Try again; if it stays so, the key of the table differs between the servers.',
      retryable: true,
    });
  }
  await failpoint('resync.copied');
  await subscriber.execute('commit');
  await failpoint('resync.committed');
  return { rows, removed, rolledForward: changes.length, appliedLsn: formatLsn(appliedLsn) };
}

function changesOf(rollForward: TableHold['rollForward'], shape: TableShape) {
  try {
    return rowChanges(rollForward, shape);
  } catch (error) {
    if (!(error instanceof TableMoved)) throw error;
    throw new Problem('CONFLICT', `the table could not be copied: ${error.reason}`, { retryable: true, cause: error });
  }
}

/** A process that was declared dead may only be paused: its session would hold the table for as long. */
async function endEarlierRun({ subscriber, readerId }: ResyncRequest): Promise<void> {
  await withSession(subscriber, LIMITS, (session) =>
    session.rows(variantFor(END_WRITERS, session.versionNum), [`lockstep ${writerPurpose(readerId)}`]),
  );
}
