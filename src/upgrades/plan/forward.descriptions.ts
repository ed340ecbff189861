import { createMarkerTable } from '../../postgres/ddl/marker.ddl.js';
import { createOnPublisher } from '../../verification/link/link-plan.js';
import { LOCKSTEP_SCHEMA } from '../object-names.js';
import {
  backLinkStatements,
  barDescribed,
  type Describe,
  disableStatements,
  dropSlotStatements,
  forwardLinkStatements,
  plannedDescribed,
  publishDescribed,
  readsOnly,
  slotStatements,
  unsubscribeStatements,
} from './described.js';

/** What each step of the forward path does, by its name. */
export const FORWARD_DESCRIPTIONS: Record<string, Describe> = {
  preflight: () => readsOnly('Asks both servers everything that could stop the upgrade; reads only.'),
  roles: () => ({
    does: 'Creates on the target the roles that the schema and the writers need and that are missing there; the writers are barred until it is opened.',
    sides: ['target'],
  }),
  'replica-identity': ({ request }) =>
    request.replicaIdentity === 'full-where-missing'
      ? {
          does: 'ALTER TABLE … REPLICA IDENTITY FULL on the source for each table without one; undone on abort.',
          sides: ['source'],
        }
      : readsOnly('Reads only: a table without replica identity stops the upgrade.'),
  'schema-pre-data': () => ({
    does: 'Dumps the source’s schema and restores definitions, primary keys and replica identities on the target.',
    sides: ['target'],
  }),
  'marker-table': ({ names }) => {
    const marker = createMarkerTable(LOCKSTEP_SCHEMA, names.markerTable);
    return {
      does: 'Creates the table whose rows mark a position in the stream.',
      sides: ['target', 'source'],
      statements: [
        ['target', marker],
        ['source', marker],
      ],
    };
  },
  publication: (known) =>
    publishDescribed(
      known,
      'source',
      known.names.publication,
      'Publishes every permanent table by name, and the marker table.',
    ),
  'replication-slot': ({ names, request }) => ({
    does: `Creates the slot; waits up to ${request.deadlines.slotMs} ms for running transactions, naming what it waits for.`,
    sides: ['source'],
    statements: [slotStatements('source', names.slot)],
  }),
  subscription: (known) => ({
    does: 'Subscribes the target; tables are copied by its table synchronisation workers.',
    sides: ['target'],
    statements: [forwardLinkStatements(known, true)],
  }),
  'initial-copy': () => readsOnly('Waits until every table is ready.'),
  'schema-post-data': () => ({
    does: 'Restores other indexes, constraints, foreign keys, triggers; refreshes materialized views.',
    sides: ['target'],
  }),
  analyze: () => ({ does: 'ANALYZE of every table on the target.', sides: ['target'] }),
  'catch-up': async (known) => {
    const does =
      'Opens a change stream on each side (the target’s, with publications of its own, where its wal_level is logical) and waits for the lag to go.';
    // Those that verified after a rollback are there still, and go on.
    const planned = known.facts.readersOpened
      ? await known.openingStream()
      : { statements: createOnPublisher(known.names.readers) };
    return { ...plannedDescribed('source', planned, does), sides: ['source', 'target'] };
  },
  verification: ({ request }) =>
    readsOnly(
      request.verification.required
        ? 'Proves both sides equal at an LSN, under writes; anything else stops the upgrade.'
        : 'Compares both sides at an LSN, under writes; a difference is reported and does not stop the upgrade.',
    ),
  'pre-switchover': (known) =>
    publishDescribed(
      known,
      'target',
      known.names.backPublication,
      'Carries the roles once more, as they are now on the source (CREATE ROLE, ALTER ROLE, GRANT), barred; refuses settings on the target that would keep writers from writing. Looks whether the target followed what changed in the source’s schema since it was copied, and copies new partitions (ALTER SUBSCRIPTION … REFRESH PUBLICATION); creates the publication of the way back, where an earlier attempt has not, and with it waits for VACUUM, ANALYZE and DDL on the target’s tables; verifies again what the last verification does not cover; waits for transactions on the target that the slot of the way back would wait for; sets the target’s sequences ahead, waits until the lag is small.',
    ),
  fence: async (known) => {
    const bar = await known.raised('source', known.facts.sourceFence);
    const does = `Bars the writer roles of the source, ends their sessions (pg_terminate_backend) within ${known.request.deadlines.fenceMs} ms, reads the fence’s LSN. Nobody writes from here until one side is opened.`;
    return barDescribed('source', bar, does);
  },
  drain: ({ names, request }) => ({
    does: `Shows that the writers cannot log in, writes a row into ${LOCKSTEP_SCHEMA}.${names.markerTable} and waits up to ${request.deadlines.drainMs} ms until it arrives; proves that nobody else wrote after the fence.`,
    sides: ['source'],
  }),
  sequences: () => ({ does: 'Sets every sequence that moved since, exactly.', sides: ['target'] }),
  'final-check': () => readsOnly('Compares every key touched since the verified LSN, the sequences and the schema.'),
  'way-back': (known) => ({
    does: 'Stops the forward subscription; creates the slot of the way back before anything is written on the target.',
    sides: ['target'],
    statements: [disableStatements('target', known.names.subscription), slotStatements('target', known.names.backSlot)],
  }),
  'open-target': async (known) => {
    const bar = await known.lowered('target', known.facts.targetBar, 'open');
    return barDescribed(
      'target',
      bar,
      'Lets the writer roles log in on the target. From here the way back is a rollback.',
    );
  },
  'reverse-subscription': (known) => ({
    does: 'Brings what is written on the target back to the source.',
    sides: ['source'],
    statements: [backLinkStatements(known)],
  }),
  'retire-forward': (known, isDone) => retireForward(known, isDone),
};

export const retireForward: Describe = (known) => ({
  does: 'Removes the change streams of the verification, then the forward subscription and its slot. Its publication stays for a rollback.',
  sides: ['source', 'target'],
  statements: [
    unsubscribeStatements('target', known.names.subscription),
    dropSlotStatements('source', known.names.slot),
  ],
});
