import { Problem } from '../../problems/problem.js';
import { refuseAdmitted } from '../traffic/admitted.js';
import { compareRecord } from '../traffic/compare-record.js';
import { openRoles, refuseUncommitted } from '../traffic/sql-fence.js';
import { flushedNow } from '../../postgres/flushed-now.js';
import { isLate, isSourceLost } from '../workflow/late-opening.js';
import type { StepContext, UpgradeStep } from '../workflow/step.js';
import { refuseForeignChanges, refuseUndrained } from './drain.step.js';
import { whoWrites } from './fence.step.js';
import { publish } from './publication.step.js';
import {
  disableAndWait,
  enableAgain,
  ensureSlot,
  ensureSubscription,
  removeSlot,
  removeSubscription,
} from './subscription.step.js';

const IDLE_SLOT_DEADLINE_MS = 5_000;

/** Publication and slot of the way back, before the first write on the target: whatever is written there is kept. */
export const wayBackStep: UpgradeStep = {
  name: 'way-back',
  phase: 'switchover',

  async run(context) {
    await context.progress('opening the way back');
    await disableAndWait(context, 'target', context.names.subscription);
    await refuseUndrained(context, 'forward', context.facts.switchover!);
    await nothingAfterTheFence(context);
    // It is there since before the fence; only a table made anew since then is published here.
    const tables = await publish(context, 'target', context.names.backPublication);
    const slot = await ensureSlot(context, 'target', context.names.backSlot, IDLE_SLOT_DEADLINE_MS);
    return { publication: context.names.backPublication, tables, ...slot };
  },

  async undo(context) {
    const slot = await removeSlot(context, 'target', context.names.backSlot);
    const forward = await enableAgain(context, 'target', context.names.subscription);
    return slot ?? forward;
  },
};

/** From here nothing of the source arrives any more, so nothing may have been written there since the fence. */
async function nothingAfterTheFence(context: StepContext): Promise<void> {
  const source = await context.act('source');
  await refuseAdmitted(source, context.facts.sourceFence!, await whoWrites(context, 'source'));
  await refuseUncommitted(source);
  await refuseForeignChanges(context, 'forward', context.facts.switchover!, await flushedNow(source));
}

/**
 * What was shown inside the fence holds for that moment: where the opening was held up it is shown again, unless it has
 * taken place. A source that stays away is not waited for: the target has everything that was written before the fence.
 */
async function nothingMeanwhile(context: StepContext): Promise<void> {
  if (!isLate(context.drained.get('forward'))) return;
  const closed = await compareRecord(await context.act('target'), context.facts.targetBar!, 'open');
  if (!closed.some(({ ours }) => ours)) return;
  try {
    await nothingAfterTheFence(context);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (await isSourceLost(context, error)) {
      await context.event('source-not-asked', { reason: error.detail });
      return;
    }
    if (error.code !== 'CONFLICT') throw error;
    throw new Problem('CONFLICT', `the target is not opened: ${error.detail}`, {
      ...error.options,
      hint: 'POST …/abort opens the source again, with everything that was written there.',
    });
  }
}

/** Lets the writers in on the target. From here the way back is a rollback, not an abort. */
export const openTargetStep: UpgradeStep = {
  name: 'open-target',
  phase: 'switchover',
  // Neither side is open now: better late than not at all.
  retryForMs: 600_000,

  async run(context) {
    await context.progress('opening the target');
    if (!(await context.passPointOfNoReturn())) {
      throw new Problem('CONFLICT', 'an abort was asked for; the target is not opened');
    }
    await nothingMeanwhile(context);
    await context.forget('rollback', 'rollbackFence');
    await openRoles(await context.act('target'), context.facts.targetBar!);
    const openedAt = new Date().toISOString();
    const switchover = context.facts.switchover!;
    const writePauseMs = Date.parse(openedAt) - Date.parse(switchover.startedAt);
    await context.record({ switchover: { ...switchover, openedAt, writePauseMs } });
    await context.setWriteTo('target');
    return { openedAt, writePauseMs };
  },
};

/** Brings what is written on the target back to the fenced source, so that a rollback loses nothing. */
export const reverseSubscriptionStep: UpgradeStep = {
  name: 'reverse-subscription',
  phase: 'switched',

  async run(context) {
    await disableAndWait(context, 'target', context.names.subscription);
    return await ensureSubscription(context, 'source', {
      name: context.names.backSubscription,
      publication: context.names.backPublication,
      slot: context.names.backSlot,
      copyData: false,
    });
  },

  async undo(context) {
    await context.dropReaders('back');
    return await removeSubscription(context, 'source', context.names.backSubscription);
  },
};

/**
 * The forward link has done its work: subscription and slots go, so that nothing keeps WAL on the source. Its publication
 * stays for a rollback, whose pause would else wait for the locks on the tables.
 */
export const retireForwardStep: UpgradeStep = {
  name: 'retire-forward',
  phase: 'switched',

  async run(context) {
    await context.dropReaders('forward');
    await removeSubscription(context, 'target', context.names.subscription);
    await removeSlot(context, 'source', context.names.slot);
    return { dropped: [context.names.subscription, context.names.slot] };
  },
};
