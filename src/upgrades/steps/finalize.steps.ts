import { removeJournal } from '../../postgres/schema/created-objects.js';
import type { UpgradeStep } from '../workflow/step.js';
import { markerTableStep, unpublish } from './publication.step.js';
import { removeSlot, removeSubscription } from './subscription.step.js';

/** Takes away whatever the upgrade made for itself on both servers; from here there is no way back. */
export const finalizeStep: UpgradeStep = {
  name: 'finalize',
  phase: 'switched',

  async run(context) {
    await context.dropReaders();
    const dropped: string[] = [];
    const note = (result: { dropped: string } | null) => {
      if (result) dropped.push(result.dropped);
    };
    note(await removeSubscription(context, 'source', context.names.backSubscription));
    note(await removeSubscription(context, 'target', context.names.subscription));
    note(await removeSlot(context, 'target', context.names.backSlot));
    note(await removeSlot(context, 'source', context.names.slot));
    note(await unpublish(context, 'target', context.names.backPublication));
    note(await unpublish(context, 'source', context.names.publication));
    await removeJournal(await context.act('target'));
    await markerTableStep.undo!(context);
    const barred = (context.facts.sourceFence?.roles ?? []).map(({ name }) => name);
    const left = [
      ...(barred.length > 0
        ? [`The source stays fenced: ${barred.join(', ')} cannot log in there. Keep it so until the server is removed.`]
        : []),
      ...(context.facts.identityChanged ?? []).map(
        ({ schema, name }) => `REPLICA IDENTITY FULL on ${schema}.${name} of the source, and with it on the target.`,
      ),
    ];
    await context.record({ leftovers: left });
    return { dropped, left };
  },
};
