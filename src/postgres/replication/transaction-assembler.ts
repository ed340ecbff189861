import { Problem } from '../../problems/problem.js';
import type { PgoutputMessage } from './pgoutput-messages.js';
import { isEmpty, type Change, type Relation, type StreamedTransaction } from './streamed-transaction.js';

export interface AssemblyLimits {
  changes: number;
  bytes: number;
}

type Begun = Omit<StreamedTransaction, 'commitLsn' | 'endLsn'>;

/** A complete transaction and the bytes it took on the wire. */
export interface Assembled {
  transaction: StreamedTransaction;
  bytes: number;
}

/**
 * Puts the messages of one connection together to transactions. Relation messages are remembered here, so a new
 * connection, on which the server describes every relation again, needs a new assembler.
 */
export class TransactionAssembler {
  private readonly relations = new Map<number, Relation>();
  private current: Begun | null = null;
  private bytes = 0;

  constructor(private readonly limits: AssemblyLimits) {}

  get inTransaction(): boolean {
    return this.current !== null;
  }

  /** Takes the next message; returns a transaction when this was its commit. Throws a Problem out of order. */
  accept(message: PgoutputMessage, size: number): Assembled | null {
    this.bytes += size;
    switch (message.tag) {
      case 'begin': {
        if (this.current) throw unexpected(message.tag);
        const { xid, commitTimeMicros } = message;
        this.current = { xid, commitTimeMicros, origin: null, changes: [], overflow: false, messages: [] };
        this.bytes = size;
        return null;
      }
      case 'commit': {
        const begun = this.begun(message.tag);
        this.current = null;
        const { commitLsn, endLsn, commitTimeMicros } = message;
        return { transaction: { ...begun, commitLsn, endLsn, commitTimeMicros }, bytes: this.bytes };
      }
      case 'origin':
        this.begun(message.tag).origin = { name: message.name, lsn: message.lsn };
        return null;
      case 'relation':
        this.relations.set(message.relation.oid, message.relation);
        return null;
      case 'type':
        return null;
      case 'insert':
        this.add({ kind: 'insert', relation: this.relation(message.relationOid), new: message.new });
        return null;
      case 'update': {
        const { old, new: tuple } = message;
        this.add({ kind: 'update', relation: this.relation(message.relationOid), old, new: tuple });
        return null;
      }
      case 'delete':
        this.add({ kind: 'delete', relation: this.relation(message.relationOid), old: message.old });
        return null;
      case 'truncate': {
        const { cascade, restartIdentity } = message;
        const relations = message.relationOids.map((oid) => this.relation(oid));
        this.add({ kind: 'truncate', relations, cascade, restartIdentity });
        return null;
      }
      case 'message':
        // One that is not transactional belongs to no commit and promises nothing about one.
        if (message.transactional) {
          this.begun(message.tag).messages.push({ prefix: message.prefix, content: message.content });
        }
        return null;
      case 'stream-start':
      case 'stream-stop':
      case 'stream-commit':
      case 'stream-abort':
      case 'begin-prepare':
      case 'prepare':
      case 'commit-prepared':
      case 'rollback-prepared':
      case 'stream-prepare':
        throw new Problem('SERVER_FAILED', `the server sent a ${message.tag} message that was not asked for`);
    }
  }

  private add(change: Change): void {
    const transaction = this.begun(change.kind);
    if (transaction.changes.length >= this.limits.changes || this.bytes > this.limits.bytes) {
      transaction.overflow = true;
    }
    if (!transaction.overflow) transaction.changes.push(change);
    else if (change.kind === 'update' && change.old !== null) (transaction.cutKeys ??= new Set()).add(change.relation);
  }

  private begun(tag: string): Begun {
    if (!this.current) throw unexpected(tag);
    return this.current;
  }

  private relation(oid: number): Relation {
    const relation = this.relations.get(oid);
    if (!relation) throw new Problem('SERVER_FAILED', `a change of relation ${oid} came before its description`);
    return relation;
  }
}

function unexpected(tag: string): Problem {
  return new Problem('SERVER_FAILED', `a ${tag} message came where the protocol does not allow it`);
}

/** Whether an owner has anything to process in it. */
export function carriesNothing(transaction: StreamedTransaction): boolean {
  return isEmpty(transaction) && transaction.messages.length === 0;
}
