import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { cursorKey, type Page, pageOf } from '../api/page.js';
import { Engine } from '../engine/engine.js';
import { failpoint } from '../engine/failpoints.js';
import { Operations } from '../operations/operations.js';
import { registerSecret } from '../observability/redact.js';
import { withSession } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { SecretBox } from '../security/secret-box.js';
import { ServerUsage } from '../servers/server-usage.js';
import { ServersService } from '../servers/servers.service.js';
import type { PreflightResult } from './preflight/check.js';
import { replicationAddress } from './preflight/options.js';
import { runPreflight } from './preflight/preflight.service.js';
import { preflightOptionsOf } from './steps/preflight.step.js';
import { FORWARD_STEPS, FENCED_STEPS, OPEN_STEPS, SWITCHED_STEPS, VERIFY_STEPS } from './steps/index.js';
import { preSwitchoverStep } from './steps/pre-switchover.step.js';
import { ROLLBACK_STEPS } from './steps/rollback.steps.js';
import type { RollbackVerification, UpgradeFacts } from './facts.js';
import { Known } from './plan/known.js';
import {
  abortPlan,
  approvalPlan,
  finalizePlan,
  leaveSourcePlan,
  type PlannedStep,
  retryPlan,
  rollbackPlan,
  type UpgradePlan,
  wholePlan,
} from './plan/upgrade-plan.js';
import type { UpgradeEntity } from './upgrade.entity.js';
import { ABORTABLE, notAbortable, UpgradeReadiness } from './upgrade-readiness.js';
import { type StepRow, type UpgradeEvent, UpgradeRepository } from './upgrade.repository.js';
import type { Gate, UpgradePhase, UpgradeRequest } from './upgrade-request.js';
import { AbortWorkflow } from './workflow/abort.workflow.js';
import { FinalizeWorkflow } from './workflow/finalize.workflow.js';
import { ForwardWorkflow } from './workflow/forward.workflow.js';
import { LeaveSourceWorkflow } from './workflow/leave-source.workflow.js';
import { RollbackWorkflow } from './workflow/rollback.workflow.js';
import type { Side } from './workflow/step.js';

export type UpgradeSpec = UpgradeRequest & { writerPasswords: Record<string, string> };

/** What a retry after a rollback does again: the link is alive, so nothing is copied. */
const AFTER_ROLLBACK = [...VERIFY_STEPS, preSwitchoverStep, ...FENCED_STEPS, ...OPEN_STEPS, ...SWITCHED_STEPS];

/** Upgrades as callers drive them. Each action moves the upgrade only from a phase it fits, and starts a workflow. */
@Injectable()
export class UpgradesService {
  constructor(
    private readonly repository: UpgradeRepository,
    private readonly readiness: UpgradeReadiness,
    private readonly servers: ServersService,
    private readonly operations: Operations,
    private readonly engine: Engine,
    private readonly secrets: SecretBox,
    private readonly forward: ForwardWorkflow,
    private readonly aborting: AbortWorkflow,
    private readonly rollingBack: RollbackWorkflow,
    private readonly leavingSource: LeaveSourceWorkflow,
    private readonly finalizing: FinalizeWorkflow,
    usage: ServerUsage,
  ) {
    usage.register(async (server) =>
      (await repository.usesServer(server)).map((name) => `upgrade ${JSON.stringify(name)}`),
    );
  }

  /** The checks alone; changes nothing anywhere. */
  async preflight(spec: UpgradeSpec): Promise<PreflightResult[]> {
    const { source, target } = spec;
    const address = async (end: UpgradeRequest['source']) =>
      replicationAddress(await this.servers.advertisedTarget(end.server, end.database));
    return await runPreflight({
      source: await this.servers.target(source.server, source.database),
      target: await this.servers.target(target.server, target.database),
      options: {
        ...preflightOptionsOf(spec, newShortId(), Object.keys(spec.writerPasswords)),
        sourceAddress: await address(source),
        targetAddress: await address(target),
      },
    });
  }

  async plan(spec: UpgradeSpec): Promise<{ preflight: PreflightResult[]; steps: PlannedStep[] }> {
    await Promise.all([this.requireDatabase(spec.source), this.requireDatabase(spec.target)]);
    await this.requireFree(spec);
    const preflight = await this.preflight(spec);
    return { preflight, steps: await wholePlan(await Known.of(this.servers, spec, newShortId(), {})) };
  }

  async create({ writerPasswords, ...request }: UpgradeSpec): Promise<UpgradeEntity> {
    await Promise.all([this.requireDatabase(request.source), this.requireDatabase(request.target)]);
    for (const password of Object.values(writerPasswords)) registerSecret(password);
    const operationId = randomUUID();
    const secrets =
      Object.keys(writerPasswords).length === 0
        ? null
        : this.secrets.seal(JSON.stringify(writerPasswords), `upgrade ${request.name}`);
    const outcome = await this.repository.create(
      {
        name: request.name,
        shortId: newShortId(),
        operationId,
        request,
        secrets,
        phase: 'preflight',
        writeTo: 'source',
      },
      FORWARD_STEPS.map((step) => step.name),
    );
    if (outcome === 'name-taken') throw nameTaken(request.name);
    if (outcome === 'database-taken')
      throw databaseTaken(await this.repository.liveOn([request.source, request.target]));
    await this.operation(request.name, 'upgrade', operationId);
    await failpoint('upgrade.unstarted');
    await this.engine.start(this.forward, operationId, { name: request.name });
    return await this.get(request.name);
  }

  get(name: string): Promise<UpgradeEntity> {
    return this.readiness.get(name);
  }

  steps(name: string): Promise<StepRow[]> {
    return this.repository.steps(name);
  }

  async list(limit: number, cursor?: string): Promise<Page<UpgradeEntity>> {
    const after = cursorKey(cursor, 'text')?.[0] ?? null;
    return pageOf(await this.repository.page(limit + 1, after), limit, ({ name }) => [name]);
  }

  async approve(name: string, gate: Gate): Promise<UpgradeEntity> {
    const upgrade = await this.get(name);
    if (!(await this.repository.takeGate(name, gate))) throw notAwaited(await this.get(name), gate);
    await this.engine.send(upgrade.operationId, { approve: gate });
    return await this.get(name);
  }

  async planApproval(name: string, gate: Gate): Promise<UpgradePlan> {
    const upgrade = await this.get(name);
    const { awaiting, phase, abortRequestedAt } = upgrade;
    if (awaiting !== gate || phase !== 'awaiting-approval' || abortRequestedAt) throw notAwaited(upgrade, gate);
    return await approvalPlan(await this.known(upgrade), gate, await this.readiness.stepIs(name, 'done'));
  }

  /** @param leave the side that is lost or out of reach, where nothing is to be done; also while an abort waits for it */
  async abort(name: string, leave: Side | null): Promise<UpgradeEntity> {
    const upgrade = await this.readiness.readyForAbort(name, leave);
    const { operationId: seen, abortRequestedAt, openingAt } = upgrade;
    const operationId = await this.operation(name, 'upgrade-abort');
    if (openingAt) await this.repository.giveUpOpening(name, seen);
    const forward = await this.repository.beginAbort(name, seen, operationId, ABORTABLE);
    if (forward === null) throw notAbortable(await this.get(name));
    await failpoint('upgrade.abort-unstarted');
    await this.engine.cancel(forward);
    if (abortRequestedAt) await this.engine.cancel(seen);
    await this.engine.start(this.aborting, operationId, {
      name,
      forwardOperationId: forward,
      ...(abortRequestedAt ? { earlierAbortId: seen } : {}),
      ...(leave === null ? {} : { leave }),
    });
    return await this.get(name);
  }

  async planAbort(name: string, leave: Side | null): Promise<UpgradePlan> {
    const upgrade = await this.readiness.readyForAbort(name, leave);
    const pending = await this.readiness.stepIs(name, 'pending');
    return await abortPlan(await this.known(upgrade), (step) => !pending(step), leave);
  }

  /**
   * @param verification when equality is shown: before the target is fenced, or after the source was opened. Asking for
   *   `after` while a rollback still verifies makes that one go on without.
   */
  async rollback(name: string, verification: RollbackVerification): Promise<UpgradeEntity> {
    if (verification === 'after' && (await this.repository.hurryRollback(name))) return await this.get(name);
    const upgrade = await this.readiness.readyForRollback(name);
    // One that has turned is continued; else every step is due.
    const continues = upgrade.phase === 'rolling-back';
    const add = continues ? [] : ROLLBACK_STEPS.map((step) => step.name);
    // Together with its beginning: from then on a caller may ask to verify after the opening, which must stand.
    const facts = continues ? {} : { rollbackVerification: verification };
    await this.begin(upgrade, 'upgrade-rollback', 'rolling-back', { add, continues, facts }, (operationId) =>
      this.engine.start(this.rollingBack, operationId, { name }),
    );
    return await this.get(name);
  }

  async planRollback(name: string, verification: RollbackVerification): Promise<UpgradePlan> {
    const hurries = verification === 'after' && (await this.repository.mayHurryRollback(name));
    const upgrade = hurries ? await this.get(name) : await this.readiness.readyForRollback(name);
    const turning = upgrade.phase === 'rolling-back';
    const facts = { ...upgrade.facts, rollbackVerification: verification };
    const known = await this.known({ ...upgrade, facts });
    return await rollbackPlan(known, turning, await this.readiness.stepIs(name, 'done', 'skipped'));
  }

  /** The way out of a rollback whose source is lost before it could be opened; also while one waits for it. */
  async leaveSource(name: string): Promise<UpgradeEntity> {
    const upgrade = await this.readiness.readyToLeaveSource(name);
    const { operationId: rollbackId } = upgrade;
    // First: were it left at work by a crash in between, it could open the source after the target.
    await this.engine.cancel(rollbackId);
    await this.begin(upgrade, 'upgrade-rollback', 'rolling-back', { continues: true }, (operationId) =>
      this.engine.start(this.leavingSource, operationId, { name, rollbackId }),
    );
    return await this.get(name);
  }

  async planLeaveSource(name: string): Promise<UpgradePlan> {
    return await leaveSourcePlan(await this.known(await this.readiness.readyToLeaveSource(name)));
  }

  async finalize(name: string): Promise<UpgradeEntity> {
    const upgrade = await this.readiness.readyForFinalize(name);
    await this.begin(upgrade, 'upgrade-finalize', 'switched', { add: ['finalize'] }, (operationId) =>
      this.engine.start(this.finalizing, operationId, { name }),
    );
    return await this.get(name);
  }

  async planFinalize(name: string): Promise<UpgradePlan> {
    return await finalizePlan(await this.known(await this.readiness.readyForFinalize(name)));
  }

  /** Goes on where it failed; after a rollback, with another verification and switchover. */
  async retry(name: string): Promise<UpgradeEntity> {
    const upgrade = await this.readiness.readyForRetry(name);
    const to = upgrade.openingAt ? 'switched' : 'preflight';
    await this.begin(upgrade, 'upgrade', to, { again: doneAgain(upgrade) }, (operationId) =>
      this.engine.start(this.forward, operationId, { name }),
    );
    return await this.get(name);
  }

  async planRetry(name: string): Promise<UpgradePlan> {
    const upgrade = await this.readiness.readyForRetry(name);
    const done = await this.readiness.stepIs(name, 'done', 'skipped');
    const again = new Set(doneAgain(upgrade));
    const opened = upgrade.openingAt !== null;
    return await retryPlan(await this.known(upgrade), opened, (step) => done(step) && !again.has(step));
  }

  /** Forgets an upgrade that has ended; nothing of it is left on the servers. */
  async remove(name: string, dryRun: boolean): Promise<void> {
    const upgrade = await this.get(name);
    if (upgrade.phase !== 'finalized' && upgrade.phase !== 'aborted') {
      throw new Problem('WRONG_STATE', `an upgrade in phase ${upgrade.phase} cannot be removed`, {
        hint: 'Abort or finalize it first.',
      });
    }
    if (!dryRun) await this.repository.delete(name);
  }

  eventsAfter(name: string, seq: number, limit: number): Promise<UpgradeEvent[]> {
    return this.repository.eventsAfter(name, seq, limit);
  }

  private async known({ request, shortId, facts }: UpgradeEntity): Promise<Known> {
    return await Known.of(this.servers, request, shortId, facts);
  }

  /** What `create` finds out when it stores the upgrade. */
  private async requireFree({ name, source, target }: UpgradeSpec): Promise<void> {
    if (await this.repository.find(name)) throw nameTaken(name);
    const others = await this.repository.liveOn([source, target]);
    if (others.length > 0) throw databaseTaken(others);
  }

  /**
   * An unknown server or database is the caller's mistake, said at once and not by a failed step. What else keeps
   * Lockstep out is for the preflight to say.
   */
  private async requireDatabase({ server, database }: UpgradeRequest['source']): Promise<void> {
    const target = await this.servers.target(server, database);
    try {
      await withSession(target, { purpose: 'upgrade' }, () => Promise.resolve());
    } catch (error) {
      if (!(error instanceof Problem) || error.code === 'DATABASE_NOT_FOUND') throw error;
    }
  }

  /** The operation row comes first: one that nothing follows is ended by the engine, a reference to none would not be. */
  private async operation(name: string, kind: string, id: string = randomUUID()): Promise<string> {
    await this.operations.create({ id, kind, subject: { type: 'upgrade', id: name } });
    return id;
  }

  private async begin(
    upgrade: UpgradeEntity,
    kind: string,
    to: UpgradePhase,
    steps: { again?: string[]; add?: string[]; continues?: boolean; facts?: Partial<UpgradeFacts> },
    start: (operationId: string) => Promise<void>,
  ): Promise<void> {
    const { name, operationId: seen, phase } = upgrade;
    const next = await this.operation(name, kind);
    if (!(await this.repository.begin(name, { seen, next, from: [phase], to, ...steps }))) {
      throw new Problem('CONFLICT', 'somebody else acted on this upgrade just now', { retryable: true });
    }
    await failpoint('upgrade.unstarted');
    await start(next);
  }
}

/** Steps that a retry does once more although they are done. */
function doneAgain({ phase }: UpgradeEntity): string[] {
  return phase === 'rolled-back' ? [...AFTER_ROLLBACK, ...ROLLBACK_STEPS].map((step) => step.name) : [];
}

function nameTaken(name: string): Problem {
  return new Problem('ALREADY_EXISTS', `there is an upgrade ${JSON.stringify(name)} already`);
}

function databaseTaken(others: string[]): Problem {
  return new Problem('CONFLICT', `another upgrade uses one of these databases: ${others.join(', ')}`, {
    hint: 'Finalize or abort it first.',
  });
}

function notAwaited({ phase, awaiting }: UpgradeEntity, gate: Gate): Problem {
  return new Problem('WRONG_STATE', `gate ${gate} is not awaited: the upgrade is in phase ${phase}`, {
    hint: awaiting ? `It awaits approval of ${awaiting}.` : 'Wait for phase awaiting-approval.',
  });
}

/** Part of the names of slots, which allow a-z, 0-9 and _ only. */
function newShortId(): string {
  return randomUUID().replaceAll('-', '').slice(0, 10);
}
