import { readSubscriptions } from '../../postgres/catalog/subscriptions.js';
import { compareDefinitions, compareGrants, readFingerprint } from '../../postgres/schema/fingerprint.js';
import { transferSequences } from '../../postgres/schema/sequences.js';
import { Problem } from '../../problems/problem.js';
import { refuseAdmitted } from '../traffic/admitted.js';
import { proveBar } from '../traffic/prove-bar.js';
import { lowerFence, raiseFence, refuseUncommitted } from '../traffic/sql-fence.js';
import { type FenceRecord, mergeRecords } from '../traffic/fence-record.js';
import { findWriterRoles } from '../traffic/writers.js';
import { flushedNow } from '../../postgres/flushed-now.js';
import { isLate } from '../workflow/late-opening.js';
import type { StepContext, UpgradeStep } from '../workflow/step.js';
import { drain, refuseForeignChanges, refuseUndrained } from './drain.step.js';
import { planFor, refuseIdle, whoWrites } from './fence.step.js';
import { comparedSequences, refuseDifferences, sequenceProblem } from './final-check.step.js';
import { retireForwardStep } from './open-target.step.js';
import { lagIsLittle, refuseUnsettled } from './pre-switchover.step.js';
import { publish, publishAhead, unpublish } from './publication.step.js';
import { tellAbsent } from './roles.step.js';
import { broughtBack, refuseUnequal } from './sequence-readiness.js';
import { slotIsPossible } from './slot-readiness.js';
import { disableAndWait, ensureSlot, ensureSubscription, removeSlot, removeSubscription } from './subscription.step.js';

const IDLE_SLOT_DEADLINE_MS = 5_000;
/** How soon a verification notices that the rollback is not to wait for it any more. */
const HURRY_POLL_MS = 500;
const AFTER = { skipped: 'the verification was asked for after the opening' };

/** What was defined on the target after the switch does not exist on the source and would be lost. */
const schemaStep: UpgradeStep = {
  name: 'rollback-schema',
  phase: 'rolling-back',

  async run(context) {
    // A forward slot of before the switch would send back what came from the target.
    await retireForwardStep.run(context);
    await refuseNewDefinitions(context);
    return { objects: context.facts.targetFingerprint!.entries.length };
  },
};

async function refuseNewDefinitions(context: StepContext): Promise<void> {
  const now = await readFingerprint(await context.act('target'));
  // A grant keeps no row back; whoever needs it on the source is told.
  const grants = compareGrants(context.facts.targetFingerprint!, now);
  if (grants.length > 0) await context.event('grants-not-brought-back', { grants: grants.slice(0, 200) });
  const drift = compareDefinitions(context.facts.targetFingerprint!, now);
  if (drift.length === 0) return;
  throw new Problem('CONFLICT', `the target's schema changed since it was opened: ${drift.slice(0, 10).join('; ')}`, {
    hint: 'Undo the change on the target; the source does not have it, and its rows would be lost.',
    extra: { changes: drift.slice(0, 200) },
  });
}

/**
 * Proves, while the target is still written to, that the way back has brought everything; so that inside the fence only
 * what was written since has to be compared. A difference keeps the rollback back, with the target as open as before.
 */
const verifyBackStep: UpgradeStep = {
  name: 'rollback-verification',
  phase: 'rolling-back',

  async run(context) {
    if (!isReadBack(context)) return AFTER;
    await context.progress('verifying the way back');
    const hurry = new AbortController();
    const asked = setInterval(() => {
      context.rollbackVerification().then(
        (when) => when === 'after' && hurry.abort(),
        () => {},
      );
    }, HURRY_POLL_MS);
    try {
      const signal = AbortSignal.any([context.signal, hurry.signal]);
      const readers = await context.readers('back', signal);
      return await readers.verify(context, signal);
    } catch (error) {
      if (!hurry.signal.aborted || context.signal.aborted) throw error;
      await context.dropReaders('back');
      return AFTER;
    } finally {
      clearInterval(asked);
    }
  },

  async undo(context) {
    return await context.dropReaders('back');
  },
};

/** Whatever can be done before the writers are stopped, so that they are stopped shortly. */
const aheadStep: UpgradeStep = {
  name: 'rollback-ahead',
  phase: 'rolling-back',

  async run(context) {
    const writers = await findWriterRoles(await context.act('target'), await whoWrites(context, 'target'));
    await tellAbsent(context, 'target', writers);
    await publishAhead(context, 'source', context.names.publication);
    await slotIsPossible(context, {
      side: 'source',
      slot: context.names.slot,
      subscription: context.names.backSubscription,
    });
    const transfer = await transferSequences(await context.act('target'), await context.act('source'));
    refuseUnequal(broughtBack(context, transfer.differences));
    if (isReadBack(context)) {
      const readers = await context.readers('back');
      if (await readers.forgetIfRewritten()) await readers.verify(context);
      refuseUnsettled(readers);
      readers.refuseFutileFence(await readers.advance(context.signal));
    }
    await lagIsLittle(context, 'target', context.names.backSlot);
    return { sequencesMovedAhead: transfer.applied };
  },
};

const fenceTargetStep: UpgradeStep = {
  name: 'rollback-fence',
  phase: 'rolling-back',
  retryForMs: 0,

  async run(context) {
    const startedAt = context.facts.rollback?.startedAt ?? new Date().toISOString();
    const [subscription] = await readSubscriptions(await context.act('source'), context.names.backSubscription);
    if (!context.facts.rollbackFence) refuseIdle(context.names.backSubscription, subscription);
    await context.record({
      rollback: { startedAt },
      errorCounters: subscription?.errors ?? null,
      applyWorkerPid: subscription?.workers.find(({ kind }) => kind === 'apply')?.pid ?? null,
      rollbackFence: context.facts.rollbackFence ?? (await planFor(context, 'target')),
    });
    const record = context.facts.rollbackFence!;
    await context.setWriteTo(null);
    const raised = await raiseFence(await context.act('target'), record, {
      deadlineMs: context.request.deadlines.fenceMs,
      signal: context.signal,
    });
    const proof = await proveBar(await context.connection('target'), record);
    if (!proof.held) throw new Problem('CONFLICT', 'the bar does not hold', { extra: { proof: proof.roles } });
    await context.record({
      rollback: {
        startedAt,
        fencedAt: raised.barredAt,
        fenceLsn: raised.fenceLsn,
        terminated: raised.terminated,
      },
    });
    return { roles: record.roles.map(({ name }) => name), terminated: raised.terminated, fenceLsn: raised.fenceLsn };
  },

  async undo(context) {
    const record = context.facts.rollbackFence;
    if (!record) return null;
    await lowerFence(await context.act('target'), record);
    await context.forget('rollbackFence', 'rollback', 'errorCounters', 'applyWorkerPid');
    await context.setWriteTo('target');
    return { roles: record.roles.map(({ name }) => name) };
  },
};

const drainBackStep: UpgradeStep = {
  name: 'rollback-drain',
  phase: 'rolling-back',
  retryForMs: 0,

  async run(context) {
    const rollback = context.facts.rollback!;
    const { markerLsn } = await drain(context, {
      direction: 'back',
      passage: rollback,
      counters: context.facts.errorCounters ?? null,
      workerPid: context.facts.applyWorkerPid ?? null,
      deadlineMs: context.request.deadlines.drainMs,
    });
    const drained = { ...rollback, markerLsn, drainedAt: new Date().toISOString() };
    await context.record({ rollback: drained });
    if (!isReadBack(context)) return { markerLsn };
    await refuseForeignChanges(context, 'back', drained, markerLsn);
    await context.record({ rollback: { ...drained, fenceProof: 'held' } });
    return { markerLsn, fenceProof: 'held' };
  },
};

const sequencesBackStep: UpgradeStep = {
  name: 'rollback-sequences',
  phase: 'rolling-back',
  retryForMs: 0,

  async run(context) {
    const transfer = await transferSequences(await context.act('target'), await context.act('source'));
    const differences = broughtBack(context, transfer.differences);
    if (differences.length > 0) throw sequenceProblem(differences);
    // Again, now that nobody can define anything more.
    await refuseNewDefinitions(context);
    return { total: transfer.states.length, moved: transfer.applied };
  },
};

/** No stream tells of a sequence that somebody whom the fence does not bar set after it was carried. */
async function refuseMoved(context: StepContext): Promise<void> {
  const { differences } = await comparedSequences(await context.act('target'), await context.act('source'));
  const unequal = broughtBack(context, differences);
  if (unequal.length > 0) throw sequenceProblem(unequal);
}

/** Every key written on the target since it was verified is the same on the source. */
const finalCheckBackStep: UpgradeStep = {
  name: 'rollback-final-check',
  phase: 'rolling-back',
  retryForMs: 0,

  async run(context) {
    if (!isReadBack(context)) return AFTER;
    const readers = await context.readers('back');
    // Not asked for where a difference was accepted: there is no equality to build on.
    if (readers.isAccepted) return { skipped: `the verification says ${readers.verdict}` };
    const { keys, verifiedLsn, differences } = await readers.checkTouched(context.signal);
    refuseDifferences(differences);
    await context.record({ rollback: { ...context.facts.rollback!, keysChecked: keys, verifiedLsn } });
    return { keysChecked: keys, verifiedLsn };
  },
};

/** Reverse first away and its worker gone, then the forward slot, while nobody writes on either side. */
export const turnStep: UpgradeStep = {
  name: 'rollback-turn',
  phase: 'rolling-back',
  retryForMs: 0,

  async run(context) {
    await disableAndWait(context, 'source', context.names.backSubscription);
    await refuseUndrained(context, 'back', context.facts.rollback!);
    // From here nothing of the target arrives any more, so nothing may have been written there since the fence.
    const target = await context.act('target');
    await refuseAdmitted(target, context.facts.rollbackFence!, await whoWrites(context, 'target'));
    await refuseUncommitted(target);
    if (isReadBack(context)) {
      await refuseForeignChanges(context, 'back', context.facts.rollback!, await flushedNow(target));
    }
    // It is there since before the fence; only a table made anew since then is published here.
    await publish(context, 'source', context.names.publication);
    const slot = await ensureSlot(context, 'source', context.names.slot, IDLE_SLOT_DEADLINE_MS);
    // Last, right before the opening.
    await refuseMoved(context);
    return { ...slot };
  },

  async undo(context) {
    const slot = await removeSlot(context, 'source', context.names.slot);
    await ensureSubscription(context, 'source', {
      name: context.names.backSubscription,
      publication: context.names.backPublication,
      slot: context.names.backSlot,
      copyData: false,
    });
    return slot;
  },
};

/** Lets the writers in on the source, exactly as they were before the switchover. */
export const openSourceStep: UpgradeStep = {
  name: 'rollback-open',
  phase: 'rolling-back',
  retryForMs: 600_000,

  async run(context) {
    const record = context.facts.sourceFence;
    if (!record) throw new Problem('CONFLICT', 'the record of the source’s roles is gone');
    await letIn(context, record);
    const openedAt = new Date().toISOString();
    const { verifiedLsn, ...rollback } = context.facts.rollback!;
    const writePauseMs = Date.parse(openedAt) - Date.parse(rollback.startedAt);
    // What was shown inside the fence holds for that moment; an opening that was held up is verified afterwards.
    const proof = verifiedLsn === undefined || isLate(context.drained.get('back')) ? {} : { verifiedLsn };
    await context.record({ rollback: { ...rollback, ...proof, openedAt, writePauseMs } });
    await context.setWriteTo('source');
    await context.clearPointOfNoReturn();
    return { openedAt, writePauseMs };
  },
};

async function letIn(context: StepContext, record: FenceRecord): Promise<void> {
  try {
    await lowerFence(await context.act('source'), record);
  } catch (error) {
    if (!(error instanceof Problem) || !['SERVER_UNREACHABLE', 'SERVER_TIMEOUT'].includes(error.code)) throw error;
    throw new Problem(error.code, error.detail, {
      ...error.options,
      hint: 'POST …/rollback goes on once the source answers. Where it is lost, POST …/rollback with {"leave": "source"} opens the target again.',
    });
  }
}

/** The forward link again, so that both sides stay equal and a second attempt needs no copy. */
const forwardAgainStep: UpgradeStep = {
  name: 'rollback-forward',
  phase: 'rolling-back',

  async run(context) {
    await context.dropReaders('back');
    await removeSubscription(context, 'source', context.names.backSubscription);
    await removeSlot(context, 'target', context.names.backSlot);
    await unpublish(context, 'target', context.names.backPublication);
    const made = await ensureSubscription(context, 'target', {
      name: context.names.subscription,
      publication: context.names.publication,
      slot: context.names.slot,
      copyData: false,
    });
    // Whoever the rollback barred besides is let in by a second opening, or by an abort, like the others.
    const { targetBar, rollbackFence } = context.facts;
    if (targetBar && rollbackFence) await context.record({ targetBar: mergeRecords(targetBar, rollbackFence) });
    await context.forget('sourceFence', 'rollbackFence', 'switchover', 'errorCounters', 'applyWorkerPid');
    return made;
  },
};

/** Both sides shown equal at an LSN after all, under writes, where it was not proven inside the fence. */
const verifyAfterStep: UpgradeStep = {
  name: 'rollback-verification-after',
  phase: 'rolling-back',

  async run(context) {
    const { verifiedLsn } = context.facts.rollback!;
    if (verifiedLsn !== undefined) return { skipped: `shown equal inside the fence, at ${verifiedLsn} of the target` };
    const readers = await context.readers('forward');
    return await readers.verify(context);
  },
};

/** Whether the way back is read, so that the fence and what passed it can be proven. */
function isReadBack({ facts }: StepContext): boolean {
  return facts.rollbackVerification !== 'after';
}

/** Until the source is open a failure puts the target back; afterwards steps are only repeated. */
export const ROLLBACK_FENCED_STEPS: readonly UpgradeStep[] = [
  schemaStep,
  verifyBackStep,
  aheadStep,
  fenceTargetStep,
  drainBackStep,
  sequencesBackStep,
  finalCheckBackStep,
  turnStep,
];
export const ROLLBACK_OPEN_STEPS: readonly UpgradeStep[] = [openSourceStep, forwardAgainStep, verifyAfterStep];
export const ROLLBACK_STEPS: readonly UpgradeStep[] = [...ROLLBACK_FENCED_STEPS, ...ROLLBACK_OPEN_STEPS];
/** Undone where a source that is lost is left as it is before it was opened; as far as they concern the target. */
export const LEFT_SOURCE_STEPS: readonly UpgradeStep[] = [fenceTargetStep, verifyBackStep];
