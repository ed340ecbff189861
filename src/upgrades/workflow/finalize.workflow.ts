import { Injectable } from '@nestjs/common';
import { problemDocument } from '../../engine/dbos-context.js';
import { Engine, type Workflow, type WorkflowContext } from '../../engine/engine.js';
import { Operations } from '../../operations/operations.js';
import { finalizeStep } from '../steps/finalize.steps.js';
import { UpgradeRepository } from '../upgrade.repository.js';
import type { UpgradeInput } from './forward.workflow.js';
import { StepRunner } from './step-runner.js';
import { UpgradeRuns } from './upgrade-runs.js';

/** Ends an upgrade that stays: the way back and everything made for it goes. */
@Injectable()
export class FinalizeWorkflow implements Workflow<UpgradeInput> {
  readonly name = 'upgrade.finalize.v1';

  constructor(
    engine: Engine,
    private readonly runs: UpgradeRuns,
    private readonly repository: UpgradeRepository,
    private readonly operations: Operations,
  ) {
    engine.register(this);
  }

  async run(context: WorkflowContext, { name }: UpgradeInput): Promise<void> {
    const run = await this.runs.open(name, context);
    try {
      await new StepRunner(context, run, this.repository).step(finalizeStep);
      await context.step('finalized', async () => {
        await this.repository.patch(name, { phase: 'finalized', problem: null });
        await this.operations.succeed(context.operationId, {
          name,
          phase: 'finalized',
          left: run.facts.leftovers ?? [],
        });
      });
    } catch (error) {
      await context.cleanup('finalize-failed', () =>
        this.repository.patch(name, { problem: problemDocument(error) }, context.operationId),
      );
      throw error;
    } finally {
      await this.runs.close(run);
    }
  }
}
