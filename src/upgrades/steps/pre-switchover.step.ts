import { readFingerprint } from '../../postgres/schema/fingerprint.js';
import { transferSequences } from '../../postgres/schema/sequences.js';
import { Problem } from '../../problems/problem.js';
import { pollUntil } from '../workflow/poll.js';
import type { Readers } from '../workflow/readers.js';
import type { Side, StepContext, UpgradeStep } from '../workflow/step.js';
import { slotLag } from './initial-copy.step.js';
import { publishAhead } from './publication.step.js';
import { followReadOnly, refuseReadOnly } from './read-only.js';
import { followRolesOfSource } from './roles.step.js';
import { followSchema } from './schema-drift.js';
import { refuseUnequal, tellExtra } from './sequence-readiness.js';
import { slotIsPossible } from './slot-readiness.js';

/** The last drop of lag is drained inside the fence; more than this is drained before. */
const LITTLE_LAG_BYTES = 4_000_000;

/** Whatever can be done before the writers are stopped, so that they are stopped shortly. */
export const preSwitchoverStep: UpgradeStep = {
  name: 'pre-switchover',
  phase: 'verify',

  async run(context) {
    // First: what was granted to a new role can be granted on the target only once the role is there.
    const roles = await followRolesOfSource(context);
    await followReadOnly(context, roles.ours);
    await refuseReadOnly(context, roles.writers);
    const followed = await followSchema(context);
    await publishAhead(context, 'target', context.names.backPublication);
    const readers = await verifiedReaders(context);
    refuseUnsettled(readers);
    await slotIsPossible(context, {
      side: 'target',
      slot: context.names.backSlot,
      subscription: context.names.subscription,
    });
    await context.progress('comparing what was written since the verification');
    readers.refuseFutileFence(await readers.advance(context.signal));
    const transfer = await transferSequences(await context.act('source'), await context.act('target'));
    refuseUnequal(transfer.differences);
    await tellExtra(context, transfer.extra);
    await context.record({ sequences: { total: transfer.states.length, moved: transfer.applied } });
    await lagIsLittle(context, 'source', context.names.slot);
    // What the target looks like before anybody writes there: a rollback holds it against later DDL.
    await context.record({ targetFingerprint: await readFingerprint(await context.act('target')) });
    refuseUnsettled(readers);
    return {
      sequencesMovedAhead: transfer.applied,
      rolesFollowed: roles.changes.slice(0, 50),
      schemaChangesFollowed: followed.slice(0, 50),
    };
  },
};

/** The forward readers, with a verification to build on: where the last one does not carry any more, after another. */
export async function verifiedReaders(context: StepContext): Promise<Readers> {
  let readers = await context.readers('forward');
  if (readers.failed) throw readers.failed;
  await readers.catchUp(context.request.deadlines.drainMs);
  await readers.forgetIfRewritten();
  // They may be of a timeline that was left; others are opened then.
  if (readers.failed) readers = await context.readers('forward');
  if (readers.needsVerification) {
    await context.progress('verifying once more: the last verification does not carry any more');
    await readers.verify(context);
  }
  return readers;
}

/** Refuses where the last verification has settled nothing: neither equal, nor a difference that is not to matter. */
export function refuseUnsettled(readers: Readers): void {
  if (readers.verdict === 'equal' || readers.isAccepted) return;
  throw new Problem('CONFLICT', `the last verification says ${readers.verdict ?? 'nothing'}, not equal`, {
    hint: 'GET /v1/verifications/{id} says why. Mend that and try again: it begins with another verification then.',
  });
}

/** Waits until what is left to drain inside the fence is little. */
export async function lagIsLittle(context: StepContext, publisher: Side, slot: string): Promise<void> {
  await pollUntil(context, context.request.deadlines.drainMs, 'the lag to be small', async () => {
    const lag = await slotLag(context, publisher, slot);
    return lag !== null && lag < LITTLE_LAG_BYTES;
  });
}

/** Proves the target equal at an LSN, under writes. */
export const verificationStep: UpgradeStep = {
  name: 'verification',
  phase: 'verify',

  async run(context) {
    const readers = await context.readers('forward');
    return await readers.verify(context);
  },
};
