import { LOCKSTEP_SCHEMA } from '../object-names.js';
import { publisherSlotName, subscriberSlotName } from '../../verification/link/link-objects.js';
import type { Side, StepContext } from './step.js';

/** What an abort leaves on a side that it did not touch, for whoever finds that server again. */
export function leftBehind({ facts, names, request }: StepContext, side: Side): string[] {
  const { server, database } = request[side];
  const barred = (side === 'source' ? facts.sourceFence : facts.targetBar)?.roles ?? [];
  const slots =
    side === 'source'
      ? [names.slot, publisherSlotName(names.readers), subscriberSlotName(names.backReaders)]
      : [names.backSlot, subscriberSlotName(names.readers), publisherSlotName(names.backReaders)];
  const [subscription, publication] =
    side === 'source' ? [names.backSubscription, names.publication] : [names.subscription, names.backPublication];
  return [
    `The ${side}, database ${database} of server ${server}, was left as it is. Should it come back, drop there, where they exist: ` +
      `subscription ${subscription} (disable it, set slot_name = none), replication slots ${slots.join(', ')}, ` +
      `publication ${publication}, schema ${LOCKSTEP_SCHEMA}.`,
    ...(side === 'target' ? ['The tables and roles that were created on the target are there still.'] : []),
    ...(barred.length > 0 ? [`Barred on the ${side}: ${barred.map(({ name }) => name).join(', ')}.`] : []),
    ...(side === 'source'
      ? (facts.identityChanged ?? []).map(
          ({ schema, name }) => `REPLICA IDENTITY FULL on ${schema}.${name} of the source.`,
        )
      : []),
  ];
}
