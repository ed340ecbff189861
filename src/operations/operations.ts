export type OperationState = 'queued' | 'running' | 'waiting' | 'succeeded' | 'failed' | 'cancelled';

export interface OperationProgress {
  /** 0 to 100, or null where it cannot be known. */
  percent: number | null;
  message: string;
  etaSeconds: number | null;
}

/**
 * Read and write side of operations for features; provided by OperationsModule (class OperationsService).
 * Every call writes Lockstep's own tables and appends an event that `GET /v1/operations/{id}/events` streams.
 */
export abstract class Operations {
  /** Creates the operation in state `queued`; the id is a UUID unless given. */
  abstract create(input: { id?: string; kind: string; subject: { type: string; id: string } }): Promise<string>;
  /** Whether it has succeeded, failed or been cancelled; an unknown one counts as ended. */
  abstract hasEnded(id: string): Promise<boolean>;
  /** Operations that were created a while ago and never begun: candidates for having lost their start to a crash. */
  abstract neverBegun(): Promise<string[]>;
  abstract progress(id: string, progress: OperationProgress): Promise<void>;
  /** Appends an event of a feature's own type, e.g. `step-finished`; `data` is JSON without secrets. */
  abstract event(id: string, type: string, data: Record<string, unknown>): Promise<void>;
  abstract state(id: string, state: 'running' | 'waiting'): Promise<void>;
  abstract succeed(id: string, result: Record<string, unknown>): Promise<void>;
  /** `problem` is a problem document (Problem.toDocument()). */
  abstract fail(id: string, problem: Record<string, unknown>): Promise<void>;
  abstract cancelled(id: string): Promise<void>;
}
