import { setTimeout as delay } from 'node:timers/promises';
import { leaveCreatedRoles } from '../../postgres/schema/created-roles.js';
import { removeJournal } from '../../postgres/schema/created-objects.js';
import { Problem } from '../../problems/problem.js';
import { publisherSlotName, subscriberSlotName } from '../../verification/link/link-objects.js';
import type { StepContext, UpgradeStep } from '../workflow/step.js';
import { removeMarkerTable, unpublish } from './publication.step.js';
import { removeSlot, removeSubscription } from './subscription.step.js';

/** An old server that is switched off for good must not keep the new one's way back, and its WAL, alive for ever. */
const SOURCE_TRIES = 4;
const SOURCE_PAUSE_MS = 5_000;

/** Takes away whatever the upgrade made for itself on both servers; from here there is no way back. */
export const finalizeStep: UpgradeStep = {
  name: 'finalize',
  phase: 'switched',

  async run(context) {
    const dropped: string[] = [];
    const note = (result: { dropped: string } | null) => {
      if (result) dropped.push(result.dropped);
    };
    // The subscription first: while it lives it holds the slot on the other side.
    const reached = await onSource(context, async () => {
      await context.dropReaders('forward');
      // Only there when a rollback could not be taken back as a whole.
      await context.dropReaders('back');
      note(await removeSubscription(context, 'source', context.names.backSubscription));
      note(await removeSlot(context, 'source', context.names.slot));
      note(await unpublish(context, 'source', context.names.publication));
      await removeMarkerTable(context, 'source');
    });
    // Only there when its retirement had failed; it asks the source for slots it left there.
    if (reached) note(await removeSubscription(context, 'target', context.names.subscription));
    note(await removeSlot(context, 'target', context.names.backSlot));
    // Normally gone with the readers; a slot is what must not stay.
    if (!reached) {
      note(await removeSlot(context, 'target', subscriberSlotName(context.names.readers)));
      note(await removeSlot(context, 'target', publisherSlotName(context.names.backReaders)));
    }
    note(await unpublish(context, 'target', context.names.backPublication));
    await leaveCreatedRoles(await context.act('target'));
    await removeJournal(await context.act('target'));
    await removeMarkerTable(context, 'target');
    const left = [...(reached ? [] : [sourceNotReached(context)]), ...leftOnPurpose(context)];
    await context.record({ leftovers: left });
    return { dropped, left };
  },
};

/** False when the source stays out of reach; anything else that goes wrong there is a failure as elsewhere. */
async function onSource(context: StepContext, work: () => Promise<void>): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    try {
      await work();
      return true;
    } catch (error) {
      const away = error instanceof Problem && ['SERVER_UNREACHABLE', 'SERVER_TIMEOUT'].includes(error.code);
      if (!away) throw error;
      if (attempt === SOURCE_TRIES) return false;
      await context.progress('the source cannot be reached; trying again');
      await delay(SOURCE_PAUSE_MS, undefined, { signal: context.signal });
    }
  }
}

function sourceNotReached({ names }: StepContext): string {
  return `The source could not be reached. Should it come back, drop there: subscription ${names.backSubscription} (disable it, set slot_name = none), publication ${names.publication}, schema lockstep.`;
}

function leftOnPurpose({ facts }: StepContext): string[] {
  const barred = (facts.sourceFence?.roles ?? []).map(({ name }) => name);
  return [
    ...(barred.length > 0
      ? [`The source stays fenced: ${barred.join(', ')} cannot log in there. Keep it so until the server is removed.`]
      : []),
    ...(facts.identityChanged ?? []).map(
      ({ schema, name }) => `REPLICA IDENTITY FULL on ${schema}.${name} of the source, and with it on the target.`,
    ),
  ];
}
