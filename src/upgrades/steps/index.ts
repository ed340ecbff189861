import type { UpgradeStep } from '../workflow/step.js';
import { drainStep } from './drain.step.js';
import { fenceStep } from './fence.step.js';
import { finalCheckStep, sequencesStep } from './final-check.step.js';
import { analyzeStep, catchUpStep, initialCopyStep } from './initial-copy.step.js';
import { openTargetStep, retireForwardStep, reverseSubscriptionStep, wayBackStep } from './open-target.step.js';
import { preSwitchoverStep, verificationStep } from './pre-switchover.step.js';
import { preflightStep } from './preflight.step.js';
import { markerTableStep, publicationStep } from './publication.step.js';
import { rolesStep } from './roles.step.js';
import { schemaPostDataStep, schemaPreDataStep } from './schema.step.js';
import { replicationSlotStep, subscriptionStep } from './subscription.step.js';
import { replicaIdentityStep } from './tables.step.js';

/*
 * The forward path, in order. Steps are journaled by name: one that was released is never renamed, and a changed order
 * needs a new workflow version.
 */

export const PREPARE_STEPS: readonly UpgradeStep[] = [
  preflightStep,
  rolesStep,
  replicaIdentityStep,
  schemaPreDataStep,
  markerTableStep,
  publicationStep,
];

export const COPY_STEPS: readonly UpgradeStep[] = [
  replicationSlotStep,
  subscriptionStep,
  initialCopyStep,
  schemaPostDataStep,
  analyzeStep,
];

export const VERIFY_STEPS: readonly UpgradeStep[] = [catchUpStep, verificationStep];

/** Inside the fence: a failure of any of these takes the fence back. */
export const FENCED_STEPS: readonly UpgradeStep[] = [fenceStep, drainStep, sequencesStep, finalCheckStep, wayBackStep];

/** From the point of no return on. */
export const OPEN_STEPS: readonly UpgradeStep[] = [openTargetStep];

export const SWITCHED_STEPS: readonly UpgradeStep[] = [reverseSubscriptionStep, retireForwardStep];

export const FORWARD_STEPS: readonly UpgradeStep[] = [
  ...PREPARE_STEPS,
  ...COPY_STEPS,
  ...VERIFY_STEPS,
  preSwitchoverStep,
  ...FENCED_STEPS,
  ...OPEN_STEPS,
  ...SWITCHED_STEPS,
];

/** In which order an abort undoes them: the fence first, writers wait for nothing else; then backwards. */
export const ABORT_ORDER: readonly UpgradeStep[] = [...FORWARD_STEPS]
  .reverse()
  .sort((a, b) => Number(b.name === 'fence') - Number(a.name === 'fence'));
