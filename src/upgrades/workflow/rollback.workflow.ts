import { Injectable } from '@nestjs/common';
import { problemDocument } from '../../engine/dbos-context.js';
import { Engine, OperationCancelled, type Workflow, type WorkflowContext } from '../../engine/engine.js';
import { Operations } from '../../operations/operations.js';
import { ROLLBACK_FENCED_STEPS, ROLLBACK_OPEN_STEPS } from '../steps/rollback.steps.js';
import { UpgradeRepository } from '../upgrade.repository.js';
import type { UpgradeInput } from './forward.workflow.js';
import { StepRunner } from './step-runner.js';
import type { UpgradeRun } from './upgrade-run.js';
import { UpgradeRuns } from './upgrade-runs.js';

/** Brings traffic back to the source with every write made on the target. */
@Injectable()
export class RollbackWorkflow implements Workflow<UpgradeInput> {
  readonly name = 'upgrade.rollback.v1';

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
      const runner = new StepRunner(context, run, this.repository);
      // Both links are turned: there is only forward, with what was decided and shown on the way here.
      if (!(await context.step('turned', () => this.isTurned(name)))) {
        // What an earlier attempt could not take back is taken back first: the target may still be fenced.
        await this.takeBack(context, run, runner, 0);
        await context.step('rollback-asked', () => run.rollbackVerification());
        await this.fenced(context, run, runner);
      }
      for (const step of ROLLBACK_OPEN_STEPS) await runner.step(step);
      await context.step('rolled-back', async () => {
        await this.repository.patch(name, { phase: 'rolled-back', problem: null, openingAt: null });
        await this.operations.succeed(context.operationId, { name, phase: 'rolled-back', ...run.facts.rollback });
      });
    } catch (error) {
      if (!(error instanceof OperationCancelled)) {
        await context.cleanup('rollback-failed', async () => {
          // Once both links are turned there is no going back to the target; another rollback goes on from here.
          const phase = (await this.isTurned(name)) ? 'rolling-back' : 'switched';
          await this.repository.patch(name, { phase, problem: problemDocument(error) }, context.operationId);
        });
      }
      throw error;
    } finally {
      await this.runs.close(run);
    }
  }

  /** Up to here nothing is decided: a failure opens the target again, and the reverse link goes on. */
  private async fenced(context: WorkflowContext, run: UpgradeRun, runner: StepRunner): Promise<void> {
    try {
      for (const step of ROLLBACK_FENCED_STEPS) await runner.step(step);
    } catch (error) {
      if (error instanceof OperationCancelled) throw error;
      await this.takeBack(context, run, runner, 1);
      throw error;
    }
  }

  private async takeBack(context: WorkflowContext, run: UpgradeRun, runner: StepRunner, pass: number): Promise<void> {
    // The fence first: the back slot keeps whatever is written from then on.
    const undone = [...ROLLBACK_FENCED_STEPS]
      .reverse()
      .sort((a, b) => Number(b.name === 'rollback-fence') - Number(a.name === 'rollback-fence'));
    for (const step of undone) await runner.undo(step, pass);
    await context.cleanup(`rollback-taken-back#${pass}`, () =>
      this.repository.resetSteps(
        run.name,
        ROLLBACK_FENCED_STEPS.map((step) => step.name),
      ),
    );
  }

  private async isTurned(name: string): Promise<boolean> {
    return (await this.repository.stepState(name, 'rollback-turn')) === 'done';
  }
}
