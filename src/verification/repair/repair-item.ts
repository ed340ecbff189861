import type { DifferenceKind } from '../at-rest/difference.js';

/** A difference that is to be repaired. */
export interface RepairItem {
  /** Its number among the differences of the verification. */
  position: number;
  kind: DifferenceKind | 'local-write';
  /** Column names to texts; null for a table without a usable key. */
  key: Record<string, string | null> | null;
  /** An earlier life of the repair was about to commit it. */
  intended: boolean;
}

/**
 * `repaired`: written. `gone`: the sides agreed, nothing was written. `changed`: the row was changed so often that it
 * could not be judged. `not-repaired`: something was in the way that may pass. `not-repairable`: something that stays.
 */
export const REPAIR_OUTCOMES = ['repaired', 'gone', 'changed', 'not-repaired', 'not-repairable'] as const;
export type RepairOutcome = (typeof REPAIR_OUTCOMES)[number];

export interface RepairedItem {
  position: number;
  outcome: RepairOutcome;
  reason: string | null;
}

export const KEYLESS =
  'the table has no usable key, so one of several equal rows cannot be told from another; copy the table afresh (resync)';
