import { Injectable } from '@nestjs/common';
import { problemDocument } from '../../engine/dbos-context.js';
import { Engine, OperationCancelled, type Workflow, type WorkflowContext } from '../../engine/engine.js';
import { Problem } from '../../problems/problem.js';
import { Operations } from '../../operations/operations.js';
import { ABORT_ORDER } from '../steps/index.js';
import { UpgradeReadiness } from '../upgrade-readiness.js';
import { UpgradeRepository } from '../upgrade.repository.js';
import { earlierEnded } from './earlier-operation.js';
import { leftBehind } from './left-behind.js';
import type { Side } from './step.js';
import { StepRunner } from './step-runner.js';
import type { UpgradeRun } from './upgrade-run.js';
import { UpgradeRuns } from './upgrade-runs.js';

export interface AbortInput {
  name: string;
  /** The operation that carried the upgrade until now; it must have ended before anything is undone. */
  forwardOperationId: string;
  /** An abort that this one takes the place of; the same goes for it. */
  earlierAbortId?: string;
  /** The side that is lost or out of reach: nothing is done there, and what stays is named. */
  leave?: Side;
}

/** After one undo has waited long for a server, the others do not wait for it as long again. */
const BRIEFLY_MS = 5_000;

/**
 * Puts both servers back as they were before the upgrade: every step's undo, the fence first, then in reverse. One that
 * fails keeps none of the others back: what can be taken away is, above all the slots of the source.
 */
@Injectable()
export class AbortWorkflow implements Workflow<AbortInput> {
  readonly name = 'upgrade.abort.v1';

  constructor(
    engine: Engine,
    private readonly runs: UpgradeRuns,
    private readonly repository: UpgradeRepository,
    private readonly operations: Operations,
    private readonly readiness: UpgradeReadiness,
  ) {
    engine.register(this);
  }

  async run(context: WorkflowContext, input: AbortInput): Promise<void> {
    const { name, forwardOperationId, earlierAbortId, leave } = input;
    let run: UpgradeRun | null = null;
    try {
      await this.ended(context, 'forward-ended', forwardOperationId);
      if (earlierAbortId !== undefined) await this.ended(context, 'earlier-abort-ended', earlierAbortId);
      // Again, now that nothing else acts: what came before may have opened the source.
      if (leave === 'source') await context.step('source-is-shut', () => this.readiness.refuseOpenSource(name));
      // Only now: what is to be undone may be recorded until the very end of what carried the upgrade.
      const opened = await this.runs.open(name, context);
      run = opened;
      run.leave = leave ?? null;
      await this.undoAll(new StepRunner(context, run, this.repository));
      await context.step('aborted', () => this.aborted(context, opened));
    } catch (error) {
      if (!(error instanceof OperationCancelled)) {
        await context.cleanup('abort-failed', () =>
          this.repository.patch(name, { phase: 'failed', problem: problemDocument(error) }, context.operationId),
        );
      }
      throw error;
    } finally {
      if (run) await this.runs.close(run);
    }
  }

  /** Rejects at the end with the first failure. What would have had to be done on a side that is left is none. */
  private async undoAll(runner: StepRunner): Promise<void> {
    const failures: Problem[] = [];
    for (const step of ABORT_ORDER) {
      try {
        await (failures.length === 0 ? runner.undo(step) : runner.undo(step, 1, BRIEFLY_MS));
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        if (error.options.extra?.left === undefined) failures.push(error);
      }
    }
    const [first] = failures;
    if (!first) return;
    const away = ['SERVER_UNREACHABLE', 'SERVER_TIMEOUT'].includes(first.code);
    throw new Problem(first.code, `${failures.length} of the steps could not be undone: ${first.detail}`, {
      ...first.options,
      ...(away
        ? {
            hint:
              'Everything else was undone. Abort again once the server answers; or, where it is lost, with ' +
              '{"leave": "target"} (or "source"): nothing is done there then, and what stays is named. With "source" the ' +
              'target’s rows and roles stay, too: they may be the only copy.',
          }
        : {}),
    });
  }

  private async aborted(context: WorkflowContext, run: UpgradeRun): Promise<void> {
    const leftovers = [...(run.facts.leftovers ?? []), ...(run.leave === null ? [] : leftBehind(run, run.leave))];
    await run.record({ leftovers: [...new Set(leftovers)] });
    const writeTo = run.leave === 'source' ? null : 'source';
    const patch = { phase: 'aborted' as const, awaiting: null, writeTo, problem: null } as const;
    await this.repository.patch(run.name, patch, context.operationId);
    await this.operations.succeed(context.operationId, { name: run.name, phase: 'aborted', leftovers });
  }

  private async ended(context: WorkflowContext, what: string, operationId: string): Promise<void> {
    await earlierEnded(context, this.operations, what, operationId);
  }
}
