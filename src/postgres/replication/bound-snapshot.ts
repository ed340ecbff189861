import type { QueryResult } from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../../problems/problem.js';
import { parseLsn, type Lsn } from '../../shared/lsn.js';
import { DEFAULT_LOCK_TIMEOUT_MS, type ConnectionTarget } from '../connection.js';
import { identifier, literal } from '../quoting.js';
import { Session } from '../session.js';
import { sqlstateOf, translateError } from '../translate-error.js';
import type { TableName } from '../catalog/tables.js';
import type { BoundSide } from './bound-pair.js';
import { Snapshot } from './snapshot.js';

const LOCK_NOT_AVAILABLE = '55P03';
const LOCK_RETRY_MS = 50;

const BEGIN = 'begin isolation level repeatable read read only';

interface SnapshotRow {
  snapshot: string;
  inserted: string;
  exported: string;
  [column: string]: unknown;
}

/**
 * A session that can hold an exported snapshot. Taking it again ends the one before: the server is asked in one
 * round trip, so that nothing of ours lies between what is read before the snapshot, the snapshot, and what is read in it.
 */
export class BoundSnapshot implements BoundSide {
  private exported: string | null = null;
  private current: Snapshot | null = null;
  private begun = false;

  /** Private at run time too: whoever prints a bound pair must not print a password. */
  readonly #target: ConnectionTarget;

  private constructor(
    readonly session: Session,
    target: ConnectionTarget,
    /** Locked with the next snapshot. */
    public tables: readonly TableName[],
  ) {
    this.#target = target;
  }

  static async open(target: ConnectionTarget, purpose: string, tables: readonly TableName[]): Promise<BoundSnapshot> {
    const session = await Session.open(target, { purpose, statementTimeoutMs: 0 });
    return new BoundSnapshot(session, target, tables);
  }

  get snapshot(): Snapshot {
    if (!this.current) throw new Problem('WRONG_STATE', 'no snapshot was taken');
    return this.current;
  }

  /**
   * Takes the snapshot. `before`: statements of one row each, every one in a transaction of its own, answered before
   * any lock is taken; `within`: further columns read by the statement that takes the snapshot. The tables are
   * locked in ACCESS SHARE MODE first: TRUNCATE and rewrites are not MVCC-safe, an older snapshot would see an empty table.
   * Rejects with SERVER_TIMEOUT when the tables cannot all be locked within the patience for locks.
   */
  async take(before: string[] = [], within: string[] = []): Promise<TakenSnapshot> {
    for (const deadline = Date.now() + DEFAULT_LOCK_TIMEOUT_MS; ;) {
      try {
        return await this.tryToTake(before, within);
      } catch (error) {
        if (sqlstateOf(error) !== LOCK_NOT_AVAILABLE || Date.now() > deadline) throw error;
        await delay(LOCK_RETRY_MS);
      }
    }
  }

  private async tryToTake(before: string[], within: string[]): Promise<TakenSnapshot> {
    this.exported = null;
    this.current = null;
    const columns = [
      'pg_catalog.pg_current_snapshot()::text as snapshot',
      'pg_catalog.pg_current_wal_insert_lsn()::text as inserted',
      'pg_catalog.pg_export_snapshot() as exported',
      ...within,
    ];
    // Each statement before needs its own transaction: activity views are frozen within one.
    const statements = [
      // Nothing to roll back would be a warning in the server's log.
      ...(this.begun ? ['rollback'] : []),
      ...before.flatMap((statement) => ['begin', statement, 'commit']),
      BEGIN,
      ...this.lockStatement(),
      `select ${columns.join(', ')}`,
    ];
    const first = this.begun ? 1 : 0;
    this.begun = true;
    const results = await this.batch(statements.join('; '));
    const row = results.at(-1)!.rows[0] as SnapshotRow;
    this.exported = row.exported;
    this.current = Snapshot.parse(row.snapshot);
    return {
      snapshot: this.current,
      insertedLsn: parseLsn(row.inserted),
      before: before.map((_, i) => results[first + 3 * i + 1]!.rows[0] as Record<string, unknown>),
      within: row,
    };
  }

  async openSession(purpose: string): Promise<Session> {
    if (this.exported === null) throw new Problem('WRONG_STATE', 'the snapshot was released');
    const session = await Session.open(this.#target, { purpose, statementTimeoutMs: 0 });
    try {
      await session.execute(`${BEGIN}; set transaction snapshot ${literal(this.exported)}`);
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  get alive(): boolean {
    return this.session.alive;
  }

  /** Ends the snapshot and its locks; the session stays, for the next one. */
  async letGo(): Promise<void> {
    this.exported = null;
    this.current = null;
    if (!this.begun) return;
    await this.session.execute('rollback');
    this.begun = false;
  }

  async close(): Promise<void> {
    this.exported = null;
    await this.session.close();
  }

  private lockStatement(): string[] {
    if (this.tables.length === 0) return [];
    const names = this.tables.map((table) => identifier(table.schema, table.name));
    // Waiting for one table while holding others could end in a deadlock, with an application or an apply worker as victim.
    return [`lock table ${names.join(', ')} in access share mode nowait`];
  }

  private async batch(sql: string): Promise<QueryResult[]> {
    try {
      return (await this.session.driver.query(sql)) as unknown as QueryResult[];
    } catch (error) {
      throw translateError(error, this.session.where);
    }
  }
}

export interface TakenSnapshot {
  snapshot: Snapshot;
  /** Read after the snapshot was taken: every commit it sees has its record below. */
  insertedLsn: Lsn;
  before: Record<string, unknown>[];
  within: Record<string, unknown>;
}
