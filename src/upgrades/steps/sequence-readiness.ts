import type { SequenceDifference, SequenceTransfer } from '../../postgres/schema/sequences.js';
import { Problem } from '../../problems/problem.js';
import type { StepContext } from '../workflow/step.js';
import { sequenceProblem } from './final-check.step.js';

/** Sequences that no transfer makes equal; those that are moving now are set once more inside the fence. */
export function refuseUnequal(differences: SequenceDifference[]): void {
  const lasting = differences.filter(({ kind }) => kind !== 'different');
  if (lasting.length === 0) return;
  const { code, detail, options } = sequenceProblem(lasting);
  throw new Problem(code, detail, {
    ...options,
    hint: 'Make what is missing as the other side has it. What is unknown the login may not read: grant it SELECT on the sequence and USAGE on its schema. Then try again.',
  });
}

/** Sequences that only the target has are left alone, and told of; a rollback must not look for them on the source. */
export async function tellExtra(context: StepContext, extra: SequenceTransfer['extra']): Promise<void> {
  await context.record({ sequencesAhead: extra });
  if (extra.length > 0) await context.event('sequences-only-on-target', { sequences: extra.slice(0, 200) });
}

/** Without those that the source never had. */
export function broughtBack({ facts }: StepContext, differences: SequenceDifference[]): SequenceDifference[] {
  const ahead = new Set((facts.sequencesAhead ?? []).map(({ schema, name }) => JSON.stringify([schema, name])));
  return differences.filter(
    ({ schema, name, kind }) => kind !== 'missing' || !ahead.has(JSON.stringify([schema, name])),
  );
}
