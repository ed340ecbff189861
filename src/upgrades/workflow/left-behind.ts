import { LOCKSTEP_SCHEMA } from '../object-names.js';
import { publisherSlotName, subscriberSlotName } from '../../verification/link/link-objects.js';
import type { Side, StepContext } from './step.js';

/** What an undo answers that touches nothing, since the target may be the only copy. */
export const STAYS = { stays: 'the source is left as it is, and the target may be the only copy' };

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
    ...(side === 'source' ? [onlyCopy(facts, names.markerTable)] : []),
    ...(side === 'target' ? ['The tables and roles that were created on the target are there still.'] : []),
    ...(barred.length > 0 ? [`Barred on the ${side}: ${barred.map(({ name }) => name).join(', ')}.`] : []),
    ...(side === 'source'
      ? (facts.identityChanged ?? []).map(
          ({ schema, name }) => `REPLICA IDENTITY FULL on ${schema}.${name} of the source.`,
        )
      : []),
  ];
}

/** Without its source the target may be all there is. */
function onlyCopy({ switchover, rollback }: StepContext['facts'], markerTable: string): string {
  const whole = switchover?.drainedAt !== undefined && rollback?.openedAt === undefined;
  return (
    'What was restored and copied on the target is there still, since it may be the only copy: tables, roles, and schema ' +
    `${LOCKSTEP_SCHEMA} with ${markerTable} and the record of what was restored. Its writers may log in there. ` +
    (whole
      ? `It has everything that was committed on the source before the fence at ${switchover.fencedAt ?? switchover.drainedAt}.`
      : 'It may lack what was committed on the source last.')
  );
}
