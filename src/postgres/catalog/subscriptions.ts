import type { Session } from '../session.js';
import { mayHaveSubscriptions } from './subscription-access.js';
import type { SubscriptionRow, TableRow, WorkerRow } from './subscription-rows.js';
import {
  ORIGIN_PROGRESS,
  ORIGIN_PROGRESS_ONE_BY_ONE,
  READABLE,
  SUBSCRIPTION_CONNECTIONS,
  SUBSCRIPTION_ERRORS,
  SUBSCRIPTION_TABLES,
  SUBSCRIPTION_WORKERS,
  SUBSCRIPTIONS,
} from './subscriptions.sql.js';
import { namesOf, type WhichSubscriptions } from './subscription-names.js';
import { variantFor } from './variant.js';

/** Options as pg_subscription holds them; null where the server's version has no such option. */
export interface SubscriptionSettings {
  slotName: string | null;
  synchronousCommit: string;
  binary: boolean | null;
  streaming: 'off' | 'on' | 'parallel' | null;
  twoPhase: boolean | null;
  disableOnError: boolean | null;
  origin: string | null;
  passwordRequired: boolean | null;
  runAsOwner: boolean | null;
  failover: boolean | null;
}

/**
 * Where a subscribed table stands (pg_subscription_rel.srsubstate): i, d, f, s and r. `copied`: rows are in but not
 * committed with their position yet; `catching-up`: in step with its own worker, the apply worker is to take over.
 */
export type SubscribedTableState = 'initializing' | 'copying' | 'copied' | 'catching-up' | 'ready';

export interface SubscribedTable {
  schema: string;
  name: string;
  state: SubscribedTableState;
  lsn: string | null;
  /** Rows and bytes read by the running copy, and the age of its worker (14 and newer); null when no copy runs. */
  copyProgress: { rows: number; bytes: number; seconds: number | null } | null;
}

export interface SubscriptionWorker {
  pid: number;
  kind: 'apply' | 'parallel apply' | 'table synchronization';
  leaderPid: number | null;
  table: { schema: string; name: string } | null;
  receivedLsn: string | null;
  latestEndLsn: string | null;
  lastMessageAt: string | null;
  startedAt: string | null;
}

/** A subscription of the session's database, as its subscriber sees it. */
export interface Subscription {
  oid: number;
  name: string;
  owner: string;
  enabled: boolean;
  publications: string[];
  settings: SubscriptionSettings;
  /** `pending`: asked for, takes effect when all tables are ready; null before 15. */
  twoPhaseState: 'disabled' | 'pending' | 'enabled' | null;
  /** Finish LSN of the transaction that will be skipped; null when none is. */
  skipLsn: string | null;
  /** Commit end LSN, on the publisher, of the last applied transaction; null: none yet, or not readable. */
  originLsn: string | null;
  originReadable: boolean;
  tables: SubscribedTable[];
  workers: SubscriptionWorker[];
  /** Failures since the counters were reset; null before 15, where nothing counts them. */
  errors: { apply: number; sync: number } | null;
  /** Conflicts by kind; null before 18. */
  conflicts: Record<string, number> | null;
}

const TABLE_STATES: Record<string, SubscribedTableState> = {
  i: 'initializing',
  d: 'copying',
  f: 'copied',
  s: 'catching-up',
  r: 'ready',
};

const TWO_PHASE_STATES: Record<string, Subscription['twoPhaseState']> = { d: 'disabled', p: 'pending', e: 'enabled' };

/** All subscriptions of the session's database, by name; only some where given. */
export async function readSubscriptions(session: Session, which: WhichSubscriptions = null): Promise<Subscription[]> {
  if (!(await mayHaveSubscriptions(session))) return [];
  const version = session.versionNum;
  const names = [namesOf(which)];
  const subscriptions = await session.rows<SubscriptionRow>(variantFor(SUBSCRIPTIONS, version), names);
  if (subscriptions.length === 0) return [];
  const origins = await originQuery(session);
  const progress =
    origins === null ? [] : await session.rows<{ name: string; remote_lsn: string | null }>(origins, names);
  const tables = await session.rows<TableRow>(variantFor(SUBSCRIPTION_TABLES, version), names);
  const workers = await session.rows<WorkerRow>(variantFor(SUBSCRIPTION_WORKERS, version), names);
  const errors = await session.rows<ErrorRow>(variantFor(SUBSCRIPTION_ERRORS, version), names);
  const tablesOf = bySubscription(tables);
  const workersOf = bySubscription(workers);
  const errorsOf = new Map(errors.map((row) => [row.subscription, row]));
  const originOf = new Map(progress.map((row) => [row.name, row.remote_lsn]));
  return subscriptions.map((row) => ({
    ...decodeSubscription(row),
    originLsn: originOf.get(row.name) ?? null,
    originReadable: origins !== null,
    tables: (tablesOf.get(row.name) ?? []).map(decodeTable),
    workers: (workersOf.get(row.name) ?? []).map(decodeWorker),
    ...decodeErrors(errorsOf.get(row.name)),
  }));
}

/** Whether the login may read how far replication origins are. */
export async function mayReadOrigins(session: Session): Promise<boolean> {
  return (await originQuery(session)) !== null;
}

/** Whichever of the two ways to read positions of origins is open to the login. */
async function originQuery(session: Session): Promise<string | null> {
  const version = session.versionNum;
  const readable = variantFor(READABLE, version);
  const { origins, progress } = await session.row<{ origins: boolean; progress: boolean }>(readable);
  if (origins) return variantFor(ORIGIN_PROGRESS, version);
  return progress ? variantFor(ORIGIN_PROGRESS_ONE_BY_ONE, version) : null;
}

/** Connection strings by subscription, secrets included; null when the login may not read them. */
export async function readSubscriptionConnections(
  session: Session,
  which: WhichSubscriptions = null,
): Promise<Map<string, string> | null> {
  const { connections } = await session.row<{ connections: boolean }>(variantFor(READABLE, session.versionNum));
  if (!connections) return null;
  const sql = variantFor(SUBSCRIPTION_CONNECTIONS, session.versionNum);
  const rows = await session.rows<{ name: string; conninfo: string }>(sql, [namesOf(which)]);
  return new Map(rows.map((row) => [row.name, row.conninfo]));
}

function bySubscription<Row extends { subscription: string }>(rows: Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.subscription);
    if (group) group.push(row);
    else groups.set(row.subscription, [row]);
  }
  return groups;
}

interface ErrorRow {
  subscription: string;
  apply_errors: string | null;
  sync_errors: string | null;
  conflicts: Record<string, number> | null;
}

function decodeErrors(row: ErrorRow | undefined): Pick<Subscription, 'errors' | 'conflicts'> {
  const { apply_errors: apply = null, sync_errors: sync = null, conflicts = null } = row ?? {};
  return {
    errors: apply === null || sync === null ? null : { apply: Number(apply), sync: Number(sync) },
    conflicts,
  };
}

function decodeSubscription(row: SubscriptionRow) {
  return {
    oid: Number(row.oid),
    name: row.name,
    owner: row.owner,
    enabled: row.enabled,
    publications: row.publications,
    settings: {
      slotName: row.slot_name,
      synchronousCommit: row.synchronous_commit,
      binary: row.binary,
      streaming: row.streaming,
      twoPhase: row.two_phase_state === null ? null : row.two_phase_state !== 'd',
      disableOnError: row.disable_on_error,
      origin: row.origin,
      passwordRequired: row.password_required,
      runAsOwner: row.run_as_owner,
      failover: row.failover,
    },
    twoPhaseState: row.two_phase_state === null ? null : (TWO_PHASE_STATES[row.two_phase_state] ?? null),
    skipLsn: row.skip_lsn,
  };
}

function decodeTable(row: TableRow): SubscribedTable {
  const state = TABLE_STATES[row.state];
  if (!state) throw new RangeError(`unknown srsubstate ${JSON.stringify(row.state)}`);
  const copying = row.copied_rows !== null && row.copied_bytes !== null;
  return {
    schema: row.schema,
    name: row.name,
    state,
    lsn: row.lsn,
    copyProgress: copying
      ? { rows: Number(row.copied_rows), bytes: Number(row.copied_bytes), seconds: row.copying_seconds }
      : null,
  };
}

function decodeWorker(row: WorkerRow): SubscriptionWorker {
  return {
    pid: row.pid,
    kind: row.kind,
    leaderPid: row.leader_pid,
    table: row.name === null ? null : { schema: row.schema!, name: row.name },
    receivedLsn: row.received_lsn,
    latestEndLsn: row.latest_end_lsn,
    lastMessageAt: row.last_message_at?.toISOString() ?? null,
    startedAt: row.started_at?.toISOString() ?? null,
  };
}
