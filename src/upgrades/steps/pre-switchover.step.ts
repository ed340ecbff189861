import { readFingerprint } from '../../postgres/schema/fingerprint.js';
import { transferSequences } from '../../postgres/schema/sequences.js';
import { Problem } from '../../problems/problem.js';
import { pollUntil } from '../workflow/poll.js';
import type { UpgradeStep } from '../workflow/step.js';
import { forwardLag } from './initial-copy.step.js';

/** The last drop of lag is drained inside the fence; more than this is drained before. */
const LITTLE_LAG_BYTES = 4_000_000;

/** Whatever can be done before the writers are stopped, so that they are stopped shortly. */
export const preSwitchoverStep: UpgradeStep = {
  name: 'pre-switchover',
  phase: 'verify',

  async run(context) {
    const readers = await context.readers();
    if (readers.failed) throw readers.failed;
    if (readers.needsVerification) {
      await context.progress('verifying once more: too much was written since the last time');
      await readers.verify(context);
    }
    const transfer = await transferSequences(await context.act('source'), await context.act('target'));
    await context.record({ sequences: { total: transfer.states.length, moved: transfer.applied } });
    await pollUntil(context, context.request.deadlines.drainMs, 'the lag to be small', async () => {
      const lag = await forwardLag(context);
      return lag !== null && lag < LITTLE_LAG_BYTES;
    });
    // What the target looks like before anybody writes there: a rollback holds it against later DDL.
    await context.record({ targetFingerprint: await readFingerprint(await context.act('target')) });
    const verdict = context.facts.verdict;
    if (context.request.verification.required && verdict !== 'equal') {
      throw new Problem('CONFLICT', `the last verification says ${verdict ?? 'nothing'}, not equal`);
    }
    return { sequencesMovedAhead: transfer.applied };
  },
};

/** Proves the target equal at an LSN, under writes. */
export const verificationStep: UpgradeStep = {
  name: 'verification',
  phase: 'verify',

  async run(context) {
    const readers = await context.readers();
    return await readers.verify(context);
  },
};
