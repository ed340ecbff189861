/** What a workflow body is given. Everything it does to the outside belongs into `step` or `cleanup`. */
export interface WorkflowContext {
  /** Id of the operation this workflow carries out. */
  readonly operationId: string;
  /** Aborted when the operation is cancelled or the service shuts down; long steps must watch it. */
  readonly signal: AbortSignal;
  /**
   * Aborted when whoever carries the operation next continues it, here or on another instance: the workflow stands still
   * for ever then, with neither catch nor finally, and what it holds open is to be closed.
   */
  readonly left: AbortSignal;
  /**
   * Runs `work` once and records its result (JSON, never a secret) durably: after a crash a finished step is not
   * run again, an unfinished one is. So `work` first looks whether its effect is already there. Steps are named,
   * and never reordered or renamed without a new workflow name. A failure is recorded too and thrown again on
   * replay as the same Problem. Throws OperationCancelled without running `work` when the operation is cancelled.
   */
  step<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** As `step`, but also runs when the operation was cancelled: for leaving nothing behind. */
  cleanup<T>(name: string, work: () => Promise<T>): Promise<T>;
  /**
   * Waits for the next message sent by `Engine.send`; null when none came in time. Throws OperationCancelled when
   * the operation is cancelled meanwhile.
   */
  receive<T>(timeoutSeconds: number): Promise<T | null>;
}

/** A durable workflow. `input` is stored by the engine, so it names things and holds no secrets. */
export interface Workflow<Input> {
  /** Stable name, with a version suffix when its steps change incompatibly. */
  name: string;
  /** Runs to its end through crashes. What it throws ends the operation as failed (or cancelled). */
  run(context: WorkflowContext, input: Input): Promise<void>;
}

/** The operation was cancelled; thrown by steps so that a workflow may clean up and end. */
export class OperationCancelled extends Error {
  constructor() {
    super('the operation was cancelled');
    this.name = 'OperationCancelled';
  }
}

/** Another instance has taken the work over: this one must neither act nor record anything about it any more. */
export class LeaseLost extends Error {
  constructor() {
    super('another instance has taken this work over');
    this.name = 'LeaseLost';
  }
}

/** The durable engine as features see it; an injectable class of the same shape is provided by EngineModule. */
export abstract class Engine {
  /** Makes the workflow known; call from a provider's constructor or onModuleInit, before the engine launches. */
  abstract register<Input>(workflow: Workflow<Input>): void;
  /** Starts (or finds, when `operationId` was started before) the workflow. Returns once it is durable. */
  abstract start<Input>(workflow: Workflow<Input>, operationId: string, input: Input): Promise<void>;
  /** Leaves a message for the workflow; kept until it is received. */
  abstract send(operationId: string, message: unknown): Promise<void>;
  /**
   * Asks the workflow to stop: its signal aborts, its next step does not begin, its clean-up does. Also of an operation
   * whose workflow was not started (yet).
   */
  abstract cancel(operationId: string): Promise<void>;
  /**
   * Removes the records of workflows that have ended. Answers the operations of which nothing is left, those that
   * never had a workflow included; one whose workflow is not over is kept and left out.
   */
  abstract forgetEnded(operationIds: string[]): Promise<string[]>;
}
