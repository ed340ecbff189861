import type { ErrorCode } from '../problems/error-codes.js';
import { Problem } from '../problems/problem.js';
import { ANSWER_GRACE_MS, type ConnectionTarget, DEFAULT_STATEMENT_TIMEOUT_MS } from './connection.js';
import { Session } from './session.js';

export interface PoolLimits {
  /** Sessions at most: managed servers are other people's. */
  max: number;
  /** An idle session is closed after this. */
  idleMs: number;
  /** No session is lent again when older, so that changed role settings and certificates take effect. */
  lifetimeMs: number;
  /** How long a borrower waits for a session before it is told SERVER_TIMEOUT. */
  waitMs: number;
  /** A session that gave no answer for that long is dropped, so that a server once silent is not shut out for good. */
  answerMs: number;
  /** After a failed connection the next is tried this much later, doubled each time, at most `backOffMaxMs`. */
  backOffMs: number;
  backOffMaxMs: number;
}

const DEFAULT_LIMITS: PoolLimits = {
  max: 4,
  idleMs: 30_000,
  lifetimeMs: 600_000,
  waitMs: 10_000,
  answerMs: DEFAULT_STATEMENT_TIMEOUT_MS + ANSWER_GRACE_MS,
  backOffMs: 250,
  backOffMaxMs: 15_000,
};

/** Failures that say something about the server, not about one database or one statement. */
const SERVER_FAILURES: readonly ErrorCode[] = [
  'SERVER_UNREACHABLE',
  'SERVER_TIMEOUT',
  'SERVER_AUTHENTICATION_FAILED',
  'SERVER_TLS_FAILED',
  'LIMIT_REACHED',
];

interface Pooled {
  session: Session;
  openedAt: number;
  idleTimer?: NodeJS.Timeout;
}

interface Waiter {
  wake(): void;
}

/** A few sessions on one database of one server, opened when needed, for short catalog queries and DDL. */
export class SessionPool {
  private readonly limits: PoolLimits;
  private readonly idle: Pooled[] = [];
  private readonly waiters: Waiter[] = [];
  /** Sessions lent out or being opened. */
  private busy = 0;
  private closed = false;
  private failure: { problem: Problem; count: number; until: number } | null = null;

  constructor(
    private readonly target: ConnectionTarget,
    limits: Partial<PoolLimits> = {},
  ) {
    this.limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /** Sessions open or being opened. */
  get size(): number {
    return this.busy + this.idle.length;
  }

  /**
   * Lends a session to `work`. It must leave no transaction open and no setting changed; a session on which anything
   * failed, or that comes back inside a transaction, is not lent again.
   */
  async use<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const pooled = await this.borrow();
    let sound = false;
    try {
      const result = await work(pooled.session);
      sound = true;
      return result;
    } finally {
      this.giveBack(pooled, sound);
    }
  }

  /** The server was reached by other means: the next borrower need not wait for the back-off. */
  forgetFailure(): void {
    this.failure = null;
  }

  /** Closes idle sessions now and lent ones when they come back. */
  async close(): Promise<void> {
    this.closed = true;
    for (const waiter of this.waiters.splice(0)) waiter.wake();
    const idle = this.idle.splice(0);
    for (const { idleTimer } of idle) clearTimeout(idleTimer);
    await Promise.all(idle.map(({ session }) => session.close()));
  }

  private async borrow(): Promise<Pooled> {
    const deadline = Date.now() + this.limits.waitMs;
    for (;;) {
      if (this.closed)
        throw new Problem('CONFLICT', "the server's settings were changed or it was removed", { retryable: true });
      const pooled = this.idle.pop();
      if (pooled) {
        clearTimeout(pooled.idleTimer);
        if (this.isFit(pooled)) {
          this.busy++;
          return pooled;
        }
        void pooled.session.close();
        continue;
      }
      if (this.busy < this.limits.max) return this.open();
      await this.wait(deadline);
    }
  }

  private async open(): Promise<Pooled> {
    if (this.failure && Date.now() < this.failure.until) throw this.failure.problem;
    this.busy++;
    try {
      const session = await Session.open(this.target, { answerWithinMs: this.limits.answerMs });
      this.failure = null;
      return { session, openedAt: Date.now() };
    } catch (error) {
      this.release();
      if (error instanceof Problem && SERVER_FAILURES.includes(error.code)) this.noteFailure(error);
      throw error;
    }
  }

  /** A server that does not answer is asked rarely; whoever comes in between gets the last answer at once. */
  private noteFailure(problem: Problem): void {
    // Attempts that were made side by side fail side by side: that is one failure.
    if (this.failure && Date.now() < this.failure.until) return;
    const count = (this.failure?.count ?? 0) + 1;
    const pause = Math.min(this.limits.backOffMs * 2 ** (count - 1), this.limits.backOffMaxMs);
    this.failure = { problem, count, until: Date.now() + pause };
  }

  private giveBack(pooled: Pooled, sound: boolean): void {
    this.release();
    const clean = sound && pooled.session.alive && pooled.session.driver.getTransactionStatus() === 'I';
    if (!clean || this.closed || !this.isFit(pooled)) {
      void pooled.session.close();
      return;
    }
    pooled.idleTimer = setTimeout(() => this.retire(pooled), this.limits.idleMs).unref();
    this.idle.push(pooled);
  }

  private release(): void {
    this.busy--;
    this.waiters.shift()?.wake();
  }

  private retire(pooled: Pooled): void {
    const at = this.idle.indexOf(pooled);
    if (at < 0) return;
    this.idle.splice(at, 1);
    void pooled.session.close();
  }

  private isFit({ session, openedAt }: Pooled): boolean {
    return session.alive && Date.now() - openedAt < this.limits.lifetimeMs;
  }

  private wait(deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter = {
        wake: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      const timer = setTimeout(
        () => {
          this.waiters.splice(this.waiters.indexOf(waiter), 1);
          const { host, port, database } = this.target;
          reject(
            new Problem(
              'SERVER_TIMEOUT',
              `all ${this.limits.max} sessions on ${host}:${port}/${database} were busy for ${this.limits.waitMs} ms`,
            ),
          );
        },
        Math.max(0, deadline - Date.now()),
      );
      this.waiters.push(waiter);
    });
  }
}
