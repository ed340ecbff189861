import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../../problems/problem.js';
import { formatLsn, maxLsn, ZERO_LSN, type Lsn } from '../../shared/lsn.js';
import type { ChangeStreamOptions, ChangeStreamState } from './change-stream-options.js';
import { DeliveredTransactions } from './delivered-transactions.js';
import { DeliveryQueue } from './delivery-queue.js';
import { PgoutputDecoder } from './pgoutput-decoder.js';
import { PositionWaiters } from './position-waiters.js';
import { ReplicationConnection } from './replication-connection.js';
import { ShutdownDetector } from './shutdown-detector.js';
import { SourceContinuity } from './source-continuity.js';
import type { SourceState } from './source-state.js';
import type { StandbyStatus } from './standby-status.js';
import { startReplicationCommand } from './start-replication.js';
import { judge } from './stream-failure.js';
import type { StreamedTransaction } from './streamed-transaction.js';
import { carriesNothing, TransactionAssembler } from './transaction-assembler.js';

const DEFAULT_BUFFER_BYTES = 16 * 1024 * 1024;
const DEFAULT_MAX_CHANGES = 500_000;
const DEFAULT_MAX_BYTES = 128 * 1024 * 1024;
const DEFAULT_START_DEADLINE_MS = 30_000;
const MIN_SILENCE_MS = 60_000;
/** Of a server that has no wal_sender_timeout, set so for what decodes for long without a word. */
const MOST_SILENCE_MS = 1_800_000;
const MAX_STATUS_INTERVAL_MS = 10_000;
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;
const HANDLER_GRACE_MS = 3_000;

/**
 * Reads one logical slot and hands over committed transactions in commit order, exactly once within its life and at
 * least once over restarts: what was not confirmed comes again. Survives lost connections and server restarts by
 * itself; a slot that is gone, lost or invalidated ends it for good (`failed`), because nothing can bring back what
 * was missed.
 */
export class ChangeStream {
  /** Delivered lately; what binding a snapshot to transactions needs. */
  readonly delivered = new DeliveredTransactions();
  /** Private at run time too: whoever prints a stream must not print a password. */
  readonly #options: ChangeStreamOptions;
  private readonly queue = new DeliveryQueue();
  private readonly waiters: PositionWaiters;
  private readonly continuity: SourceContinuity;
  private readonly shutdown = new ShutdownDetector();
  private readonly stopping = new AbortController();
  private connection: ReplicationConnection | null = null;
  private assembler: TransactionAssembler;
  private decoder = new PgoutputDecoder();
  private currentState: ChangeStreamState = 'idle';
  private failure: Problem | null = null;
  private supervision: Promise<void> = Promise.resolve();
  private delivery: Promise<void> | null = null;
  private statusTimer: NodeJS.Timeout | undefined;
  private statusIntervalMs = MAX_STATUS_INTERVAL_MS;
  private lastHeardAt = 0;
  private paused = false;
  /** Everything that was taken over from the server, handled or waiting. */
  private received = ZERO_LSN;
  private handled = ZERO_LSN;
  private declared = ZERO_LSN;
  /** End of the last transaction the owner has something to process in. */
  private owed = ZERO_LSN;
  private handling: StreamedTransaction | null = null;

  constructor(options: ChangeStreamOptions) {
    this.#options = options;
    if (options.publications.length === 0) throw new RangeError('a change stream needs a publication');
    this.waiters = new PositionWaiters(`the stream of slot "${options.slotName}"`);
    this.continuity = new SourceContinuity(options.slotName);
    this.assembler = this.newAssembler();
  }

  get state(): ChangeStreamState {
    return this.currentState;
  }

  /** Why the stream ended for good; null otherwise. */
  get failed(): Problem | null {
    return this.failure;
  }

  /**
   * Every transaction whose commit record starts below this has been delivered and its handler has resolved (by this
   * stream or, below `startPosition`, by whoever confirmed the slot before). Moves with commits and keepalives.
   */
  get position(): Lsn {
    return this.handled;
  }

  /** What the server is told it may forget. */
  get confirmed(): Lsn {
    if ((this.#options.confirmIdle ?? true) && this.isIdle && this.declared >= this.owed) {
      this.declared = maxLsn(this.declared, this.handled);
    }
    return this.declared;
  }

  /** What was found at the first connection; throws before `start` has resolved. */
  get source(): SourceState {
    return this.continuity.first;
  }

  /** Where this stream began. */
  get startPosition(): Lsn {
    return maxLsn(this.source.slotConfirmed, this.#options.startLsn ?? ZERO_LSN);
  }

  /** Connects and resolves once the server streams. Retries what may pass (slot still active ...) within the deadline. */
  async start({ deadlineMs = DEFAULT_START_DEADLINE_MS }: { deadlineMs?: number } = {}): Promise<void> {
    if (this.currentState !== 'idle') throw new Problem('WRONG_STATE', 'the change stream was started already');
    this.currentState = 'connecting';
    const deadline = Date.now() + deadlineMs;
    const connection = await this.connect((problem) => {
      if (Date.now() >= deadline) this.fail(problem);
    });
    if (!connection) throw this.failure ?? this.closedProblem();
    this.supervision = this.supervise(connection);
  }

  /**
   * Declares every transaction with `endLsn <= lsn` durably processed. May be called from `onTransaction` for the
   * transaction at hand. Never moves back. RangeError when it lies past what was delivered.
   */
  confirm(lsn: Lsn): void {
    const delivered = this.handling ? maxLsn(this.handled, this.handling.endLsn) : this.handled;
    if (lsn > delivered) {
      throw new RangeError(`${formatLsn(lsn)} was not delivered yet; the stream is at ${formatLsn(delivered)}`);
    }
    this.declared = maxLsn(this.declared, lsn);
  }

  /** Resolves when `position >= lsn`. Rejects with SERVER_TIMEOUT, with `failed`, when aborted, or when closed. */
  async waitUntil(lsn: Lsn, options: { timeoutMs: number; signal?: AbortSignal }): Promise<void> {
    if (this.failure) throw this.failure;
    if (this.currentState === 'closed') throw this.closedProblem();
    return this.waiters.wait(lsn, () => this.handled, options);
  }

  /** Ends streaming after telling the server the last confirmed position. Never rejects, never hangs; twice is fine. */
  async close(): Promise<void> {
    if (this.currentState !== 'failed') this.currentState = 'closed';
    this.stopping.abort();
    this.waiters.rejectAll(this.closedProblem());
    if (this.delivery) await Promise.race([this.delivery, delay(HANDLER_GRACE_MS, undefined, { ref: false })]);
    this.queue.clear();
    await this.disconnect(true);
    await this.supervision;
  }

  /** Tries until it streams; null when the stream ended meanwhile. `onRetry` may fail the stream. */
  private async connect(onRetry: (problem: Problem) => void): Promise<ReplicationConnection | null> {
    for (let backoff = FIRST_BACKOFF_MS; !this.ended; backoff = Math.min(backoff * 2, MAX_BACKOFF_MS)) {
      try {
        return await this.open();
      } catch (error) {
        if (this.ended) return null;
        const { problem, permanent } = judge(error, this.where);
        if (permanent) this.fail(problem);
        else onRetry(problem);
      }
      if (!this.ended) {
        await delay(backoff * (0.75 + Math.random() / 2), undefined, { signal: this.stopping.signal }).catch(() => {});
      }
    }
    return null;
  }

  private async open(): Promise<ReplicationConnection> {
    this.assembler = this.newAssembler();
    this.decoder = new PgoutputDecoder();
    this.shutdown.reset();
    const connection = await ReplicationConnection.open({
      target: this.#options.target,
      slotName: this.#options.slotName,
      purpose: this.#options.purpose ?? `stream ${this.#options.slotName}`,
      command: (state) => this.continueFrom(state),
      onData: (message) => this.onData(message),
      onKeepalive: (walEnd, replyRequested) => this.onKeepalive(walEnd, replyRequested),
    });
    this.connection = connection;
    if (this.ended) {
      await this.disconnect(false);
      throw this.failure ?? this.closedProblem();
    }
    this.currentState = 'streaming';
    this.lastHeardAt = Date.now();
    if (this.paused) connection.pause();
    this.statusTimer = setInterval(() => this.tick(), this.statusIntervalMs);
    return connection;
  }

  private continueFrom(state: SourceState): string {
    if (this.currentState === 'connecting') {
      this.continuity.begin(state);
      this.handled = this.received = this.declared = this.owed = this.startPosition;
    } else {
      this.continuity.check(state, this.handled);
    }
    const silence = this.silenceTimeoutMs;
    const timeout = state.walSenderTimeoutMs === 0 ? silence : Math.min(silence, state.walSenderTimeoutMs);
    this.statusIntervalMs = Math.min(MAX_STATUS_INTERVAL_MS, Math.max(50, timeout / 3));
    const { slotName, publications, messages = false, origin = 'any' } = this.#options;
    return startReplicationCommand(
      { slotName, startLsn: this.handled, publications, messages, origin },
      state.versionNum,
    );
  }

  private async supervise(first: ReplicationConnection): Promise<void> {
    for (let connection: ReplicationConnection | null = first; connection;) {
      const { failure, permanent } = await connection.ended.then((cause) => {
        const { problem, permanent } = judge(cause, this.where);
        return { failure: problem, permanent };
      });
      await this.disconnect(false);
      if (this.ended) return;
      if (permanent) return this.fail(failure);
      this.currentState = 'reconnecting';
      connection = await this.connect(() => {});
    }
  }

  /** Runs inside the socket's handler: nothing may escape from here. */
  private onData(message: Buffer): void {
    this.lastHeardAt = Date.now();
    this.shutdown.reset();
    if (this.ended) return;
    try {
      const assembled = this.assembler.accept(this.decoder.decode(message), message.length);
      if (!assembled) return;
      const { transaction, bytes } = assembled;
      // After a reconnect the server starts where the last handled transaction ended, or earlier.
      if (transaction.commitLsn < this.received) return;
      this.received = transaction.endLsn;
      const foreign = transaction.origin !== null && this.#options.origin === 'none';
      if (foreign) this.queue.push({ kind: 'position', lsn: transaction.endLsn });
      else this.queue.push({ kind: 'transaction', transaction, bytes });
      this.deliver();
    } catch (error) {
      this.fail(judge(error, this.where).problem);
    }
  }

  private onKeepalive(walEnd: Lsn, replyRequested: boolean): void {
    this.lastHeardAt = Date.now();
    if (this.ended) return;
    const waitsForUs = this.shutdown.observe({
      walEnd,
      replyRequested,
      written: this.received,
      flushed: this.confirmed,
    });
    if (walEnd > this.received) {
      this.received = walEnd;
      this.queue.push({ kind: 'position', lsn: walEnd });
      this.deliver();
    }
    // A server that shuts down waits until we confirm its last byte, which we may not be able to: let it go.
    if (waitsForUs) this.connection?.break();
    else if (replyRequested) this.sendStatus(false);
  }

  private deliver(): void {
    if (this.queue.bytes > this.bufferBytes && !this.paused) {
      this.paused = true;
      this.connection?.pause();
    }
    if (this.delivery) return;
    const delivery = this.deliverAll();
    if (this.queue.isEmpty && !this.handling) return;
    this.delivery = delivery.finally(() => (this.delivery = null));
  }

  private async deliverAll(): Promise<void> {
    for (let item = this.queue.shift(); item && !this.ended; item = this.queue.shift()) {
      if (item.kind === 'transaction') {
        const { transaction } = item;
        this.handling = transaction;
        if (!carriesNothing(transaction)) this.owed = transaction.endLsn;
        try {
          await this.#options.onTransaction?.(transaction);
        } catch (error) {
          this.fail(judge(error, `handling the transaction at ${formatLsn(transaction.endLsn)}`).problem);
          return;
        } finally {
          this.handling = null;
        }
        this.delivered.add(transaction, item.bytes);
        this.queue.release(item.bytes);
      }
      this.handled = maxLsn(this.handled, item.kind === 'transaction' ? item.transaction.endLsn : item.lsn);
      this.waiters.reached(this.handled);
      if (this.paused && this.queue.bytes < this.bufferBytes / 2) {
        this.paused = false;
        this.lastHeardAt = Date.now();
        this.connection?.resume();
      }
    }
  }

  private tick(): void {
    const quiet = Date.now() - this.lastHeardAt;
    if (!this.paused && quiet > this.silenceTimeoutMs) this.connection?.break();
    else this.sendStatus(!this.paused && quiet >= this.statusIntervalMs);
  }

  private sendStatus(replyRequested: boolean): void {
    this.connection?.sendStatus(this.status(replyRequested));
  }

  private status(replyRequested: boolean): StandbyStatus {
    return { write: this.received, flush: this.confirmed, apply: this.handled, replyRequested };
  }

  private fail(problem: Problem): void {
    if (this.ended) return;
    this.failure = problem;
    this.currentState = 'failed';
    this.stopping.abort();
    this.waiters.rejectAll(problem);
    this.queue.clear();
    void this.disconnect(true);
    this.#options.onFailed?.(problem);
  }

  private async disconnect(polite: boolean): Promise<void> {
    clearInterval(this.statusTimer);
    const connection = this.connection;
    this.connection = null;
    await connection?.close(polite ? this.status(false) : undefined);
  }

  private newAssembler(): TransactionAssembler {
    return new TransactionAssembler({
      changes: this.#options.maxTransactionChanges ?? DEFAULT_MAX_CHANGES,
      bytes: this.#options.maxTransactionBytes ?? DEFAULT_MAX_BYTES,
    });
  }

  private get ended(): boolean {
    return this.currentState === 'failed' || this.currentState === 'closed';
  }

  private get isIdle(): boolean {
    return this.queue.isEmpty && !this.handling && !this.assembler.inTransaction;
  }

  private get bufferBytes(): number {
    return this.#options.bufferBytes ?? DEFAULT_BUFFER_BYTES;
  }

  private get silenceTimeoutMs(): number {
    const { walSenderTimeoutMs } = this.continuity;
    const silence = walSenderTimeoutMs === 0 ? MOST_SILENCE_MS : Math.max(MIN_SILENCE_MS, walSenderTimeoutMs ?? 0);
    return this.#options.silenceTimeoutMs ?? silence;
  }

  private get where(): string {
    const { host, port, database } = this.#options.target;
    return `${host}:${port}/${database} slot "${this.#options.slotName}"`;
  }

  private closedProblem(): Problem {
    return new Problem('SERVER_UNREACHABLE', `the stream of slot "${this.#options.slotName}" was closed`);
  }
}
