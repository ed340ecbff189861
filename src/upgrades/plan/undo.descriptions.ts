import { setReplicaIdentity } from '../../postgres/ddl/replica-identity.ddl.js';
import { enableSubscription } from '../../postgres/ddl/subscription.ddl.js';
import { dropOnPublisher, dropOnSubscriber } from '../../verification/link/link-plan.js';
import {
  barDescribed,
  type Describe,
  dropMarkerStatements,
  dropSlotStatements,
  readsOnly,
  unpublishStatements,
  unsubscribeStatements,
} from './described.js';

/** What undoing each step of the forward path does, by the step's name. */
export const UNDO_DESCRIPTIONS: Record<string, Describe> = {
  fence: async (known) => {
    const bar = await known.lowered('source', known.facts.sourceFence, 'recorded');
    return barDescribed('source', bar, 'Lets the writers of the source in again, exactly as recorded.');
  },
  'reverse-subscription': ({ names }) => ({
    does: 'Drops the subscription of the way back.',
    sides: ['source'],
    statements: [unsubscribeStatements('source', names.backSubscription)],
  }),
  'way-back': (known) => ({
    does: 'Drops the slot of the way back, and lets the forward subscription apply again.',
    sides: ['target'],
    statements: [
      dropSlotStatements('target', known.names.backSlot),
      ['target', enableSubscription(known.names.subscription)],
    ],
  }),
  'catch-up': ({ names }) => ({
    does: 'Removes slots and publications of the change streams; the publications are emptied first.',
    sides: ['source', 'target'],
    statements: [
      ['source', dropOnPublisher(names.readers)],
      ['target', dropOnSubscriber(names.readers)],
    ],
  }),
  subscription: ({ names }) => ({
    does: 'Drops the subscription, and on the source the slots of table synchronisations that were not finished.',
    sides: ['source', 'target'],
    statements: [unsubscribeStatements('target', names.subscription)],
  }),
  'replication-slot': ({ names }) => ({
    does: 'Drops the slot.',
    sides: ['source'],
    statements: [dropSlotStatements('source', names.slot)],
  }),
  publication: (known) => ({
    does: 'Empties the publication, then drops it; on the target that of the way back, where a switchover was begun.',
    sides: ['target', 'source'],
    statements: [
      unpublishStatements(known, 'target', known.names.backPublication),
      unpublishStatements(known, 'source', known.names.publication),
    ],
  }),
  'marker-table': (known) => ({
    does: 'Drops the marker table on both sides, and the schema lockstep where it is empty then.',
    sides: ['target', 'source'],
    statements: [dropMarkerStatements(known, 'target'), dropMarkerStatements(known, 'source')],
  }),
  'schema-pre-data': () => ({
    does: 'Drops on the target exactly the objects that the restore created there, by its journal; what others made is left and named.',
    sides: ['target'],
  }),
  'replica-identity': ({ facts }) => ({
    does: 'Puts back the replica identities that were made FULL, where they are still so.',
    sides: ['source'],
    statements: (facts.identityChanged ?? []).map(({ schema, name, before }) => [
      'source',
      setReplicaIdentity(schema, name, { kind: before === 'n' ? 'nothing' : 'default' }),
    ]),
  }),
  roles: async (known) => {
    const bar = await known.lowered('target', known.facts.targetBar, 'recorded');
    const does = 'Takes the bar off the target’s roles as recorded, and drops the roles that were created there.';
    return barDescribed('target', bar, does);
  },
};

/** The same where the source is left as it is: the target may be the only copy. */
export const UNDO_WITHOUT_SOURCE: Record<string, Describe> = {
  ...UNDO_DESCRIPTIONS,
  'marker-table': () => readsOnly('Stays.'),
  'schema-pre-data': () => readsOnly('Stays: what was restored and copied on the target may be the only copy.'),
  roles: async (known) => {
    const bar = await known.lowered('target', known.facts.targetBar, 'open');
    const does = 'Lets the writer roles log in on the target, as its opening would have done. The roles stay.';
    return barDescribed('target', bar, does);
  },
};
