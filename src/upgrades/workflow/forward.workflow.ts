import { Injectable } from '@nestjs/common';
import { problemDocument } from '../../engine/dbos-context.js';
import { Problem } from '../../problems/problem.js';
import { Engine, OperationCancelled, type Workflow, type WorkflowContext } from '../../engine/engine.js';
import { Operations } from '../../operations/operations.js';
import { COPY_STEPS, FENCED_STEPS, OPEN_STEPS, PREPARE_STEPS, SWITCHED_STEPS, VERIFY_STEPS } from '../steps/index.js';
import { preSwitchoverStep } from '../steps/pre-switchover.step.js';
import { UpgradeRepository } from '../upgrade.repository.js';
import type { Gate } from '../upgrade-request.js';
import { GateWatch } from './gate-watch.js';
import { StepRunner } from './step-runner.js';
import type { UpgradeRun } from './upgrade-run.js';
import { UpgradeRuns } from './upgrade-runs.js';

export interface UpgradeInput {
  name: string;
}

export interface GateMessage {
  approve: Gate;
}

/** While a gate is waited for, the upgrade looks after itself this often. */
const WATCH_EVERY_SECONDS = 60;

/** From preflight to the opened target. Ends `switched`; or blocked, failed, or cancelled for an abort. */
@Injectable()
export class ForwardWorkflow implements Workflow<UpgradeInput> {
  readonly name = 'upgrade.forward.v1';
  private readonly watches = new WeakMap<UpgradeRun, GateWatch>();

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
      await this.carry(context, run, new StepRunner(context, run, this.repository));
    } catch (error) {
      if (!(error instanceof OperationCancelled)) await this.recordFailure(context, name, error);
      throw error;
    } finally {
      await this.runs.close(run);
    }
  }

  private async carry(context: WorkflowContext, run: UpgradeRun, runner: StepRunner): Promise<void> {
    // A target that was opened, or was about to be, is not fenced again: what is left to do follows the opening.
    const opening = await context.step('opening', () => this.isOpening(run.name));
    if (opening) for (const step of OPEN_STEPS) await runner.step(step);
    else {
      // What an earlier attempt could not take back is taken back before anything else, and before anybody is asked.
      await this.takeBack(context, run, runner, 0, null);
      for (const step of PREPARE_STEPS) await runner.step(step);
      // A copy that was begun has been approved.
      const copies = await context.step('copy-begun', () => this.isCopyBegun(run.name));
      if (!copies && run.request.gates.includes('copy')) await this.gate(context, run, runner, 'copy', 1);
      for (const step of COPY_STEPS) await runner.step(step);
      for (const step of VERIFY_STEPS) await runner.step(step);
      for (let pass = 1; !(await this.switchOver(context, run, runner, pass)); pass++);
    }
    for (const step of SWITCHED_STEPS) await runner.step(step);
    await context.step('succeed', async () => {
      await this.repository.patch(run.name, { phase: 'switched', problem: null });
      await this.operations.succeed(context.operationId, { name: run.name, phase: 'switched' });
    });
  }

  /** One passage through the fence. False: it was taken back, and the gate is awaited again with the reason. */
  private async switchOver(
    context: WorkflowContext,
    run: UpgradeRun,
    runner: StepRunner,
    pass: number,
  ): Promise<boolean> {
    if (pass > 1 || run.request.gates.includes('switchover')) await this.gate(context, run, runner, 'switchover', pass);
    try {
      await runner.step(preSwitchoverStep, pass);
      for (const step of FENCED_STEPS) await runner.step(step, pass);
      await context.step(`point-of-no-return#${pass}`, async () => {
        if (!(await run.passPointOfNoReturn())) throw new Problem('CONFLICT', 'an abort was asked for');
      });
    } catch (error) {
      if (error instanceof OperationCancelled) throw error;
      await this.takeBack(context, run, runner, pass, error);
      return false;
    }
    for (const step of OPEN_STEPS) await runner.step(step, pass);
    return true;
  }

  /** Lowers the fence in reverse order, so that the source is written to again as before. */
  private async takeBack(
    context: WorkflowContext,
    run: UpgradeRun,
    runner: StepRunner,
    pass: number,
    error: unknown,
  ): Promise<void> {
    // The fence first: writers wait for nothing else.
    const steps = [...FENCED_STEPS].sort((a, b) => Number(b.name === 'fence') - Number(a.name === 'fence'));
    for (const step of steps) await runner.undo(step, pass);
    await context.cleanup(`taken-back#${pass}`, async () => {
      await this.repository.resetSteps(
        run.name,
        [preSwitchoverStep, ...FENCED_STEPS].map((step) => step.name),
      );
      if (error !== null) await this.repository.patch(run.name, { problem: problemDocument(error) });
    });
  }

  private async gate(
    context: WorkflowContext,
    run: UpgradeRun,
    runner: StepRunner,
    gate: Gate,
    pass: number,
  ): Promise<void> {
    await context.step(`await-${gate}#${pass}`, async () => {
      await this.repository.awaitGate(run.name, gate);
      await this.operations.state(context.operationId, 'waiting');
      await run.progress(`awaiting approval of ${gate}`);
    });
    for (let watch = 1; ; watch++) {
      // The message only wakes: the database says what was decided, whatever crashed or came late in between.
      await context.receive<GateMessage>(WATCH_EVERY_SECONDS);
      const approved = await context.step(`watch-${gate}#${pass}.${watch}`, async () => {
        const now = await this.repository.find(run.name);
        if (now?.abortRequestedAt) throw new OperationCancelled();
        if (now?.awaiting !== gate) return true;
        if (gate === 'switchover') await this.look(run);
        return false;
      });
      if (approved) break;
    }
    await context.step(`approved-${gate}#${pass}`, () => this.operations.state(context.operationId, 'running'));
  }

  private async look(run: UpgradeRun): Promise<void> {
    const watch = this.watches.get(run) ?? new GateWatch(run, this.repository);
    this.watches.set(run, watch);
    await watch.look();
  }

  private async isCopyBegun(name: string): Promise<boolean> {
    return (await this.repository.stepState(name, COPY_STEPS[0]!.name)) === 'done';
  }

  private async isOpening(name: string): Promise<boolean> {
    return (await this.repository.find(name))?.openingAt instanceof Date;
  }

  private async recordFailure(context: WorkflowContext, name: string, error: unknown): Promise<void> {
    await context.cleanup('upgrade-failed', async () => {
      const upgrade = await this.repository.find(name);
      const problem = problemDocument(error);
      // Once the target is open it stays open: what failed is the tidying up, which a retry repeats.
      const phase = upgrade?.openingAt ? 'switched' : problem.code === 'PRECONDITION_FAILED' ? 'blocked' : 'failed';
      await this.repository.patch(name, { phase, problem, awaiting: null }, context.operationId);
    });
  }
}
