import { Problem } from '../../../problems/problem.js';
import { majorOf } from '../../../shared/server-version.js';

/**
 * One option, argument or clause of PostgreSQL's replication statements: from which version it is taken, when it can
 * be altered, and what to do where it cannot be had. Plain data: the statements are built by it, requests are checked
 * by it without a server, and docs/options.md is made from it. Versions are `server_version_num`s of first releases.
 */
export interface OptionRule {
  /** As our API names it, a path into the body; null: the API does not offer it. */
  option: string | null;
  /** As PostgreSQL writes it. */
  keyword: string;
  /** A piece of SQL that uses it; `p`, `t` and `s` are a publication, a table and a subscription. */
  example: string;
  /** First version whose CREATE takes it. */
  since: number;
  /** First version whose ALTER takes it; null: it cannot be altered; absent: as `since`. */
  alterSince?: number | null;
  /** What the object must be like to be altered. */
  alterWhile?: string;
  /**
   * When ALTER also changes the slot on the publisher: it cannot run inside a transaction block then, and needs a
   * publisher of that version.
   */
  altersSlot?: { when: 'always' | 'when false'; publisherSince: number };
  /** What holds when it is left out, from the version on that it holds for. */
  defaults: readonly { since: number; value: string }[];
  /** The publisher's first version that plays along, and what comes of an older one. */
  publisher?: { since: number; older: 'refused' | 'ignored'; meaning: string };
  /** What to do instead, on an older server or where it cannot be altered. */
  instead: string;
}

const ONLY_AT_CREATION = 'Before, it takes effect only at creation: leave it as it is, or create another beside it.';

/** Throws OPTION_NOT_SUPPORTED unless the server is new enough for it. `pointer` is a path into the request. */
export function requireOption(
  { option, keyword, since, instead }: OptionRule,
  versionNum: number,
  pointer: string,
): void {
  requireVersion(versionNum, since, option ?? keyword, pointer, instead);
}

/** The same for a change of what exists already. CONFLICT where no version can change it. */
export function requireAlterable(rule: OptionRule, versionNum: number, pointer: string): void {
  requireOption(rule, versionNum, pointer);
  const { option, keyword, since, alterSince = since, instead } = rule;
  const name = option ?? keyword;
  if (alterSince === null) {
    throw new Problem('INVALID_INPUT', `the option ${name} cannot be changed later`, {
      hint: instead,
      errors: [{ pointer: `#${pointer}`, detail: 'takes effect only at creation' }],
      extra: { rule: 'only-at-creation', option: name },
    });
  }
  if (versionNum < alterSince) {
    throw unsupported(versionNum, alterSince, `changing ${name}`, name, pointer, ONLY_AT_CREATION);
  }
}

/** Throws OPTION_NOT_SUPPORTED unless the server is at least `since`. `pointer` is a path into the request. */
export function requireVersion(
  versionNum: number,
  since: number,
  option: string,
  pointer: string,
  instead: string,
): void {
  if (versionNum < since) throw unsupported(versionNum, since, option, option, pointer, instead);
}

function unsupported(
  versionNum: number,
  since: number,
  what: string,
  option: string,
  pointer: string,
  instead: string,
): Problem {
  return new Problem(
    'OPTION_NOT_SUPPORTED',
    `${what} needs PostgreSQL ${majorOf(since)}; this server is ${majorOf(versionNum)}`,
    {
      hint: instead,
      errors: [{ pointer: `#${pointer}`, detail: `needs PostgreSQL ${majorOf(since)}` }],
      extra: { rule: 'version', option, minimumVersion: majorOf(since), serverVersion: majorOf(versionNum) },
    },
  );
}
