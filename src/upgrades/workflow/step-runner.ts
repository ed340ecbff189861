import { setTimeout as delay } from 'node:timers/promises';
import { failpoint } from '../../engine/failpoints.js';
import { LeaseLost, OperationCancelled, type WorkflowContext } from '../../engine/engine.js';
import { problemDocument } from '../../engine/dbos-context.js';
import { Problem } from '../../problems/problem.js';
import { isStateAway } from '../../problems/state-away.js';
import type { UpgradeRepository } from '../upgrade.repository.js';
import type { UpgradeRun } from './upgrade-run.js';
import type { UpgradeStep } from './step.js';

/** Outside the fence a server that went away is waited for; inside it, every moment counts and the step fails. */
const RETRY_FOR_MS = 120_000;
/** Taking back a fence must not give up lightly: until it succeeds nobody can write. */
const UNDO_RETRY_FOR_MS = 600_000;
/** Beyond the fence's and the drain's own deadlines. */
const BOUNDED_MARGIN_MS = 30_000;
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 5_000;

/** Runs steps of an upgrade durably, with their place in the journal that callers see. */
export class StepRunner {
  constructor(
    private readonly context: WorkflowContext,
    private readonly run: UpgradeRun,
    private readonly repository: UpgradeRepository,
  ) {}

  /** @param pass tells repetitions of the same step within one workflow apart */
  async step(step: UpgradeStep, pass = 1): Promise<void> {
    await this.context.step(pass === 1 ? step.name : `${step.name}#${pass}`, async () => {
      await this.stillOurs();
      const before = await this.repository.stepState(this.run.name, step.name);
      if (before === 'done' || before === 'skipped') return;
      const upgrade = await this.repository.find(this.run.name);
      if (upgrade && upgrade.phase !== step.phase) await this.repository.patch(this.run.name, { phase: step.phase });
      await this.repository.setStep(this.run.name, step.name, 'running', null);
      try {
        await failpoint(`upgrade.${step.name}.begin`);
        const passing = step.retryForMs ? isUndecided : isPassing;
        const detail = await this.retrying(
          retryForMs(step),
          () => this.bounded(step, () => step.run(this.run)),
          passing,
        );
        await failpoint(`upgrade.${step.name}.acted`);
        await this.run.audit(step.name, 'succeeded', detail);
        await this.repository.setStep(this.run.name, step.name, 'skipped' in detail ? 'skipped' : 'done', detail);
      } catch (error) {
        // Our own database being away is no failure of the step: it is waited for, and the step is run again.
        if (this.run.signal.aborted || isStateAway(error) || error instanceof LeaseLost) throw error;
        await this.stillOurs();
        // A session ended under us may have been ended by whoever acts in our place now.
        if (!(await this.run.leaseHeld())) throw new LeaseLost();
        const problem = problemDocument(error);
        await this.run.audit(step.name, 'failed', { problem });
        await this.repository.setStep(this.run.name, step.name, 'failed', { problem });
        throw error;
      }
      await failpoint(`upgrade.${step.name}.done`);
    });
  }

  /** Undoes a step, finished or not. What had nothing to undo stays as it is. */
  async undo(step: UpgradeStep, pass = 1, retryForMs = UNDO_RETRY_FOR_MS): Promise<void> {
    if (!step.undo) return;
    await this.context.cleanup(pass === 1 ? `undo-${step.name}` : `undo-${step.name}#${pass}`, async () => {
      await this.stillOurs();
      const due = (await this.repository.stepState(this.run.name, step.name)) === 'pending';
      if (due && !step.remains?.(this.run.facts)) return;
      await failpoint(`upgrade.undo-${step.name}.begin`);
      // Whatever stands in the way may pass; giving up would leave writers barred or objects behind.
      const undoing = this.retrying(retryForMs, () => this.bounded(step, () => step.undo!(this.run)), isAny);
      const detail = await undoing.catch(async (error: unknown) => {
        await this.stillOurs();
        throw error;
      });
      await failpoint(`upgrade.undo-${step.name}.acted`);
      await this.run.audit(`undo-${step.name}`, 'succeeded', detail ?? {});
      await this.repository.setStep(this.run.name, step.name, 'undone', detail);
    });
  }

  /**
   * Another operation may have been begun on the upgrade while this one was cut off: it alone acts from then on, and this
   * one ends without touching anything more.
   */
  private async stillOurs(): Promise<void> {
    const upgrade = await this.repository.find(this.run.name);
    if (upgrade?.operationId !== this.run.operationId) throw new OperationCancelled();
  }

  /**
   * A server that vanishes without a word leaves a statement waiting for the kernel's time-outs. Inside a fence that is
   * too long: the sessions are dropped, which ends the wait, and the step fails.
   */
  private async bounded<T>(step: UpgradeStep, work: () => Promise<T>): Promise<T> {
    if (step.retryForMs === undefined && step.phase !== 'switchover') return await work();
    const { fenceMs, drainMs } = this.run.request.deadlines;
    const limit = fenceMs + drainMs + BOUNDED_MARGIN_MS;
    let timer: NodeJS.Timeout | undefined;
    const expired = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.run.dropSessions();
        reject(new Problem('SERVER_TIMEOUT', `${step.name} did not end within ${limit} ms`));
      }, limit);
    });
    try {
      return await Promise.race([work(), expired]);
    } finally {
      clearTimeout(timer);
    }
  }

  private async retrying<T>(
    forMs: number,
    work: () => Promise<T>,
    passing: (error: unknown) => boolean = isPassing,
  ): Promise<T> {
    const deadline = Date.now() + forMs;
    for (let wait = FIRST_DELAY_MS; ; wait = Math.min(wait * 2, LONGEST_DELAY_MS)) {
      try {
        return await work();
      } catch (error) {
        if (error instanceof OperationCancelled || error instanceof LeaseLost || this.run.signal.aborted) throw error;
        if (!passing(error) || Date.now() + wait > deadline) throw error;
        const reason = error instanceof Error ? error.message : String(error);
        // Telling of it is not worth failing for.
        await this.run.progress(`waiting to try again: ${reason}`).catch(() => {});
        await delay(wait, undefined, { signal: this.run.signal });
      }
    }
  }
}

function retryForMs(step: UpgradeStep): number {
  return step.retryForMs ?? (step.phase === 'switchover' ? 0 : RETRY_FOR_MS);
}

function isAny(error: unknown): boolean {
  return !(error instanceof Problem && error.options.extra?.left !== undefined);
}

/**
 * Where neither side is open, whatever stands in the way (somebody alters a role just then, a privilege was taken) may
 * pass; not what the step itself decided.
 */
function isUndecided(error: unknown): boolean {
  return !(error instanceof Problem && error.code === 'CONFLICT' && !error.retryable);
}

/** Connections that break and servers that restart come back; a refused statement does not change by itself. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof Problem && error.retryable && (error.code.startsWith('SERVER_') || error.code === 'LIMIT_REACHED')
  );
}
