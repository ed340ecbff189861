import { compareFingerprints, readFingerprint } from '../../postgres/schema/fingerprint.js';
import { compareSequences, readSequences, transferSequences } from '../../postgres/schema/sequences.js';
import { type Session, withSession } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { differing } from '../workflow/reader-problems.js';
import type { UpgradeStep } from '../workflow/step.js';

/** Every sequence exactly: last value and whether it was called. Only those that moved since the pre-sync are set. */
export const sequencesStep: UpgradeStep = {
  name: 'sequences',
  phase: 'switchover',

  async run(context) {
    await context.progress('moving sequences');
    const transfer = await transferSequences(await context.act('source'), await context.act('target'));
    if (transfer.differences.length > 0) throw sequenceProblem(transfer.differences);
    await context.record({
      sequences: {
        total: transfer.states.length,
        moved: transfer.applied + (context.facts.sequences?.moved ?? 0),
      },
    });
    return { total: transfer.states.length, movedInsideFence: transfer.applied };
  },
};

/**
 * The proof inside the fence: every key touched since the last verified LSN is equal on both sides, sequences have
 * not moved since they were read, and the source's schema is the one that the target follows. Never a scan.
 */
export const finalCheckStep: UpgradeStep = {
  name: 'final-check',
  phase: 'switchover',

  async run(context) {
    await context.progress('final check');
    const [source, target] = [await context.act('source'), await context.act('target')];
    const readers = await context.readers('forward');
    const [touched, sequences, schema] = await Promise.all([
      // Not asked for where a difference was accepted: there is no equality to build on.
      readers.isAccepted ? { keys: 0, differences: [] } : readers.checkTouched(context.signal),
      comparedSequences(source, target),
      withSession(await context.connection('source'), { purpose: 'final check' }, readFingerprint),
    ]);
    refuseDifferences(touched.differences);
    if (sequences.differences.length > 0) throw sequenceProblem(sequences.differences);
    const drift = compareFingerprints(context.facts.fingerprint!, schema);
    if (drift.length > 0) {
      throw new Problem(
        'CONFLICT',
        `the source's schema changed while the writers were stopped: ${drift.slice(0, 10).join('; ')}`,
        {
          hint: 'Let the migration end, make the same change on the target or undo it on the source, then try again.',
          extra: { changes: drift.slice(0, 200) },
        },
      );
    }
    await context.record({ keysChecked: touched.keys });
    return {
      keysChecked: touched.keys,
      sequencesChecked: sequences.total,
      schemaObjectsChecked: schema.entries.length,
    };
  },
};

export function refuseDifferences(differences: Record<string, unknown>[]): void {
  if (differences.length > 0) throw differing(differences);
}

export async function comparedSequences(source: Session, target: Session) {
  const [expected, actual] = await Promise.all([readSequences(source), readSequences(target)]);
  return { total: expected.length, differences: compareSequences(expected, actual) };
}

export function sequenceProblem(differences: { schema: string; name: string; kind: string }[]): Problem {
  const named = differences.slice(0, 10).map(({ schema, name, kind }) => `${schema}.${name} (${kind})`);
  return new Problem('CONFLICT', `${differences.length} sequences are not equal: ${named.join(', ')}`, {
    hint: 'Somebody whom the fence does not bar, such as a superuser, set or altered them while the writers were stopped: let that end, then try again.',
    extra: { sequences: differences.slice(0, 200) },
  });
}
