import { Injectable } from '@nestjs/common';
import { problemDocument } from '../../engine/dbos-context.js';
import { Engine, OperationCancelled, type Workflow, type WorkflowContext } from '../../engine/engine.js';
import { Problem } from '../../problems/problem.js';
import { Operations } from '../../operations/operations.js';
import { ABORT_ORDER } from '../steps/index.js';
import { UpgradeRepository } from '../upgrade.repository.js';
import { StepRunner } from './step-runner.js';
import { UpgradeRuns } from './upgrade-runs.js';

export interface AbortInput {
  name: string;
  /** The operation that carried the upgrade until now; it must have ended before anything is undone. */
  forwardOperationId: string;
}

const FORWARD_ENDS_WITHIN_SECONDS = 600;

/** Puts both servers back as they were before the upgrade: every step's undo, the fence first, then in reverse. */
@Injectable()
export class AbortWorkflow implements Workflow<AbortInput> {
  readonly name = 'upgrade.abort.v1';

  constructor(
    engine: Engine,
    private readonly runs: UpgradeRuns,
    private readonly repository: UpgradeRepository,
    private readonly operations: Operations,
  ) {
    engine.register(this);
  }

  async run(context: WorkflowContext, { name, forwardOperationId }: AbortInput): Promise<void> {
    const run = await this.runs.open(name, context);
    try {
      await this.forwardEnded(context, forwardOperationId);
      const runner = new StepRunner(context, run, this.repository);
      for (const step of ABORT_ORDER) await runner.undo(step);
      await context.step('aborted', async () => {
        const leftovers = run.facts.leftovers ?? [];
        await this.repository.patch(name, { phase: 'aborted', awaiting: null, writeTo: 'source', problem: null });
        await this.operations.succeed(context.operationId, { name, phase: 'aborted', leftovers });
      });
    } catch (error) {
      if (!(error instanceof OperationCancelled)) {
        await context.cleanup('abort-failed', () =>
          this.repository.patch(name, { phase: 'failed', problem: problemDocument(error) }),
        );
      }
      throw error;
    } finally {
      await this.runs.close(run);
    }
  }

  /** It was cancelled; its instance may still have to notice, or be taken over first. */
  private async forwardEnded(context: WorkflowContext, operationId: string): Promise<void> {
    for (let look = 1; look <= FORWARD_ENDS_WITHIN_SECONDS; look++) {
      const ended = await context.step(`forward-ended.${look}`, () => this.operations.hasEnded(operationId));
      if (ended) return;
      await context.receive(1);
    }
    throw new Problem('CONFLICT', 'the upgrade that is to be aborted does not stop', {
      hint: 'Another instance may still be carrying it; see GET /v1/operations. Then abort again.',
      retryable: true,
    });
  }
}
