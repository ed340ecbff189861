import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { Operations } from '../operations/operations.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { retireForwardStep } from './steps/open-target.step.js';
import { openSourceStep, turnStep } from './steps/rollback.steps.js';
import type { FenceRecord } from './traffic/fence-record.js';
import { proveBar } from './traffic/prove-bar.js';
import type { UpgradeEntity } from './upgrade.entity.js';
import { UpgradeRepository } from './upgrade.repository.js';
import type { StepState, UpgradePhase } from './upgrade-request.js';
import type { Side } from './workflow/step.js';

export const ABORTABLE: UpgradePhase[] = [
  ...(['preflight', 'blocked', 'prepare', 'copy', 'catch-up', 'verify', 'awaiting-approval'] as const),
  // `rolling-back` only once the source is open again, when there is no point of no return behind it.
  ...(['switchover', 'rolling-back', 'rolled-back', 'failed', 'aborting'] as const),
];
/** Callers may act from these; they show a moment, or a tidying up, before the operation that leads there has ended. */
const RESTING: UpgradePhase[] = ['blocked', 'failed', 'switched', 'rolled-back'];
const ASK_MS = 4_000;
const IS_STANDBY = 'select pg_catalog.pg_is_in_recovery() as standby';
const ENDS_WITHIN_MS = 10_000;
const ENDED_POLL_MS = 50;

/** What may be done with an upgrade as it stands; each refusal says what to do instead. */
@Injectable()
export class UpgradeReadiness {
  constructor(
    private readonly repository: UpgradeRepository,
    private readonly operations: Operations,
    private readonly servers: ServersService,
  ) {}

  /** Rejects with NOT_FOUND. */
  async get(name: string): Promise<UpgradeEntity> {
    const upgrade = await this.repository.find(name);
    if (!upgrade) throw new Problem('NOT_FOUND', `there is no upgrade ${JSON.stringify(name)}`);
    return upgrade;
  }

  async stepIs(name: string, ...wanted: StepState[]): Promise<(step: string) => boolean> {
    const states = new Map((await this.repository.steps(name)).map((step) => [step.name, step.state]));
    return (step) => wanted.some((state) => states.get(step) === state);
  }

  /** An abort that is at work is left to it, unless it waits for a side that is to be left as it is. */
  async readyForAbort(name: string, leave: Side | null): Promise<UpgradeEntity> {
    const upgrade = await this.get(name);
    const { phase, openingAt, abortRequestedAt, operationId } = upgrade;
    if (openingAt && (await this.isBarred(upgrade, leave))) return upgrade;
    if (openingAt || !ABORTABLE.includes(phase)) throw notAbortable(upgrade);
    if (abortRequestedAt && leave === null && !(await this.operations.hasEnded(operationId))) {
      throw new Problem('WRONG_STATE', 'the upgrade is being aborted already', {
        hint:
          `Follow GET /v1/operations/${operationId}. Where it waits for a server that is lost, abort with ` +
          '{"leave": "target"} (or "source"): nothing is done there then.',
      });
    }
    if (leave === 'source') await this.refuseOpenSource(name);
    return upgrade;
  }

  /**
   * An abort that leaves the source opens the target: with the source open too, rows would be written on both sides. Only
   * where it does not answer, answers as a standby, or is fenced, the caller's word is taken for it to be lost.
   */
  async refuseOpenSource(name: string): Promise<void> {
    const { facts, request } = await this.get(name);
    const { server, database } = request.source;
    const shut = facts.sourceFence
      ? await this.isShut(request.source, facts.sourceFence, true)
      : (await this.servers.look(server, database, ASK_MS, isStandby).catch(nullWhereAway)) !== false;
    if (shut) return;
    throw new Problem('WRONG_STATE', 'the source answers, and is open to its writers', {
      hint: 'Abort without "leave": the source stays as it is for its writers, and both servers are tidied up.',
    });
  }

  /** Whether an opening that failed has let nobody in on the target. */
  private async isBarred({ operationId, facts, request }: UpgradeEntity, leave: Side | null): Promise<boolean> {
    if (facts.switchover?.openedAt || !facts.targetBar) return false;
    if (!(await this.operations.hasEnded(operationId))) return false;
    return await this.isShut(request.target, facts.targetBar, leave === 'target');
  }

  /**
   * Whether nobody of the record can log in there. Only where the server does not answer is the caller's word, that it is
   * `lost`, taken for that: one that lives and is open must not be left with the other side opened as well.
   */
  private async isShut(
    { server, database }: UpgradeEntity['request'][Side],
    record: FenceRecord,
    lost: boolean,
  ): Promise<boolean> {
    try {
      return (await proveBar(await this.servers.target(server, database), record)).held;
    } catch (error) {
      if (lost && isAway(error)) return true;
      throw error;
    }
  }

  /**
   * A rollback that has turned both links and has not opened the source; also one that still tries to. Nothing was
   * written on the source since then, so the target may be opened again.
   */
  async readyToLeaveSource(name: string): Promise<UpgradeEntity> {
    const upgrade = await this.get(name);
    const { phase, facts, request } = upgrade;
    const isDone = await this.stepIs(name, 'done');
    const opened = isDone(openSourceStep.name) || facts.rollback?.openedAt !== undefined;
    if (phase !== 'rolling-back' || !isDone(turnStep.name) || opened) {
      throw new Problem('WRONG_STATE', 'there is no rollback that waits for the source to be opened', {
        hint: opened
          ? 'The source is open: POST …/rollback, without "leave", goes on from there.'
          : 'Before both links are turned, a rollback that fails opens the target again by itself.',
      });
    }
    if (facts.sourceFence && (await this.isShut(request.source, facts.sourceFence, true))) return upgrade;
    throw new Problem('WRONG_STATE', 'the source answers, and is open to its writers', {
      hint: 'POST …/rollback, without "leave", goes on from there: with the target opened too, rows would be written on both sides.',
    });
  }

  async readyForRollback(name: string): Promise<UpgradeEntity> {
    const upgrade = await this.atRest(name, 'rolled back');
    const { phase, facts } = upgrade;
    if (phase === 'switched' && !facts.switchover?.openedAt) {
      throw new Problem('WRONG_STATE', 'the target was not opened yet, so there is nothing to roll back', {
        hint: 'POST …/retry goes on with the opening; POST …/abort gives it up where nobody was let in yet.',
      });
    }
    if (phase === 'switched' || phase === 'rolling-back') return upgrade;
    throw new Problem('WRONG_STATE', `an upgrade in phase ${phase} cannot be rolled back`, {
      hint: 'Only one that has been switched can. Before that, abort.',
    });
  }

  async readyForFinalize(name: string): Promise<UpgradeEntity> {
    const upgrade = await this.atRest(name, 'finalized');
    if (upgrade.phase === 'switched' && upgrade.writeTo === 'target') return upgrade;
    throw new Problem('WRONG_STATE', `an upgrade in phase ${upgrade.phase} cannot be finalized`, {
      hint: 'Only one that has been switched, and is written to on the target, can.',
    });
  }

  async readyForRetry(name: string): Promise<UpgradeEntity> {
    const upgrade = await this.atRest(name, 'retried');
    const { phase, problem, abortRequestedAt, facts } = upgrade;
    // `preflight`: the process ended between storing the upgrade and starting its workflow.
    const retriable: UpgradePhase[] = ['preflight', 'blocked', 'failed', 'rolled-back', 'switched'];
    // A problem after that is of a rollback or a finalize, which are repeated as such.
    const finished = phase === 'switched' && (await this.stepIs(name, 'done'))(retireForwardStep.name);
    if (retriable.includes(phase) && !finished && !abortRequestedAt && !facts.rollbackFence) return upgrade;
    throw new Problem('WRONG_STATE', `an upgrade in phase ${phase} cannot be retried`, {
      ...(abortRequestedAt ? { hint: 'Its abort failed: POST …/abort again.' } : {}),
      ...(facts.rollbackFence ? { hint: 'Its rollback failed: POST …/rollback again.' } : {}),
      ...(finished && problem && !facts.rollbackFence
        ? { hint: 'It is switched. What failed since, see `problem`, was a rollback or a finalize: repeat that.' }
        : {}),
    });
  }

  /** The upgrade once nothing is at work on it: two workflows on one upgrade would undo each other's work. */
  private async atRest(name: string, what: string): Promise<UpgradeEntity> {
    for (const deadline = Date.now() + ENDS_WITHIN_MS; ;) {
      const { operationId, phase } = await this.get(name);
      if (await this.operations.hasEnded(operationId)) {
        const upgrade = await this.get(name);
        if (upgrade.operationId === operationId) return upgrade;
      } else if (!RESTING.includes(phase) || Date.now() > deadline) {
        throw new Problem('WRONG_STATE', `the upgrade is at work (phase ${phase}) and cannot be ${what} now`, {
          hint: `Follow GET /v1/operations/${operationId}.`,
        });
      }
      await delay(ENDED_POLL_MS);
    }
  }
}

export function notAbortable({ phase, openingAt, facts }: UpgradeEntity): Problem {
  const openingHint = facts.switchover?.openedAt
    ? 'The target is open: the way back is POST …/rollback.'
    : 'The target is about to be opened: POST …/retry goes on with it.';
  return new Problem('WRONG_STATE', `an upgrade in phase ${phase} cannot be aborted`, {
    ...(openingAt ? { hint: openingHint } : {}),
  });
}

async function isStandby(session: Session): Promise<boolean> {
  return (await session.row<{ standby: boolean }>(IS_STANDBY)).standby;
}

function isAway(error: unknown): boolean {
  return error instanceof Problem && ['SERVER_UNREACHABLE', 'SERVER_TIMEOUT'].includes(error.code);
}

function nullWhereAway(error: unknown): null {
  if (isAway(error)) return null;
  throw error;
}
