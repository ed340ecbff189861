import type { Lsn } from '../../shared/lsn.js';
import type { PgoutputMessage } from './pgoutput-messages.js';
import { type Relation, type Tuple, UNCHANGED } from './streamed-transaction.js';

const POSTGRES_EPOCH_MS = 946_684_800_000;

export type Operation = 'insert' | 'update' | 'delete' | 'truncate';

/**
 * `commit`: an ordinary transaction; `prepare`: its changes, prepared; `commitPrepared` and `rollbackPrepared`: the end of
 * what was prepared, without the changes.
 */
export type TransactionKind = 'commit' | 'prepare' | 'commitPrepared' | 'rollbackPrepared';

/** One change of a transaction without its values: those of the key only. */
export interface SummarizedChange {
  operation: Operation;
  schema: string;
  table: string;
  /** The replica identity's columns with their values before the change; null where there is no such index. */
  key: Record<string, string | null> | null;
  /** Of an UPDATE: the columns that were sent, or with REPLICA IDENTITY FULL those that changed. Else null. */
  columns: string[] | null;
}

export interface SummarizedTable {
  schema: string;
  name: string;
  inserts: number;
  updates: number;
  deletes: number;
  truncates: number;
}

/** What a transaction does, told in bounded space however large it is: the counts are true, the changes are the first ones. */
export interface TransactionSummary {
  kind: TransactionKind;
  xid: number;
  /** What it was prepared as on the publisher; null for `commit`. */
  gid: string | null;
  /**
   * Start of the record that commits or prepares it: `finished at` in the subscriber's log, and what SKIP takes. Of a
   * ROLLBACK PREPARED the log names the end.
   */
  finishLsn: Lsn;
  /** End of that record: where an origin stands that has applied it. */
  endLsn: Lsn;
  /** RFC 3339, by the publisher's clock; when it was committed, prepared or rolled back. */
  committedAt: string;
  /** As sent by the publisher. */
  bytes: number;
  changeCount: number;
  tables: SummarizedTable[];
  changes: SummarizedChange[];
}

/** Takes the messages of one connection that streams nothing in progress, and answers a summary at each end. */
export class TransactionSummarizer {
  private readonly relations = new Map<number, Relation>();
  private tables = new Map<string, SummarizedTable>();
  private changes: SummarizedChange[] = [];
  private xid = 0;
  private bytes = 0;
  private changeCount = 0;

  constructor(private readonly mostChanges: number) {}

  accept(message: PgoutputMessage, size: number): TransactionSummary | null {
    this.bytes += size;
    switch (message.tag) {
      case 'begin':
      case 'begin-prepare':
        this.tables = new Map();
        this.changes = [];
        this.changeCount = 0;
        this.bytes = size;
        this.xid = message.xid;
        return null;
      case 'relation':
        this.relations.set(message.relation.oid, message.relation);
        return null;
      case 'insert':
        this.add('insert', message.relationOid, (relation) => [keyIn(relation, message.new), null]);
        return null;
      case 'update':
        this.add('update', message.relationOid, (relation) => {
          const { old, new: tuple } = message;
          return [keyIn(relation, old ? old.tuple : tuple), changedColumns(relation, tuple, old)];
        });
        return null;
      case 'delete':
        this.add('delete', message.relationOid, (relation) => [keyIn(relation, message.old.tuple), null]);
        return null;
      case 'truncate':
        for (const oid of message.relationOids) this.add('truncate', oid, () => [null, null]);
        return null;
      case 'commit':
        return {
          kind: 'commit',
          gid: null,
          ...ended(message.commitLsn, message.endLsn, message.commitTimeMicros),
          ...this.told(),
        };
      case 'prepare':
        return {
          kind: 'prepare',
          gid: message.gid,
          ...ended(message.prepareLsn, message.endLsn, message.prepareTimeMicros),
          ...this.told(),
        };
      case 'commit-prepared':
        return {
          kind: 'commitPrepared',
          ...nothingTold(message, size),
          ...ended(message.commitLsn, message.endLsn, message.commitTimeMicros),
        };
      case 'rollback-prepared':
        return {
          kind: 'rollbackPrepared',
          ...nothingTold(message, size),
          ...ended(message.endLsn, message.endLsn, message.rollbackTimeMicros),
        };
      default:
        return null;
    }
  }

  private told() {
    const { xid, bytes, changeCount, changes } = this;
    return { xid, bytes, changeCount, changes, tables: [...this.tables.values()] };
  }

  private add(
    operation: Operation,
    oid: number,
    details: (relation: Relation) => [SummarizedChange['key'], SummarizedChange['columns']],
  ): void {
    const relation = this.relations.get(oid);
    if (!relation) return;
    const { schema, name } = relation;
    const id = JSON.stringify([schema, name]);
    const table = this.tables.get(id) ?? { schema, name, inserts: 0, updates: 0, deletes: 0, truncates: 0 };
    this.tables.set(id, table);
    table[`${operation}s`]++;
    this.changeCount++;
    if (this.changes.length >= this.mostChanges) return;
    const [key, columns] = details(relation);
    this.changes.push({ operation, schema, table: name, key, columns });
  }
}

function ended(finishLsn: Lsn, endLsn: Lsn, micros: bigint) {
  const committedAt = new Date(POSTGRES_EPOCH_MS + Number(micros / 1000n)).toISOString();
  return { finishLsn, endLsn, committedAt };
}

function nothingTold({ xid, gid }: { xid: number; gid: string }, bytes: number) {
  return { xid, gid, bytes, changeCount: 0, tables: [], changes: [] };
}

/** Null for REPLICA IDENTITY FULL, where the key would be the whole row, and where there is no key. */
function keyIn(relation: Relation, tuple: Tuple): SummarizedChange['key'] {
  if (relation.replicaIdentity === 'f') return null;
  const entries = relation.columns.flatMap(({ name, key }, position): [string, string | null][] => {
    const value = tuple[position];
    return key ? [[name, typeof value === 'string' ? value : null]] : [];
  });
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

function changedColumns(
  relation: Relation,
  tuple: Tuple,
  old: { kind: 'key' | 'full'; tuple: Tuple } | null,
): string[] {
  return relation.columns
    .filter((_column, position) => {
      const value = tuple[position];
      if (value === UNCHANGED) return false;
      return old?.kind !== 'full' || value !== old.tuple[position];
    })
    .map(({ name }) => name);
}
