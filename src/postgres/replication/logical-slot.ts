import { Problem } from '../../problems/problem.js';
import { slotNameProblem } from '../../shared/identifier.js';
import { parseLsn, type Lsn } from '../../shared/lsn.js';
import { LOGICAL_SLOT } from '../catalog/logical-slot.sql.js';
import { variantFor } from '../catalog/variant.js';
import type { ConnectionTarget } from '../connection.js';
import { literal } from '../quoting.js';
import { Session, withSession } from '../session.js';
import { sqlstateOf } from '../translate-error.js';
import { describeBlocker, type TransactionBlocker, transactionBlockers } from './slot-blockers.js';

const CANCEL_AGAIN_MS = 100;
/** The server's own time-out has fired by then, and its answer has travelled. */
const ANSWER_GRACE_MS = 5_000;
const STATEMENT_TIMEOUT = '57014';
const DUPLICATE_OBJECT = '42710';
const UNDEFINED_OBJECT = '42704';
const OBJECT_IN_USE = '55006';

export interface LogicalSlotStatus {
  name: string;
  plugin: string;
  database: string;
  active: boolean;
  activePid: number | null;
  /** application_name of the walsender that holds it; null when inactive or not visible. */
  activeApplication: string | null;
  confirmedFlushLsn: Lsn | null;
  restartLsn: Lsn | null;
  /** `reserved`, `extended`, `unreserved` or `lost`; null when the server does not say. */
  walStatus: string | null;
}

interface SlotRow {
  plugin: string | null;
  database: string | null;
  active: boolean;
  active_pid: number | null;
  application: string | null;
  confirmed: string | null;
  restart: string | null;
  wal_status: string | null;
  [column: string]: unknown;
}

/** Null when there is no such slot. Throws PREREQUISITE_FAILED when the slot is a physical one. */
export async function logicalSlotStatus(session: Session, name: string): Promise<LogicalSlotStatus | null> {
  const [row] = await session.rows<SlotRow>(variantFor(LOGICAL_SLOT, session.versionNum), [name]);
  if (!row) return null;
  if (row.plugin === null || row.database === null) {
    throw new Problem('PREREQUISITE_FAILED', `replication slot "${name}" is a physical slot`);
  }
  return {
    name,
    plugin: row.plugin,
    database: row.database,
    active: row.active,
    activePid: row.active_pid,
    activeApplication: row.application,
    confirmedFlushLsn: row.confirmed === null ? null : parseLsn(row.confirmed),
    restartLsn: row.restart === null ? null : parseLsn(row.restart),
    walStatus: row.wal_status,
  };
}

/**
 * Creates a logical slot with plugin pgoutput in the target's database, or finds it there already. The server first
 * waits for every transaction running anywhere in the cluster; past the deadline that wait is ended, nothing stays
 * behind, and the Problem (PREREQUISITE_FAILED, retryable, `blockers`) names what it was waiting for. When no answer
 * comes, the Problem (SERVER_UNREACHABLE, `slot`, `server`, `drop`) names the slot that may be left.
 */
export async function createLogicalSlot(
  target: ConnectionTarget,
  name: string,
  { deadlineMs, signal }: { deadlineMs: number; signal?: AbortSignal },
): Promise<{ created: boolean; status: LogicalSlotStatus }> {
  const invalid = slotNameProblem(name);
  if (invalid) throw new Problem('INVALID_INPUT', `slot name ${invalid}`);
  const creator = { purpose: `slot ${name}`, statementTimeoutMs: Math.max(1, deadlineMs), lockTimeoutMs: 0 };
  return withSession(target, creator, async (session) => {
    const existing = await usable(session, target, name);
    if (existing && isComplete(existing)) return { created: false, status: existing };
    // Being created at this moment: by a session of ours whose answer was lost, which ends now.
    if (existing) await dropLogicalSlot(session, name);
    const created = await runCreation(session, target, name, { deadlineMs, signal });
    const status = await usable(session, target, name);
    if (!status) throw new Problem('CONFLICT', `replication slot "${name}" was dropped while it was being created`);
    return { created, status };
  });
}

/** False when another session created it meanwhile. */
async function runCreation(
  session: Session,
  target: ConnectionTarget,
  name: string,
  { deadlineMs, signal }: { deadlineMs: number; signal: AbortSignal | undefined },
): Promise<boolean> {
  return withSession(target, { purpose: `slot ${name} watch` }, async (watch) => {
    let blockers: TransactionBlocker[] = [];
    let looking: Promise<void> | null = null;
    const look = () =>
      (looking ??= transactionBlockers(watch, session.backendPid)
        .then(
          (found) => void (blockers = found),
          () => {}, // The last answer stays; the deadline decides.
        )
        .finally(() => (looking = null)));
    const timer = setInterval(() => void look(), 500);
    // A cancel that arrives before the statement does is lost on the server: it is repeated until the statement ends.
    let cancelling: NodeJS.Timeout | undefined;
    const cancel = () =>
      void watch.rows('select pg_catalog.pg_cancel_backend($1)', [session.backendPid]).catch(() => {});
    // The server ends the statement by itself; one that is silent even then will not answer any more.
    const giveUp = () => {
      session.destroy();
      watch.destroy();
    };
    let silence = setTimeout(giveUp, deadlineMs + ANSWER_GRACE_MS);
    const onAbort = () => {
      cancel();
      cancelling ??= setInterval(cancel, CANCEL_AGAIN_MS);
      clearTimeout(silence);
      silence = setTimeout(giveUp, ANSWER_GRACE_MS);
    };
    signal?.addEventListener('abort', onAbort);
    let sent = false;
    try {
      await look();
      if (signal?.aborted) throw cancelled(name);
      sent = true;
      await session.execute(`select pg_catalog.pg_create_logical_replication_slot(${literal(name)}, 'pgoutput')`);
      return true;
    } catch (error) {
      const state = sqlstateOf(error);
      if (state === DUPLICATE_OBJECT) return false;
      // The server removes a slot whose creation it refuses or ends. Without its answer nobody knows.
      if (sent && state === undefined) throw unanswered(name, target, error);
      if (signal?.aborted) throw cancelled(name);
      if (state !== STATEMENT_TIMEOUT) throw error;
      throw blockedProblem(name, blockers);
    } finally {
      clearInterval(timer);
      clearInterval(cancelling);
      clearTimeout(silence);
      signal?.removeEventListener('abort', onAbort);
    }
  });
}

/**
 * Not dropped here: the server is out of reach, and by the time it is back the slot may be another's that took over.
 * A repeat uses it, and whoever gives up drops it.
 */
function unanswered(name: string, { host, port, database }: ConnectionTarget, error: unknown): Problem {
  const server = `${host}:${port}/${database}`;
  const drop = `select pg_catalog.pg_drop_replication_slot(${literal(name)})`;
  const why = error instanceof Problem ? error.detail : String(error);
  return new Problem(
    'SERVER_UNREACHABLE',
    `the creation of replication slot "${name}" on ${server} was not answered, so it may be there: ${why}`,
    {
      hint: `A slot that stays keeps WAL. Trying again uses it, an abort drops it; by hand, on the server: ${drop}`,
      retryable: true,
      extra: { slot: name, server, drop },
      cause: error,
    },
  );
}

/** A slot shows as soon as its creation begins, and has nothing confirmed until that has ended. */
function isComplete({ confirmedFlushLsn }: LogicalSlotStatus): boolean {
  return confirmedFlushLsn !== null;
}

function cancelled(name: string): Problem {
  return new Problem('SERVER_TIMEOUT', `creating replication slot "${name}" was cancelled`);
}

function blockedProblem(name: string, blockers: TransactionBlocker[]): Problem {
  const named = blockers.map(describeBlocker).join('; ');
  return new Problem(
    'PREREQUISITE_FAILED',
    `replication slot "${name}" could not be created in time; ` +
      (named ? `it waits for: ${named}` : 'no running transaction with an xid is visible'),
    {
      hint: 'A logical slot starts only after every transaction running at its creation has ended. End them and try again.',
      retryable: true,
      extra: { blockers },
    },
  );
}

async function usable(session: Session, target: ConnectionTarget, name: string): Promise<LogicalSlotStatus | null> {
  const status = await logicalSlotStatus(session, name);
  if (!status) return null;
  if (status.plugin !== 'pgoutput' || status.database !== target.database) {
    throw new Problem(
      'ALREADY_EXISTS',
      `replication slot "${name}" exists with plugin ${status.plugin} in database ${status.database}`,
    );
  }
  return status;
}

/**
 * Drops the slot if it is there; returns whether it was. A walsender of our own that still holds it is ended first;
 * one of anybody else is left alone and the Problem is SLOT_ACTIVE.
 */
export async function dropLogicalSlot(session: Session, name: string, deadlineMs = 10_000): Promise<boolean> {
  for (const deadline = Date.now() + deadlineMs; ;) {
    const status = await logicalSlotStatus(session, name);
    if (!status) return false;
    if (status.activePid !== null) await endOwnWalsender(session, status);
    try {
      await session.execute(`select pg_catalog.pg_drop_replication_slot(${literal(name)})`);
      return true;
    } catch (error) {
      const state = sqlstateOf(error);
      if (state === UNDEFINED_OBJECT) return false;
      if (state !== OBJECT_IN_USE || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Ends a stream of ours that reads from the slot, whoever began it; one of anybody else stays. */
export async function endStreamOf(session: Session, name: string): Promise<void> {
  const status = await logicalSlotStatus(session, name);
  if (status && status.activePid !== null && isOurs(status)) await endOwnWalsender(session, status);
}

function isOurs({ activeApplication }: LogicalSlotStatus): boolean {
  return activeApplication?.startsWith('lockstep') ?? false;
}

async function endOwnWalsender(session: Session, status: LogicalSlotStatus): Promise<void> {
  if (!isOurs(status)) {
    const holder = `pid ${status.activePid} (${status.activeApplication ?? 'unknown application'})`;
    throw new Problem('SLOT_ACTIVE', `replication slot "${status.name}" is in use by ${holder}`, {
      extra: { pid: status.activePid },
    });
  }
  await session.execute(`select pg_catalog.pg_terminate_backend(${status.activePid})`);
}
