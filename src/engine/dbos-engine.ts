import { DBOS, Error as DbosErrors } from '@dbos-inc/dbos-sdk';
import {
  type BeforeApplicationShutdown,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { Config } from '../config/config.js';
import { outsideRequest } from '../observability/request-context.js';
import { Operations } from '../operations/operations.js';
import { Problem } from '../problems/problem.js';
import { StateDatabase } from '../storage/state-database.js';
import { Cancellations } from './cancellation.repository.js';
import { Engine, OperationCancelled, type Workflow } from './engine.js';
import { Instances } from './instance.repository.js';
import { CANCEL_MESSAGE, DbosContext, isForNextCarrier, never, problemDocument } from './dbos-context.js';

/** Fixed, so that a workflow begun by an older release is continued by this one: steps are named, never reordered. */
const APPLICATION_VERSION = 'lockstep';
/** Crashing is normal for us; a workflow is given up by people, not by a counter. */
const MAX_RECOVERY_ATTEMPTS = 1_000_000;
const CANCEL_POLL_MS = 300;
/** How long running steps get to reach their end at shutdown, and then, told to stop, to leave. */
const FINISH_WITHIN_MS = 4_000;
const LEAVE_WITHIN_MS = 3_000;

/** Durable workflows on DBOS Transact, in schema `dbos` of our own database. One per process. */
@Injectable()
export class DbosEngine
  extends Engine
  implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown
{
  private readonly log = new Logger('engine');
  private readonly starters = new Map<string, (input: unknown, operationId: string) => Promise<unknown>>();
  private readonly running = new Map<string, AbortController>();
  private readonly timers: NodeJS.Timeout[] = [];
  /** Operations that are ours and that nothing here carries; at two looks in a row: left, not just being begun. */
  private idle = new Set<string>();
  private stopping = false;
  private launched = false;

  constructor(
    private readonly state: StateDatabase,
    private readonly cancellations: Cancellations,
    private readonly instances: Instances,
    private readonly operations: Operations,
    private readonly config: Config,
  ) {
    super();
  }

  register<Input>(workflow: Workflow<Input>): void {
    if (this.launched) throw new Error(`workflow ${workflow.name} was registered after the engine launched`);
    const durable = DBOS.registerWorkflow((input: Input) => this.carryOut(workflow, input), {
      name: workflow.name,
      maxRecoveryAttempts: MAX_RECOVERY_ATTEMPTS,
    });
    this.starters.set(workflow.name, (input, operationId) =>
      outsideRequest(() => DBOS.startWorkflow(durable, { workflowID: operationId })(input as Input)),
    );
  }

  async start<Input>(workflow: Workflow<Input>, operationId: string, input: Input): Promise<void> {
    const starter = this.starters.get(workflow.name);
    if (!starter) throw new Error(`workflow ${workflow.name} is not registered`);
    await starter(input, operationId);
  }

  async send(operationId: string, message: unknown): Promise<void> {
    await DBOS.send(operationId, message);
  }

  async cancel(operationId: string): Promise<void> {
    await this.cancellations.request(operationId);
    this.running.get(operationId)?.abort(new OperationCancelled());
    try {
      await DBOS.send(operationId, CANCEL_MESSAGE);
    } catch (error) {
      // A crash before its workflow was started left none to wake; one that starts yet finds the row above.
      if (!(error instanceof DbosErrors.DBOSNonExistentWorkflowError)) throw error;
    }
  }

  async forgetEnded(operationIds: string[]): Promise<string[]> {
    if (operationIds.length === 0 || !this.ready) return [];
    const workflows = await DBOS.listWorkflows({ workflowIDs: operationIds, loadInput: false, loadOutput: false });
    const live = new Set(workflows.filter(({ status }) => isLive(status)).map(({ workflowID }) => workflowID));
    const ended = workflows.filter(({ status }) => !isLive(status)).map(({ workflowID }) => workflowID);
    if (ended.length > 0) await DBOS.deleteWorkflows(ended);
    return operationIds.filter((id) => !live.has(id));
  }

  get ready(): boolean {
    return this.launched && !this.stopping;
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.instances.join();
    DBOS.setConfig({
      name: 'lockstep',
      systemDatabaseUrl: this.state.url,
      systemDatabasePoolSize: 10,
      applicationVersion: APPLICATION_VERSION,
      executorID: this.instances.id,
      enableOTLP: false,
      logger: {
        info: () => {},
        debug: () => {},
        warn: (entry: unknown) => this.log.warn(textOf(entry)),
        error: (entry: unknown) => this.log.error(textOf(entry)),
      },
    });
    // Launching migrates the library's own schema.
    await this.state.migrating(() => DBOS.launch());
    this.launched = true;
    await this.takeOverDead();
    const every = Math.max(250, Math.floor(this.config.instanceTimeoutMs / 5));
    this.repeat(every, () => this.beat());
    // Apart from the beat, which must not come late for it.
    this.repeat(every, () => this.lookAround());
    this.repeat(CANCEL_POLL_MS, () => this.pollCancellations());
  }

  /** Stops taking work and lets running steps reach a checkpoint; what is cut off is resumed at the next start. */
  async beforeApplicationShutdown(): Promise<void> {
    this.stopping = true;
    for (const timer of this.timers) clearInterval(timer);
    await this.stepsEnded(FINISH_WITHIN_MS);
    for (const controller of this.running.values()) controller.abort(new Error('shutting down'));
    await this.stepsEnded(LEAVE_WITHIN_MS);
    if (this.launched) await DBOS.shutdown({ deregister: true, workflowCompletionTimeoutMS: 0 });
  }

  private async stepsEnded(within: number): Promise<void> {
    const deadline = Date.now() + within;
    while (this.stepsInFlight.size > 0 && Date.now() < deadline) await delay(20);
  }

  async onApplicationShutdown(): Promise<void> {
    if (this.launched) await this.instances.leave();
  }

  /** Steps whose work is still going on; shutdown waits for them a little. */
  private readonly stepsInFlight = new Set<symbol>();

  private async carryOut<Input>(workflow: Workflow<Input>, input: Input): Promise<void> {
    const operationId = DBOS.workflowID!;
    const controller = new AbortController();
    this.running.set(operationId, controller);
    if (this.stopping) controller.abort(new Error('shutting down'));
    if ((await this.cancellations.among([operationId]).catch(() => [])).length > 0)
      controller.abort(new OperationCancelled());
    const left = new AbortController();
    const leave = () => {
      left.abort();
      controller.abort(new Error('left to the next carrier'));
      this.forget(operationId, controller);
    };
    const [signal, shuttingDown] = [controller.signal, () => this.stopping];
    const context = new DbosContext(operationId, signal, left.signal, shuttingDown, this.stepsInFlight, leave);
    try {
      await context.cleanup('operation-running', () => this.operations.state(operationId, 'running'));
      await workflow.run(context, input);
    } catch (error) {
      if (!this.stopping && isForNextCarrier(error)) leave();
      if (this.stopping || left.signal.aborted) return await never();
      const cancelled = error instanceof OperationCancelled;
      if (!cancelled) this.log.error(`operation ${operationId} failed: ${textOf(error)}`);
      await context.cleanup('operation-ended', () =>
        cancelled ? this.operations.cancelled(operationId) : this.operations.fail(operationId, problemDocument(error)),
      );
    } finally {
      this.forget(operationId, controller);
    }
  }

  /** It may have been resumed here meanwhile: that run is another. */
  private forget(operationId: string, controller: AbortController): void {
    if (this.running.get(operationId) === controller) this.running.delete(operationId);
  }

  private async beat(): Promise<void> {
    if (!(await this.instances.heartbeat())) {
      // Others have taken our work over: nothing here may act any more, and there is no way to know how far it got.
      this.log.fatal('this instance was declared dead by the others (paused too long?); ending');
      this.stopping = true;
      for (const controller of this.running.values()) controller.abort(new Error('lease lost'));
      process.exit(70);
    }
  }

  private async lookAround(): Promise<void> {
    await this.takeOverDead();
    await this.endUnstarted();
  }

  /** A process that dies between storing an operation and starting its workflow leaves one that nobody carries. */
  private async endUnstarted(): Promise<void> {
    for (const id of await this.operations.neverBegun()) {
      if ((await DBOS.getWorkflowStatus(id)) !== null) continue;
      const problem = new Problem('NOT_READY', 'Lockstep ended before this was begun; nothing was done', {
        retryable: true,
      });
      await this.operations.fail(id, problem.toDocument());
    }
  }

  /**
   * Resumes what no living instance carries. Not only what the dead had when they were declared so: one that does not
   * know of it yet may begin more.
   */
  private async takeOverDead(): Promise<void> {
    await this.instances.reap(async (living) => {
      const pending = await DBOS.listWorkflows({ status: 'PENDING', loadInput: false, loadOutput: false });
      const mine = pending.filter(({ executorId }) => executorId === this.instances.id);
      const idle = mine.map(({ workflowID }) => workflowID).filter((id) => !this.running.has(id));
      const left = idle.filter((id) => this.idle.has(id));
      this.idle = new Set(idle);
      if (pending.length === 0) return;
      // Asked afterwards: whoever begins work has joined before.
      const alive = await living();
      const orphans = pending.filter(
        ({ executorId, workflowID }) => executorId === undefined || !alive.has(executorId) || left.includes(workflowID),
      );
      if (orphans.length === 0) return;
      this.log.warn(
        `taking over ${orphans.length} operations of ${[...new Set(orphans.map((o) => o.executorId))].join()}`,
      );
      await DBOS.resumeWorkflows(orphans.map(({ workflowID }) => workflowID));
    });
  }

  private async pollCancellations(): Promise<void> {
    for (const id of await this.cancellations.among([...this.running.keys()])) {
      this.running.get(id)?.abort(new OperationCancelled());
    }
  }

  /** Every `ms`, never two at once; a failure is logged and the next round tries again. */
  private repeat(ms: number, work: () => Promise<void>): void {
    let busy = false;
    const timer = setInterval(() => {
      if (busy || this.stopping) return;
      busy = true;
      work()
        .catch((error: unknown) => this.log.error(`engine housekeeping failed: ${textOf(error)}`))
        .finally(() => (busy = false));
    }, ms);
    timer.unref();
    this.timers.push(timer);
  }
}

function isLive(status: string): boolean {
  return !['SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'].includes(status);
}

function textOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  return typeof error === 'string' ? error : JSON.stringify(error);
}
