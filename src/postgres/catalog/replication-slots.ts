import type { Session } from '../session.js';
import { REPLICATION_SLOTS, SLOT_CARRIED_OVER, SLOT_CREATION_BLOCKERS } from './replication-slots.sql.js';
import { variantFor } from './variant.js';

export type WalStatus = 'reserved' | 'extended' | 'unreserved' | 'lost';

/** A replication slot (pg_replication_slots). Null: the server's version, or the kind of slot, has no such value. */
export interface ReplicationSlot {
  name: string;
  kind: 'logical' | 'physical';
  plugin: string | null;
  database: string | null;
  temporary: boolean;
  active: boolean;
  activePid: number | null;
  restartLsn: string | null;
  confirmedFlushLsn: string | null;
  /** End of this server's WAL when the slot was read; null on a standby that has none yet. */
  currentLsn: string | null;
  /** Bytes of WAL kept for the slot; null when it keeps none or is lost (never 0 for "lost"). */
  retainedBytes: number | null;
  walStatus: WalStatus | null;
  /** Bytes that may still be written before the slot is at risk; negative once it is; null without a limit or when lost. */
  safeWalSize: number | null;
  xminAge: number | null;
  catalogXminAge: number | null;
  twoPhase: boolean | null;
  failover: boolean | null;
  /** The copy of a slot of the primary, on a standby. */
  synced: boolean | null;
  conflicting: boolean | null;
  inactiveSince: string | null;
  invalidationReason: string | null;
}

interface ReplicationSlotRow {
  name: string;
  kind: 'logical' | 'physical';
  plugin: string | null;
  database: string | null;
  temporary: boolean;
  active: boolean;
  active_pid: number | null;
  restart_lsn: string | null;
  confirmed_flush_lsn: string | null;
  current_lsn: string | null;
  retained_bytes: string | null;
  wal_status: WalStatus | null;
  safe_wal_size: string | null;
  xmin_age: string | null;
  catalog_xmin_age: string | null;
  two_phase: boolean | null;
  failover: boolean | null;
  synced: boolean | null;
  conflicting: boolean | null;
  inactive_since: Date | null;
  invalidation_reason: string | null;
}

/** A transaction that a slot's creation waits for. */
export interface SlotCreationBlocker {
  /** Null for a prepared transaction: end it with COMMIT or ROLLBACK PREPARED `preparedGid`. */
  pid: number | null;
  user: string | null;
  database: string | null;
  application: string | null;
  state: string | null;
  preparedGid: string | null;
  ageSeconds: number | null;
  /** The statement's first 500 characters; null where the login may not see it. */
  query: string | null;
}

/** Of the statement itself. */
export interface SlotBlockerRow {
  pid: number | null;
  xid: string | null;
  user: string | null;
  database: string | null;
  application: string | null;
  state: string | null;
  prepared_gid: string | null;
  age_seconds: number | null;
  query_age_seconds: number | null;
  query: string | null;
}

/** All slots of the server, by name; only the one of that name where given. */
export async function readReplicationSlots(session: Session, name: string | null = null): Promise<ReplicationSlot[]> {
  const rows = await session.rows<ReplicationSlotRow>(variantFor(REPLICATION_SLOTS, session.versionNum), [name]);
  return rows.map(decodeSlot);
}

/** Whether it came with the promotion of the server, as the copy of a slot of the former primary. */
export async function isSlotCarriedOver(session: Session, name: string): Promise<boolean> {
  const sql = variantFor(SLOT_CARRIED_OVER, session.versionNum);
  return (await session.row<{ carried_over: boolean }>(sql, [name])).carried_over;
}

/** Oldest first. */
export async function readSlotCreationBlockers(session: Session): Promise<SlotCreationBlocker[]> {
  const rows = await readSlotBlockers(session, { exceptPid: null, limit: null });
  return rows.map(({ pid, user, database, application, state, query, ...row }) => ({
    ...{ pid, user, database, application, state },
    ...{ preparedGid: row.prepared_gid, ageSeconds: row.age_seconds, query },
  }));
}

export function readSlotBlockers(
  session: Session,
  { exceptPid, limit }: { exceptPid: number | null; limit: number | null },
): Promise<SlotBlockerRow[]> {
  return session.rows<SlotBlockerRow>(variantFor(SLOT_CREATION_BLOCKERS, session.versionNum), [exceptPid, limit]);
}

function decodeSlot(row: ReplicationSlotRow): ReplicationSlot {
  return {
    name: row.name,
    kind: row.kind,
    plugin: row.plugin,
    database: row.database,
    temporary: row.temporary,
    active: row.active,
    activePid: row.active_pid,
    restartLsn: row.restart_lsn,
    confirmedFlushLsn: row.confirmed_flush_lsn,
    currentLsn: row.current_lsn,
    retainedBytes: numberOrNull(row.retained_bytes),
    walStatus: row.wal_status,
    safeWalSize: numberOrNull(row.safe_wal_size),
    xminAge: numberOrNull(row.xmin_age),
    catalogXminAge: numberOrNull(row.catalog_xmin_age),
    twoPhase: row.two_phase,
    failover: row.failover,
    synced: row.synced,
    conflicting: row.conflicting,
    inactiveSince: row.inactive_since?.toISOString() ?? null,
    invalidationReason: row.invalidation_reason,
  };
}

function numberOrNull(text: string | null): number | null {
  return text === null ? null : Number(text);
}
