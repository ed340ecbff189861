import { Injectable } from '@nestjs/common';
import { problemDocument } from '../../engine/dbos-context.js';
import { Engine, OperationCancelled, type Workflow, type WorkflowContext } from '../../engine/engine.js';
import { Operations } from '../../operations/operations.js';
import { LEFT_SOURCE_STEPS, ROLLBACK_STEPS } from '../steps/rollback.steps.js';
import { UpgradeReadiness } from '../upgrade-readiness.js';
import { UpgradeRepository } from '../upgrade.repository.js';
import type { UpgradeInput } from './forward.workflow.js';
import { earlierEnded } from './earlier-operation.js';
import { StepRunner } from './step-runner.js';
import type { UpgradeRun } from './upgrade-run.js';
import { UpgradeRuns } from './upgrade-runs.js';

export interface LeaveSourceInput extends UpgradeInput {
  /** The rollback that this takes the place of; it must have ended, since it may still open the source. */
  rollbackId: string;
}

/**
 * The way out of a rollback whose source is lost once both links are turned: opens the target again, which has every row.
 * The source was not opened, so nothing was written there. Ends `switched`.
 */
@Injectable()
export class LeaveSourceWorkflow implements Workflow<LeaveSourceInput> {
  readonly name = 'upgrade.leave-source.v1';

  constructor(
    engine: Engine,
    private readonly runs: UpgradeRuns,
    private readonly repository: UpgradeRepository,
    private readonly readiness: UpgradeReadiness,
    private readonly operations: Operations,
  ) {
    engine.register(this);
  }

  async run(context: WorkflowContext, { name, rollbackId }: LeaveSourceInput): Promise<void> {
    try {
      await earlierEnded(context, this.operations, 'rollback-ended', rollbackId);
      // Again, now that nobody opens it any more: it may have answered for a moment meanwhile.
      await context.step('source-is-shut', async () => {
        await this.readiness.readyToLeaveSource(name);
      });
      // Only now: the facts are as the earlier operation left them.
      const run = await this.runs.open(name, context);
      run.leave = 'source';
      try {
        await this.openTarget(context, run);
      } finally {
        await this.runs.close(run);
      }
    } catch (error) {
      if (!(error instanceof OperationCancelled)) {
        await context.cleanup('leave-source-failed', () =>
          this.repository.patch(name, { problem: problemDocument(error) }, context.operationId),
        );
      }
      throw error;
    }
  }

  private async openTarget(context: WorkflowContext, run: UpgradeRun): Promise<void> {
    const runner = new StepRunner(context, run, this.repository);
    for (const step of LEFT_SOURCE_STEPS) await runner.undo(step);
    await context.cleanup('source-left', async () => {
      await this.repository.leaveRollback(
        run.name,
        ROLLBACK_STEPS.map((step) => step.name),
      );
      await this.repository.patch(run.name, { phase: 'switched', problem: null }, context.operationId);
      await this.operations.succeed(context.operationId, { name: run.name, phase: 'switched', left: 'source' });
    });
  }
}
