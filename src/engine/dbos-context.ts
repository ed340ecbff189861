import { DBOS, DBOSWorkflowConflictError } from '@dbos-inc/dbos-sdk';
import { Problem, type ProblemDocument } from '../problems/problem.js';
import { type ErrorCode, ERROR_CODES } from '../problems/error-codes.js';
import { isStateAway } from '../problems/state-away.js';
import { LeaseLost, OperationCancelled, type WorkflowContext } from './engine.js';

export const CANCEL_MESSAGE = { lockstep: 'cancel' } as const;

/** What is recorded of a step. Failures are data, so that a replay throws the same Problem and takes the same path. */
type Outcome<T> = { value: T } | { problem: ProblemDocument } | { cancelled: true };

export class DbosContext implements WorkflowContext {
  constructor(
    readonly operationId: string,
    readonly signal: AbortSignal,
    readonly left: AbortSignal,
    private readonly shuttingDown: () => boolean,
    private readonly inFlight: Set<symbol>,
    /** Aborts `left` and lets the operation be resumed. */
    private readonly leave: () => void,
  ) {}

  step<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.record(name, work, false);
  }

  cleanup<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.record(name, work, true);
  }

  async receive<T>(timeoutSeconds: number): Promise<T | null> {
    try {
      const message = await DBOS.recv<T | typeof CANCEL_MESSAGE>(undefined, { timeoutSeconds, pollingIntervalMs: 200 });
      if (isCancel(message)) throw new OperationCancelled();
      return message;
    } catch (error) {
      return await this.thrown(error);
    }
  }

  private async record<T>(name: string, work: () => Promise<T>, evenIfCancelled: boolean): Promise<T> {
    const flight = Symbol(name);
    const attempt = async (): Promise<Outcome<T>> => {
      if (this.stopping()) return await never();
      if (this.isCancelled() && !evenIfCancelled) return { cancelled: true };
      this.inFlight.add(flight);
      try {
        return { value: await work() };
      } catch (error) {
        // Cut off by our own shutdown: not a failure of the step, which the next start runs again.
        if ((isStateAway(error) || error instanceof DBOSWorkflowConflictError) && !this.stopping()) throw error;
        if (!this.stopping() && !(error instanceof LeaseLost)) {
          const cancelled = error instanceof OperationCancelled || (this.isCancelled() && !evenIfCancelled);
          return cancelled ? { cancelled: true } : { problem: problemDocument(error) };
        }
      } finally {
        this.inFlight.delete(flight);
      }
      return await never();
    };
    let outcome: Outcome<T>;
    try {
      outcome = await DBOS.runStep(attempt, STATE_RETRY(name));
    } catch (error) {
      return await this.thrown(error);
    }
    if ('cancelled' in outcome) throw new OperationCancelled();
    if ('problem' in outcome) throw problemFrom(outcome.problem);
    return outcome.value;
  }

  /** What the library itself threw. A workflow that saw it would clean up what its next carrier goes on with. */
  private async thrown(error: unknown): Promise<never> {
    if (!this.stopping()) {
      if (!isForNextCarrier(error)) throw error;
      this.leave();
    }
    return await never();
  }

  private stopping(): boolean {
    return this.shuttingDown() || this.left.aborted;
  }

  private isCancelled(): boolean {
    return this.signal.aborted && this.signal.reason instanceof OperationCancelled;
  }
}

/** Our own database being away says nothing about the step: it is waited for, and the step looks again. */
const STATE_RETRY = (name: string) => ({
  name,
  retriesAllowed: true,
  maxAttempts: 1_000_000,
  intervalSeconds: 1,
  backoffRate: 1,
  shouldRetry: isStateAway,
});

/**
 * The workflow has another carrier already, or the library gave our own database up (it waits for some outages only)
 * before the outcome was recorded.
 */
export function isForNextCarrier(error: unknown): boolean {
  return error instanceof DBOSWorkflowConflictError || isStateAway(error);
}

/** Leaves the workflow where it is: still pending in the database, to be resumed by the next start. */
export function never(): Promise<never> {
  return new Promise(() => {});
}

function isCancel(message: unknown): message is typeof CANCEL_MESSAGE {
  return typeof message === 'object' && message !== null && (message as { lockstep?: unknown }).lockstep === 'cancel';
}

export function problemDocument(error: unknown): ProblemDocument {
  const problem =
    error instanceof Problem
      ? error
      : new Problem('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
  return problem.toDocument();
}

/** A Problem from its document, e.g. one recorded by a step of an earlier life. */
export function problemFrom(document: ProblemDocument): Problem {
  const { type: _t, title: _ti, status: _s, detail, code, retryable, hint, sqlstate, errors, ...extra } = document;
  const known: ErrorCode = code in ERROR_CODES ? code : 'INTERNAL';
  return new Problem(known, detail, {
    retryable,
    ...(hint === undefined ? {} : { hint }),
    ...(sqlstate === undefined ? {} : { sqlstate }),
    ...(errors === undefined ? {} : { errors }),
    extra,
  });
}
