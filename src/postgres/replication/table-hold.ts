import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../../problems/problem.js';
import { type Lsn, maxLsn, parseLsn, ZERO_LSN } from '../../shared/lsn.js';
import { END_APPLY_WORKERS, PROCESSES_LEFT } from '../catalog/apply.sql.js';
import { variantFor } from '../catalog/variant.js';
import { boundedAnswers, type ConnectionTarget, DEFAULT_LOCK_TIMEOUT_MS } from '../connection.js';
import { identifier } from '../quoting.js';
import { Session } from '../session.js';
import { sqlstateOf } from '../translate-error.js';
import { ApplyProgress } from './apply-progress.js';
import { nudge } from './bind.js';
import type { TableName } from '../catalog/tables.js';
import type { BindRequest } from './bind-request.js';
import { BoundSnapshot } from './bound-snapshot.js';
import type { ChangeStream } from './change-stream.js';
import { logicalSlotStatus } from './logical-slot.js';
import { originProgressExpression, subscriptionOrigin } from './origin-progress.js';
import { takeAccountableSnapshot } from './publisher-snapshot.js';
import type { Recording } from './recording.js';
import { isEmpty, type StreamedTransaction } from './streamed-transaction.js';

const LIMITS = { maxChanges: 500_000, maxBytes: 256 * 1024 * 1024 };
const INSUFFICIENT_PRIVILEGE = '42501';
const LOCK_NOT_AVAILABLE = '55P03';
const POLL_MS = 50;
const LOCK_PAUSE_MS = 100;
const LONGEST_LOCK_PAUSE_MS = 2_000;

export interface TableHoldRequest {
  publisher: { target: ConnectionTarget; stream: ChangeStream };
  subscriber: ConnectionTarget;
  subscription: BindRequest['subscription'];
  table: TableName;
  /** Names the session on the subscriber, so that a later run can end what an earlier one left. */
  purpose: string;
  /** Until the table is held, in milliseconds. */
  deadlineMs: number;
  /**
   * What becomes of transactions of which the position does not tell whether they have passed without effect. `settle`
   * (the default): the apply worker is ended, and its successor's position tells. `leave`: they are `inDoubt`.
   */
  doubts?: 'settle' | 'leave';
  /** One turn of waiting for the lock, in milliseconds; whoever wants to write the table waits behind it. Default 5 s. */
  lockTimeoutMs?: number;
  /** So long after the lock both sessions are dropped, in milliseconds, whatever they wait for. Default: they are not. */
  mostHeldMs?: number;
  signal?: AbortSignal;
}

/** A table of a subscriber to which nothing is applied while it is held, and what its publisher had in it there. */
export interface TableHold {
  /** In a snapshot of the publisher, with the table locked against TRUNCATE. */
  publisher: Session;
  /** In a transaction that holds the table in SHARE ROW EXCLUSIVE mode: it is read by others, and written by none. */
  subscriber: Session;
  /** Whatever touches the table and ends at or below it is applied; all else is applied after the hold. */
  appliedLsn: Lsn;
  /** Applied, and not in the publisher's snapshot; in commit order. */
  rollForward: readonly StreamedTransaction[];
  /** Touch the table, and may be applied without effect or not yet; none unless asked for with `doubts: 'leave'`. */
  inDoubt: readonly StreamedTransaction[];
  /** Ends both sessions. What was not committed is undone. */
  release(): Promise<void>;
}

/**
 * Takes a snapshot of the publisher, waits until the subscriber has applied all of it, and then locks the table there:
 * the apply worker stops at the next transaction that touches it, and goes on when the hold ends. "The snapshot
 * rolled forward by `rollForward`" is what the table must hold at that moment.
 *
 * Where the position alone does not tell whether such a transaction has passed without effect, the apply worker is
 * ended: its successor begins at the position, and stops at the lock.
 *
 * Rejects as `bindPair` does, and with SERVER_TIMEOUT when the table cannot be locked in time.
 */
export async function holdTable(request: TableHoldRequest): Promise<TableHold> {
  const published = request.publisher.stream.delivered.record(LIMITS);
  const opened: { close(): Promise<void> }[] = [];
  const keep = async <T extends { close(): Promise<void> }>(opening: Promise<T>): Promise<T> => {
    const session = await opening;
    opened.push(session);
    return session;
  };
  try {
    const { publisher, subscriber, table, purpose } = request;
    const snapshot = await keep(BoundSnapshot.open(publisher.target, 'resync publisher', [table]));
    const limits = { purpose: 'resync control', ...boundedAnswers() };
    const settings = { synchronous_commit: 'local' };
    const control = await keep(Session.open(publisher.target, { ...limits, settings }));
    const watch = await keep(Session.open(subscriber, limits));
    const { lockTimeoutMs = DEFAULT_LOCK_TIMEOUT_MS, mostHeldMs } = request;
    const idle = mostHeldMs === undefined ? {} : { idle_in_transaction_session_timeout: `${2 * mostHeldMs}ms` };
    const patient = { purpose, statementTimeoutMs: 0, lockTimeoutMs, settings: { ...ENDS_WITH_US, ...idle } };
    const writer = await keep(Session.open(subscriber, patient));
    const holding = new Holding(request, published, snapshot, control, watch, writer);
    opened.push({ close: () => Promise.resolve(holding.endLimit()) });
    const hold = await holding.run();
    await Promise.all([control.close(), watch.close()]);
    return {
      ...hold,
      publisher: snapshot.session,
      subscriber: writer,
      release: async () => {
        await Promise.all([snapshot.close(), writer.close()]);
        holding.endLimit();
      },
    };
  } catch (error) {
    await Promise.all(opened.map((session) => session.close()));
    throw error;
  } finally {
    published.stop();
  }
}

/** The lock must not outlive us by long, also where our host or the network is gone without a word. */
const ENDS_WITH_US = {
  idle_in_transaction_session_timeout: '120s',
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
};

class Holding {
  private deadline: number;
  private limit: NodeJS.Timeout | undefined;

  constructor(
    private readonly request: TableHoldRequest,
    private readonly published: Recording,
    private readonly snapshot: BoundSnapshot,
    private readonly control: Session,
    private readonly watch: Session,
    private readonly writer: Session,
  ) {
    this.deadline = Date.now() + request.deadlineMs;
  }

  async run(): Promise<Pick<TableHold, 'appliedLsn' | 'rollForward' | 'inDoubt'>> {
    const { publisher, subscription, signal } = this.request;
    const { stream } = publisher;
    const originExpression = await originProgressExpression(this.watch, subscriptionOrigin(subscription.oid));
    const progress = new ApplyProgress(this.control, this.watch, subscription, originExpression);
    const lastLost = stream.delivered.lastEvictedEnd;
    const taken = await takeAccountableSnapshot(this.snapshot, this.control, stream, this.deadline);
    this.published.keepWhole((transaction) => !taken.snapshot.visible(transaction.xid));
    await nudge(this.control);
    await stream.waitUntil(taken.insertedLsn, this.patience());
    this.refuseExceeded();
    let inSnapshot = maxLsn(stream.startPosition, lastLost);
    for (const transaction of this.published.transactions) {
      if (isEmpty(transaction) || !taken.snapshot.visible(transaction.xid)) continue;
      inSnapshot = maxLsn(inSnapshot, transaction.endLsn);
    }
    await progress.waitUntilApplied(inSnapshot, this.deadline, signal);

    await this.lock();
    this.beginLimit();
    const applied = await this.settle(originExpression);
    await stream.waitUntil(applied, this.patience());
    this.refuseExceeded();
    const notInSnapshot = this.published.transactions.filter(
      (transaction) => this.touches(transaction) && !taken.snapshot.visible(transaction.xid),
    );
    const isApplied = ({ endLsn }: StreamedTransaction) => endLsn <= applied;
    const later = this.request.doubts === 'leave' ? notInSnapshot.filter((each) => !isApplied(each)) : [];
    return { appliedLsn: applied, rollForward: notInSnapshot.filter(isApplied), inDoubt: later };
  }

  endLimit(): void {
    clearTimeout(this.limit);
  }

  /** Also where a server falls silent: nobody writes the table until then, and nothing is applied. */
  private beginLimit(): void {
    const { mostHeldMs } = this.request;
    if (mostHeldMs === undefined) return;
    this.deadline = Math.min(this.deadline, Date.now() + mostHeldMs);
    this.limit = setTimeout(() => {
      this.writer.destroy();
      this.snapshot.session.destroy();
    }, mostHeldMs);
  }

  /** Waits for transactions that write the table, in short turns: nobody is to queue behind us for long. */
  private async lock(): Promise<void> {
    const { schema, name } = this.request.table;
    for (let pause = LOCK_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_LOCK_PAUSE_MS)) {
      try {
        await this.writer.execute(`begin; lock table ${identifier(schema, name)} in share row exclusive mode`);
        return;
      } catch (error) {
        if (this.writer.alive) await this.writer.execute('rollback');
        if (sqlstateOf(error) !== LOCK_NOT_AVAILABLE || Date.now() > this.deadline) throw error;
      }
      this.refuseCancelled();
      // Those that queued behind us go first.
      await delay(pause);
    }
  }

  /**
   * The position up to which everything that touches the table is applied. Nothing of the kind is applied while the
   * table is locked, so it stands still as far as the table goes.
   */
  private async settle(originExpression: string): Promise<Lsn> {
    const before = await this.position(originExpression);
    await this.request.publisher.stream.waitUntil(await nudge(this.control), this.patience());
    this.refuseExceeded();
    const doubtful = this.published.transactions.some(
      (transaction) => transaction.endLsn > before && this.touches(transaction),
    );
    if (!doubtful || this.request.doubts === 'leave') return before;
    await this.restartWorkers();
    return this.position(originExpression);
  }

  /** A transaction without effect moves the slot only, and that with delay; so both are read, the slot last. */
  private async position(originExpression: string): Promise<Lsn> {
    const { lsn } = await this.watch.row<{ lsn: string | null }>(`select ${originExpression} as lsn`);
    const status = await logicalSlotStatus(this.control, this.request.subscription.slotName);
    if (!status) throw new Problem('NOT_FOUND', `the slot ${this.request.subscription.slotName} is gone`);
    return maxLsn(lsn === null ? ZERO_LSN : parseLsn(lsn), status.confirmedFlushLsn ?? ZERO_LSN);
  }

  /** Ends the workers of now and waits until they, and the walsender they read from, are gone. */
  private async restartWorkers(): Promise<void> {
    const { oid, slotName } = this.request.subscription;
    const walsender = (await logicalSlotStatus(this.control, slotName))?.activePid ?? null;
    const ended = await this.endWorkers(oid);
    const pids = ended.map(({ pid }) => pid);
    for (;;) {
      const { left } = await this.watch.row<{ left: number }>(variantFor(PROCESSES_LEFT, this.watch.versionNum), [
        pids,
      ]);
      const holder = (await logicalSlotStatus(this.control, slotName))?.activePid ?? null;
      if (left === 0 && (walsender === null || holder !== walsender)) return;
      if (Date.now() > this.deadline) {
        throw new Problem(
          'SERVER_TIMEOUT',
          `the apply worker, pid ${pids.join(', ')}, was told to end and did not in time`,
        );
      }
      this.refuseCancelled();
      await delay(POLL_MS);
    }
  }

  private async endWorkers(oid: number): Promise<{ pid: number }[]> {
    try {
      return await this.watch.rows<{ pid: number }>(variantFor(END_APPLY_WORKERS, this.watch.versionNum), [oid]);
    } catch (error) {
      if (sqlstateOf(error) !== INSUFFICIENT_PRIVILEGE) throw error;
      throw new Problem('SERVER_PRIVILEGE_MISSING', 'the login may not end the apply worker, which must begin anew', {
        sqlstate: INSUFFICIENT_PRIVILEGE,
        hint: "Grant the login the role that owns the subscription; a superuser's worker is ended by superusers only.",
        cause: error,
      });
    }
  }

  /** What is kept as a header only is in the snapshot, or may be anything. */
  private touches({ changes, overflow }: StreamedTransaction): boolean {
    const { schema, name } = this.request.table;
    const isIt = (relation: { schema: string; name: string }) => relation.schema === schema && relation.name === name;
    return (
      overflow ||
      changes.some((change) => (change.kind === 'truncate' ? change.relations.some(isIt) : isIt(change.relation)))
    );
  }

  private refuseExceeded(): void {
    if (!this.published.exceeded) return;
    throw new Problem('LIMIT_REACHED', 'more was written before the table was held than may be kept in memory', {
      hint: 'Try again when fewer rows are being written.',
      retryable: true,
    });
  }

  private refuseCancelled(): void {
    if (this.request.signal?.aborted) throw new Problem('SERVER_TIMEOUT', `holding the table was cancelled`);
  }

  private patience() {
    const timeoutMs = Math.max(0, this.deadline - Date.now());
    return this.request.signal ? { timeoutMs, signal: this.request.signal } : { timeoutMs };
  }
}
