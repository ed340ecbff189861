export const AGREEMENT_STATES = ['agrees', 'disagrees', 'unknown'] as const;

export const CHECKS = [
  'connection-target',
  'slot-exists',
  'slot-kind',
  'slot-usable',
  'slot-ours',
  'origin',
  'publications-exist',
  'tables-on-subscriber',
  'tables-published',
  'columns',
  'replica-identity',
] as const;

export interface Verdict {
  /** `unknown`: it could not be looked at. Never taken for agreement. */
  state: (typeof AGREEMENT_STATES)[number];
  /** What was seen, or why nothing was. */
  reason: string;
  /** What to do; null where all is well, or nothing can be done here. */
  remedy: string | null;
  /** The statement that does it, a GRANT for example; null: none, or several, which the schema drift lists. */
  sql: string | null;
}

/** One thing in which both ends of a link must agree. */
export interface AgreementCheck extends Verdict {
  check: (typeof CHECKS)[number];
}
