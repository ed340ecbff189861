import { plan, type PlannedStatement } from '../../changes/change.js';
import { finalizeStep } from '../steps/finalize.steps.js';
import {
  ABORT_ORDER,
  COPY_STEPS,
  FENCED_STEPS,
  FORWARD_STEPS,
  OPEN_STEPS,
  PREPARE_STEPS,
  SWITCHED_STEPS,
  VERIFY_STEPS,
} from '../steps/index.js';
import { preSwitchoverStep } from '../steps/pre-switchover.step.js';
import { LEFT_SOURCE_STEPS, ROLLBACK_STEPS } from '../steps/rollback.steps.js';
import type { Gate } from '../upgrade-request.js';
import type { Side, UpgradeStep } from '../workflow/step.js';
import { FINALIZE_DESCRIPTIONS, LEFT_SOURCE_DESCRIPTIONS, ROLLBACK_DESCRIPTIONS } from './back.descriptions.js';
import type { Describe, IsDone } from './described.js';
import { FORWARD_DESCRIPTIONS } from './forward.descriptions.js';
import type { Known } from './known.js';
import { UNDO_DESCRIPTIONS, UNDO_WITHOUT_SOURCE } from './undo.descriptions.js';

export interface PlannedStep {
  step: string;
  phase: string;
  does: string;
  sides: Side[];
  statements: PlannedStatement[];
  /** An abort, or a failure inside the fence, undoes it. */
  undo: boolean;
}

export interface UpgradePlan {
  does: string;
  steps: PlannedStep[];
  /** What the upgrade waits for afterwards; null: nothing. */
  then: string | null;
}

const SWITCH_STEPS = [preSwitchoverStep, ...FENCED_STEPS, ...OPEN_STEPS, ...SWITCHED_STEPS];

/** Every step, whatever gates are in between. */
export async function wholePlan(known: Known): Promise<PlannedStep[]> {
  return await describeSteps(known, FORWARD_STEPS, FORWARD_DESCRIPTIONS, () => false);
}

/** What runs once `gate` is approved, up to the next one. */
export async function approvalPlan(known: Known, gate: Gate, isDone: IsDone): Promise<UpgradePlan> {
  const waits = gate === 'copy' && known.request.gates.includes('switchover');
  const steps = [...(gate === 'copy' ? [...COPY_STEPS, ...VERIFY_STEPS] : []), ...(waits ? [] : SWITCH_STEPS)];
  return {
    does: `Takes the gate ${gate} and goes on.`,
    steps: await describeSteps(known, due(steps, isDone), FORWARD_DESCRIPTIONS, isDone),
    then: waits ? awaits('switchover') : null,
  };
}

/** What runs when the forward path is begun again; what is done already is not done twice. */
export async function retryPlan(known: Known, opened: boolean, isDone: IsDone): Promise<UpgradePlan> {
  const { gates } = known.request;
  const does = 'Begins the forward path again; steps that are done are passed over.';
  const answer = async (steps: readonly UpgradeStep[], then: string | null) => ({
    does,
    steps: await describeSteps(known, due(steps, isDone), FORWARD_DESCRIPTIONS, isDone),
    then,
  });
  if (opened) return await answer([...OPEN_STEPS, ...SWITCHED_STEPS], null);
  if (gates.includes('copy') && !isDone(COPY_STEPS[0]!.name)) return await answer(PREPARE_STEPS, awaits('copy'));
  const before = [...PREPARE_STEPS, ...COPY_STEPS, ...VERIFY_STEPS];
  return gates.includes('switchover')
    ? await answer(before, awaits('switchover'))
    : await answer([...before, ...SWITCH_STEPS], null);
}

/** @param begun whether the step was begun, done or not: the others have nothing to undo */
export async function abortPlan(
  known: Known,
  begun: (step: string) => boolean,
  leave: Side | null,
): Promise<UpgradePlan> {
  const undone = ABORT_ORDER.filter((step) => step.undo && begun(step.name));
  const descriptions = leave === 'source' ? UNDO_WITHOUT_SOURCE : UNDO_DESCRIPTIONS;
  const steps = (await describeSteps(known, undone, descriptions, () => false, 'aborting')).map((step) => ({
    ...step,
    sides: step.sides.filter((side) => side !== leave),
    statements: step.statements.filter(({ server }) => leave === null || server !== known.request[leave].server),
  }));
  return {
    does:
      'Stops what is at work, then undoes every step that was begun, the fence first. What is not there is passed over.' +
      (leave === 'source' ? ' What was restored and copied on the target stays: it may be the only copy.' : ''),
    steps: steps.filter(({ sides }) => leave === null || sides.length > 0),
    then: null,
  };
}

/** @param turning it has begun to turn, and goes on where it stands; else every step is due */
export async function rollbackPlan(known: Known, turning: boolean, isDone: IsDone): Promise<UpgradePlan> {
  const steps = turning ? due(ROLLBACK_STEPS, isDone) : ROLLBACK_STEPS;
  return {
    does: 'Brings traffic back to the source with every write made on the target. A failure before the source is opened opens the target again.',
    steps: await describeSteps(known, steps, ROLLBACK_DESCRIPTIONS, isDone),
    then: 'rests: retry switches over once more, abort puts the target back',
  };
}

export async function leaveSourcePlan(known: Known): Promise<UpgradePlan> {
  return {
    does: 'Gives the rollback up with the source left as it is: ends it where it is still at work, and opens the target again.',
    steps: await describeSteps(known, LEFT_SOURCE_STEPS, LEFT_SOURCE_DESCRIPTIONS, () => false, 'rolling-back'),
    then: 'is switched: rollback, should the source come back, or finalize',
  };
}

export async function finalizePlan(known: Known): Promise<UpgradePlan> {
  return {
    does: 'Makes the upgrade final.',
    steps: await describeSteps(known, [finalizeStep], FINALIZE_DESCRIPTIONS, () => false),
    then: null,
  };
}

async function describeSteps(
  known: Known,
  steps: readonly UpgradeStep[],
  descriptions: Record<string, Describe>,
  isDone: IsDone,
  phase?: string,
): Promise<PlannedStep[]> {
  const planned: PlannedStep[] = [];
  for (const step of steps) {
    const described = await descriptions[step.name]?.(known, isDone);
    planned.push({
      step: step.name,
      phase: phase ?? step.phase,
      does: described?.does ?? '',
      sides: described?.sides ?? [],
      statements: (described?.statements ?? []).flatMap(([side, statements]) => plan(known.request[side], statements)),
      undo: phase === undefined && step.undo !== undefined,
    });
  }
  return planned;
}

function due(steps: readonly UpgradeStep[], isDone: IsDone): UpgradeStep[] {
  return steps.filter(({ name }) => !isDone(name));
}

function awaits(gate: Gate): string {
  return `awaits approval of ${gate}`;
}
