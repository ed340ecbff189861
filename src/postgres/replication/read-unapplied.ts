import { flushCommits } from '../flushed-now.js';
import { withSession } from '../session.js';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ErrorCode } from '../../problems/error-codes.js';
import { Problem } from '../../problems/problem.js';
import { type Lsn, ZERO_LSN } from '../../shared/lsn.js';
import { boundedAnswers, type ConnectionTarget } from '../connection.js';
import { literal } from '../quoting.js';
import { translateError } from '../translate-error.js';
import { PgoutputDecoder } from './pgoutput-decoder.js';
import { ReplicationConnection } from './replication-connection.js';
import { startReplicationCommand } from './start-replication.js';
import { type TransactionSummary, TransactionSummarizer } from './transaction-summary.js';

/** How often the server is asked how far it has come; also what keeps it from taking us for gone. */
const ASK_EVERY_MS = 250;
const UNHEARD: readonly ErrorCode[] = ['SERVER_TIMEOUT', 'SERVER_UNREACHABLE'];

export interface UnappliedRequest {
  /** The publisher's database. */
  target: ConnectionTarget;
  /** The subscription's own slot there. It may be in use, and is left as it is. */
  slotName: string;
  /** Of the copy; that of the slot unless given. */
  plugin?: string;
  publications: readonly string[];
  origin: 'any' | 'none';
  /**
   * Tell what is prepared past `position` when it is prepared, as a slot with two_phase sends it; what was prepared before
   * comes with its COMMIT PREPARED, as from a slot whose two_phase_at is `position`: a copy does not inherit that of its
   * slot (seen with 15 to 18). Else prepared transactions are ordinary ones, told when they are committed.
   */
  twoPhase?: boolean;
  /** Everything that committed up to here is applied. */
  position: Lsn;
  /** Nothing past it is waited for; the end of the publisher's WAL unless given. */
  until?: Lsn;
  /** Told of each transaction that changed something, or was prepared, in the order of their ends; true ends the reading. */
  onTransaction: (transaction: TransactionSummary) => boolean;
  /** Of a transaction, told one by one; what it has more is counted. */
  mostChanges: number;
  mostBytes: number;
  deadlineMs: number;
}

/** `found`: `onTransaction` had what it wanted; `end`: the publisher has no more; else a bound was reached first. */
export type UnappliedEnd = 'found' | 'end' | 'bytes' | 'deadline';

/** The statement by which a slot of our own is made on the session that reads it: it ends with that session, whatever happens. */
export function copySlotSql(slotName: string, copy: string, plugin?: string): string {
  const call = [literal(slotName), literal(copy), 'true', ...(plugin === undefined ? [] : [literal(plugin)])];
  return `select pg_catalog.pg_copy_logical_replication_slot(${call.join(', ')})`;
}

export function newCopyName(): string {
  return `lockstep_p_${randomBytes(8).toString('hex')}`;
}

/**
 * Reads what the publisher would send the subscription next, through a temporary copy of its slot that needs one free
 * replication slot and one walsender while it is read. Whole transactions only: none that is still in progress.
 *
 * Rejects with what the publisher refuses: SERVER_PRIVILEGE_MISSING (REPLICATION), LIMIT_REACHED (no slot or walsender
 * free), NOT_FOUND (the slot, a publication), PREREQUISITE_FAILED (the slot is lost).
 */
export async function readUnapplied(request: UnappliedRequest): Promise<UnappliedEnd> {
  const reading = new Reading(request);
  try {
    return await reading.run();
  } catch (error) {
    const { host, port, database } = request.target;
    const problem = translateError(error, `${host}:${port}/${database}`);
    const heard = problem.options.sqlstate !== undefined || !UNHEARD.includes(problem.code);
    if (!reading.mayHaveLeft || heard) throw problem;
    const left = `its temporary slot ${reading.copy} may be there until the server notices that its session is gone`;
    throw new Problem(problem.code, `${problem.detail}; ${left}`, { ...problem.options, cause: error });
  }
}

class Reading {
  readonly copy = newCopyName();
  /** The server was asked for the copy. */
  mayHaveLeft = false;
  private readonly decoder = new PgoutputDecoder();
  private readonly summarizer: TransactionSummarizer;
  private until = ZERO_LSN;
  private bytes = 0;
  private end: UnappliedEnd | null = null;
  private failure: unknown = null;

  constructor(private readonly request: UnappliedRequest) {
    this.summarizer = new TransactionSummarizer(request.mostChanges);
  }

  async run(): Promise<UnappliedEnd> {
    const { target, slotName, plugin, publications, origin, position, until, twoPhase = false } = this.request;
    const deadline = Date.now() + this.request.deadlineMs;
    const { copy } = this;
    await withSession(target, { purpose: `read of slot ${slotName}`, ...boundedAnswers() }, flushCommits);
    this.mayHaveLeft = true;
    const connection = await ReplicationConnection.open({
      target,
      slotName: copy,
      purpose: `read of slot ${slotName}`,
      prepare: copySlotSql(slotName, copy, plugin),
      command: (state) => {
        this.until = until === undefined || until > state.flushLsn ? state.flushLsn : until;
        const start = { slotName: copy, startLsn: position, publications, messages: false, origin, twoPhase };
        return startReplicationCommand(start, state.versionNum);
      },
      onData: (message) => this.onData(message),
      onKeepalive: (walEnd) => {
        if (walEnd >= this.until) this.end ??= 'end';
      },
    });
    try {
      const status = { write: position, flush: position, apply: position, replyRequested: true };
      const ended = connection.ended.then((cause) => {
        this.failure ??= cause ?? new Problem('SERVER_UNREACHABLE', 'the publisher ended the stream');
      });
      while (this.end === null && this.failure === null) {
        if (Date.now() > deadline) return 'deadline';
        connection.sendStatus(status);
        await Promise.race([ended, delay(ASK_EVERY_MS), this.settled]);
      }
    } finally {
      await connection.close();
    }
    if (this.end === null) throw this.failure;
    return this.end;
  }

  private settle: () => void = () => {};
  private readonly settled = new Promise<void>((resolve) => (this.settle = resolve));

  private onData(message: Buffer): void {
    if (this.end !== null || this.failure !== null) return;
    this.bytes += message.length;
    try {
      const transaction = this.summarizer.accept(this.decoder.decode(message), message.length);
      if (transaction && isTold(transaction) && this.request.onTransaction(transaction)) this.end = 'found';
      else if (this.bytes > this.request.mostBytes) this.end = 'bytes';
    } catch (error) {
      this.failure = error;
    }
    if (this.end !== null || this.failure !== null) this.settle();
  }
}

/** An empty transaction leaves no trace on a subscriber, one that is prepared empty does. */
function isTold({ kind, changeCount }: TransactionSummary): boolean {
  return changeCount > 0 || kind !== 'commit';
}
