import type { Statement } from '../../postgres/ddl/statement.js';
import { createOnPublisher, dropOnPublisher, dropOnSubscriber } from '../../verification/link/link-plan.js';
import { LOCKSTEP_SCHEMA } from '../object-names.js';
import type { Side } from '../workflow/step.js';
import type { Known } from './known.js';
import {
  barDescribed,
  type Describe,
  disableStatements,
  dropMarkerStatements,
  dropSlotStatements,
  forwardLinkStatements,
  publishDescribed,
  readsOnly,
  slotStatements,
  unpublishStatements,
  unsubscribeStatements,
} from './described.js';
import { retireForward } from './forward.descriptions.js';

/** What each step of a rollback does, by its name. */
export const ROLLBACK_DESCRIPTIONS: Record<string, Describe> = {
  'rollback-schema': async (known, isDone) => {
    const refuses = 'Refuses when something was defined on the target since it was opened.';
    if (isDone('retire-forward')) return readsOnly(refuses);
    return { ...(await retireForward(known, isDone)), does: `Removes what is left of the forward link. ${refuses}` };
  },
  'rollback-verification': ({ names, facts }) =>
    facts.rollbackVerification === 'after'
      ? readsOnly('Passed over: the verification was asked for after the opening.')
      : {
          does: 'Opens a change stream on each side (the source’s, with publications of its own) and proves both sides equal at an LSN, while the target is written to; anything else keeps the rollback back.',
          sides: ['source', 'target'],
          statements: [['target', createOnPublisher(names.backReaders)]],
        },
  'rollback-ahead': (known) =>
    publishDescribed(
      known,
      'source',
      known.names.publication,
      'Publishes on the source what the publication of the forward link lacks; waits for transactions there that the slot of the forward link would wait for; sets the source’s sequences ahead, waits until the lag is small.',
    ),
  'rollback-fence': async (known) => {
    const bar = await known.raised('target', known.facts.rollbackFence);
    const does = `Bars the writer roles of the target, ends their sessions (pg_terminate_backend) within ${known.request.deadlines.fenceMs} ms, and shows that they cannot log in.`;
    return barDescribed('target', bar, does);
  },
  'rollback-drain': ({ names, request }) => ({
    does: `Writes a row into ${LOCKSTEP_SCHEMA}.${names.markerTable} on the target and waits up to ${request.deadlines.drainMs} ms until it arrives on the source; proves that nobody else wrote after the fence, unless the verification comes after the opening.`,
    sides: ['target'],
  }),
  'rollback-sequences': () => ({ does: 'Sets the source’s sequences as they are on the target.', sides: ['source'] }),
  'rollback-final-check': ({ facts }) =>
    readsOnly(
      facts.rollbackVerification === 'after'
        ? 'Passed over: the verification was asked for after the opening.'
        : 'Compares every key written on the target since it was verified.',
    ),
  'rollback-turn': (known) => ({
    does: 'Stops the way back and waits until its worker is gone; creates the slot of the forward link; compares the sequences of both sides once more.',
    sides: ['source'],
    statements: [disableStatements('source', known.names.backSubscription), slotStatements('source', known.names.slot)],
  }),
  'rollback-open': async (known) => {
    const bar = await known.lowered('source', known.facts.sourceFence, 'recorded');
    return barDescribed(
      'source',
      bar,
      'Lets the writers in on the source, exactly as they were before the switchover.',
    );
  },
  'rollback-forward': (known) => ({
    does: 'Removes the change streams of the verification and the way back; the target follows the source again, so that a second attempt needs no copy.',
    sides: ['source', 'target'],
    statements: [
      unsubscribeStatements('source', known.names.backSubscription),
      dropSlotStatements('target', known.names.backSlot),
      unpublishStatements(known, 'target', known.names.backPublication),
      forwardLinkStatements(known, false),
    ],
  }),
  'rollback-verification-after': ({ facts }) =>
    readsOnly(
      facts.rollbackVerification === 'after'
        ? 'Proves both sides equal at an LSN, under writes.'
        : 'Passed over where the sides were shown equal inside the fence.',
    ),
};

/** What is undone on the target where the source is left as it is, by the step's name. */
export const LEFT_SOURCE_DESCRIPTIONS: Record<string, Describe> = {
  'rollback-fence': async (known) => {
    const bar = await known.lowered('target', known.facts.rollbackFence, 'recorded');
    return barDescribed('target', bar, 'Lets the writers in on the target again, exactly as before the rollback.');
  },
  'rollback-verification': ({ names }) => ({
    does: 'Removes the change stream of the verification from the target.',
    sides: ['target'],
    statements: [['target', dropOnPublisher(names.backReaders)]],
  }),
};

/** Those of the way back read the target and, as its subscriber, the source. */
function readersGone({ names }: Known): [Side, Statement[]][] {
  return [
    ['target', dropOnPublisher(names.backReaders)],
    ['source', dropOnSubscriber(names.backReaders)],
  ];
}

export const FINALIZE_DESCRIPTIONS: Record<string, Describe> = {
  finalize: (known) => {
    const { names } = known;
    return {
      does: 'Drops everything the upgrade made for itself on both servers; there is no way back after it. What is not there any more is passed over. The source stays fenced. A source that cannot be reached is tried for about 20 s and then left as it is; the report says what to drop there.',
      sides: ['source', 'target'],
      statements: [
        ['source', dropOnPublisher(names.readers)],
        ['target', dropOnSubscriber(names.readers)],
        ...readersGone(known),
        unsubscribeStatements('source', names.backSubscription),
        dropSlotStatements('source', names.slot),
        unpublishStatements(known, 'source', names.publication),
        dropMarkerStatements(known, 'source'),
        unsubscribeStatements('target', names.subscription),
        dropSlotStatements('target', names.backSlot),
        unpublishStatements(known, 'target', names.backPublication),
        dropMarkerStatements(known, 'target'),
      ],
    };
  },
};
