import { setTimeout as delay } from 'node:timers/promises';
import { failpoint } from '../../engine/failpoints.js';
import { LeaseLost, OperationCancelled, type WorkflowContext } from '../../engine/engine.js';
import { problemDocument } from '../../engine/dbos-context.js';
import { Problem } from '../../problems/problem.js';
import type { UpgradeRepository } from '../upgrade.repository.js';
import type { UpgradeRun } from './upgrade-run.js';
import type { UpgradeStep } from './step.js';

/** Outside the fence a server that went away is waited for; inside it, every moment counts and the step fails. */
const RETRY_FOR_MS = 120_000;
/** Taking back a fence must not give up lightly: until it succeeds nobody can write. */
const UNDO_RETRY_FOR_MS = 600_000;
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
      if ((await this.repository.stepState(this.run.name, step.name)) === 'done') return;
      const upgrade = await this.repository.find(this.run.name);
      if (upgrade && upgrade.phase !== step.phase) await this.repository.patch(this.run.name, { phase: step.phase });
      await this.repository.setStep(this.run.name, step.name, 'running', null);
      await failpoint(`upgrade.${step.name}.begin`);
      try {
        const detail = await this.retrying(retryForMs(step), () => step.run(this.run));
        await failpoint(`upgrade.${step.name}.acted`);
        await this.run.audit(step.name, 'succeeded', detail);
        await this.repository.setStep(this.run.name, step.name, 'done', detail);
      } catch (error) {
        if (this.run.signal.aborted) throw error;
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
  async undo(step: UpgradeStep, pass = 1): Promise<void> {
    if (!step.undo) return;
    await this.context.cleanup(pass === 1 ? `undo-${step.name}` : `undo-${step.name}#${pass}`, async () => {
      if ((await this.repository.stepState(this.run.name, step.name)) === 'pending') return;
      await failpoint(`upgrade.undo-${step.name}.begin`);
      const detail = await this.retrying(UNDO_RETRY_FOR_MS, () => step.undo!(this.run));
      await failpoint(`upgrade.undo-${step.name}.acted`);
      await this.run.audit(`undo-${step.name}`, 'succeeded', detail ?? {});
      await this.repository.setStep(this.run.name, step.name, 'undone', detail);
    });
  }

  private async retrying<T>(forMs: number, work: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + forMs;
    for (let wait = FIRST_DELAY_MS; ; wait = Math.min(wait * 2, LONGEST_DELAY_MS)) {
      try {
        return await work();
      } catch (error) {
        if (error instanceof OperationCancelled || error instanceof LeaseLost || this.run.signal.aborted) throw error;
        if (!isPassing(error) || Date.now() + wait > deadline) throw error;
        await this.run.progress(`waiting to try again: ${(error as Problem).detail}`);
        await delay(wait, undefined, { signal: this.run.signal });
      }
    }
  }
}

function retryForMs(step: UpgradeStep): number {
  return step.retryForMs ?? (step.phase === 'switchover' ? 0 : RETRY_FOR_MS);
}

/** Connections that break and servers that restart come back; a refused statement does not change by itself. */
function isPassing(error: unknown): boolean {
  return error instanceof Problem && (error.code === 'SERVER_UNREACHABLE' || error.options.sqlstate === '53300');
}
