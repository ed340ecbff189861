import { Problem } from '../../problems/problem.js';
import { formatLsn } from '../../shared/lsn.js';
import type { Difference } from '../../verification/at-rest/difference.js';
import type { LinkVerification } from '../../verification/at-rest/link-verification.js';
import { describeChange, type ForeignChange } from './local-writes.js';

export function differing(differences: Record<string, unknown>[]): Problem {
  return new Problem('CONFLICT', `${differences.length} rows differ between source and target`, {
    hint: 'See `differences`; repair them, then try once more: it begins with a verification.',
    extra: { differences: differences.slice(0, 50) },
  });
}

export function writtenLocally(side: string, changes: readonly ForeignChange[]): Problem {
  const where = changes.slice(0, 5).map(describeChange);
  return new Problem('CONFLICT', `somebody wrote on the ${side}: ${where.join(', ') || 'very much'}`, {
    hint: 'Find out who (a superuser, a trigger, a job), undo it, then try once more: it begins with a verification.',
    extra: { localWrites: changes.slice(0, 100) },
  });
}

export const REWRITTEN =
  'since it was verified a table was rewritten, made anew, attached, detached or published otherwise, which no change stream shows';

export function rewrittenSince(): Problem {
  return new Problem('CONFLICT', `the verification does not carry any more: ${REWRITTEN}`, {
    hint: 'Let the migration or maintenance end, then try once more: it begins with another verification.',
    retryable: true,
  });
}

export function notEqual(result: LinkVerification): Problem {
  const tables = result.tables.filter(({ verdict }) => verdict !== 'equal');
  const named = tables.slice(0, 10).map(({ schema, name, verdict, reason }) => {
    return `${schema}.${name} ${verdict}${reason ? ` (${reason})` : ''}`;
  });
  return new Problem('CONFLICT', `the verification says ${result.verdict}: ${named.join('; ') || result.reason}`, {
    hint: 'Look at the differences, repair them, then try the same again: it begins with another verification.',
    extra: {
      differences: result.differences.slice(0, 50).map(presented),
    },
  });
}

/** As JSON, without values: rows do not belong into problems and logs; the verification lists them. */
export function presented({ schema, table, kind, key, publisherLsn }: Difference): Record<string, unknown> {
  return { schema, table, kind, key, publisherLsn: formatLsn(publisherLsn) };
}
