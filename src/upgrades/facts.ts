import type { SchemaFingerprint } from '../postgres/schema/fingerprint.js';
import type { ProblemDocument } from '../problems/problem.js';
import type { FenceRecord } from './traffic/fence-record.js';

export interface TableName {
  schema: string;
  name: string;
}

/**
 * What the upgrade has learnt and done, stored before and after each act, so that any instance can go on or undo.
 * No secrets.
 */
export interface UpgradeFacts {
  source?: ServerFacts;
  target?: ServerFacts;
  /** Tables the publication names: plain tables and partition roots. */
  tables?: TableName[];
  /** Tables on the source whose replica identity we set to FULL, with what it was (`d` or `n`). */
  identityChanged?: (TableName & { before: 'd' | 'n' })[];
  /** Roles we created on the target. */
  rolesCreated?: string[];
  /** On the source, those whom the fence was ever to be for: a renamed role is still one of them. */
  writers?: { oid: number; name: string }[];
  /** The bar on the target's roles, as it was before. */
  targetBar?: FenceRecord;
  /** Schema of the source when it was dumped, or when the target last followed it; any later DDL shows against it. */
  fingerprint?: SchemaFingerprint;
  /** Schema of the target at that time: what the source changes later must change here too. */
  fingerprintOnTarget?: SchemaFingerprint;
  /** Schema of the target when it was opened. */
  targetFingerprint?: SchemaFingerprint;
  /** Error counters of the forward subscription before the fence; null below 15. */
  errorCounters?: { apply: number; sync: number } | null;
  applyWorkerPid?: number | null;
  /** The source's writers as they were before the fence. */
  sourceFence?: FenceRecord;
  /** The target's writers as they were before a rollback's fence. */
  rollbackFence?: FenceRecord;
  switchover?: SwitchoverFacts;
  rollback?: RollbackFacts;
  /** The operation that an abort ended. */
  abortedOperation?: string;
  notCarried?: { kind: string; objects: string[]; remedy: string }[];
  bytes?: number;
  /** As estimated before the copy, then as counted by the last verification of the target. */
  rows?: number;
  /** Publisher LSN up to which both sides were shown equal. */
  verifiedLsn?: string;
  /** The readers' slots were made: from here a missing one is a loss. */
  readersOpened?: boolean;
  /** Verdict of the last verification. */
  verdict?: string;
  /** ROW_STORAGE of both sides before it began: what changes without a trace in the streams shows against it. */
  verifiedStorage?: string;
  /** Timelines of both servers then: on another one the same LSNs are of other changes. */
  verifiedTimelines?: string;
  /** As those above, for the link of the way back while it is rolled back; the LSN is the target's. */
  backReadersOpened?: boolean;
  backVerifiedLsn?: string;
  backVerdict?: string;
  backVerifiedStorage?: string;
  backVerifiedTimelines?: string;
  /** When a rollback proves both sides equal: before it fences (default), or after it has opened the source. */
  rollbackVerification?: RollbackVerification;
  sequences?: { total: number; moved: number };
  /** Sequences that only the target had before it was opened. */
  sequencesAhead?: { schema: string; name: string }[];
  keysChecked?: number;
  leftovers?: string[];
  /** A problem that was met while a gate waited, and the one it is shown over. */
  watchProblem?: { told: ProblemDocument; over: ProblemDocument | null };
}

/** Of the facts, what is large: kept apart, so that neither a look at the upgrade nor a record moves it. */
export const FINGERPRINTS = ['fingerprint', 'fingerprintOnTarget', 'targetFingerprint'] as const;
export type Fingerprint = (typeof FINGERPRINTS)[number];
/** Facts that may be taken back. */
export type PassingFact = Exclude<keyof UpgradeFacts, Fingerprint>;

/** Oids, on that side, of the roles that were to be barred before, whatever they are called by now. */
export function knownWriters({ writers = [], targetBar }: UpgradeFacts, side: 'source' | 'target'): number[] {
  if (side === 'source') return writers.map(({ oid }) => oid);
  return (targetBar?.roles ?? [])
    .filter((role) => writers.some(({ name }) => name === role.name))
    .map(({ oid }) => oid);
}

export interface ServerFacts {
  version: string;
  versionNum: number;
}

/** One passage through the fence, in either direction. */
export interface SwitchoverFacts {
  startedAt: string;
  fencedAt?: string;
  fenceLsn?: string;
  terminated?: number;
  markerLsn?: string;
  drainedAt?: string;
  openedAt?: string;
  fenceProof?: 'held' | 'violated';
  writePauseMs?: number;
}

export const ROLLBACK_VERIFICATIONS = ['before', 'after'] as const;
export type RollbackVerification = (typeof ROLLBACK_VERIFICATIONS)[number];

export interface RollbackFacts extends SwitchoverFacts {
  /** Keys written on the target since it was verified, all compared inside the fence. */
  keysChecked?: number;
  /** LSN of the target at which both sides were shown equal inside the fence. */
  verifiedLsn?: string;
}
