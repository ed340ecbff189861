/** A validated upgrade request, as stored. Writer passwords are kept apart, encrypted. */
export interface UpgradeRequest {
  name: string;
  source: { server: string; database: string };
  target: { server: string; database: string };
  copy: { method: 'tablesync' };
  verification: { required: boolean; maxParallel: number };
  traffic: { kind: 'sql-fence' };
  /** Null means every role found able to write. */
  writerRoles: string[] | null;
  gates: Gate[];
  deadlines: { fenceMs: number; drainMs: number; slotMs: number };
  replicaIdentity: 'require' | 'full-where-missing';
}

export const GATES = ['copy', 'switchover'] as const;
export type Gate = (typeof GATES)[number];

/** Verdict of the upgrade's own life; see docs/glossary.md for each word. */
export type UpgradePhase =
  | 'preflight'
  | 'blocked'
  | 'prepare'
  | 'copy'
  | 'catch-up'
  | 'verify'
  | 'awaiting-approval'
  | 'switchover'
  | 'switched'
  | 'finalized'
  | 'aborting'
  | 'aborted'
  | 'rolling-back'
  | 'rolled-back'
  | 'failed';

export type StepState = 'pending' | 'running' | 'done' | 'failed' | 'undone' | 'skipped';
