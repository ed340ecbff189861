/** The fields of Lockstep's answers that the demo reads. */

export interface UpgradePlan {
  name: string;
  source: { server: string; database: string };
  target: { server: string; database: string };
}

export interface PreflightCheck {
  check: string;
  severity: 'blocker' | 'warning' | 'info';
  passed: boolean;
  observed: unknown;
  expected: unknown;
  remedy: string | null;
}

export interface UpgradeView {
  name: string;
  phase: string;
  steps: { name: string; state: string; startedAt: string | null; finishedAt: string | null; detail: unknown }[];
  preflight: PreflightCheck[];
  awaiting: 'copy' | 'switchover' | null;
  writeTo: 'source' | 'target' | null;
  switchover: { fenceLsn: string | null; writePauseMs: number | null; fenceProof: 'held' | 'violated' | null } | null;
  verification: { id: string; verdict: string | null; verifiedLsn: string | null } | null;
  problem: { code?: string; detail?: string; title?: string } | null;
  source: { server: string; database: string };
  target: { server: string; database: string };
}

export interface VerificationView {
  verdict: string | null;
  verifiedLsn: string | null;
  progress: { rowsDone: number; percent: number | null } | null;
  tables: { rows: number | null }[];
}

export interface SubscriptionView {
  name: string;
  tables: { state: string }[];
  lag: { bytes: number | null; seconds: number | null } | null;
}

export interface Page<T> {
  items: T[];
}

/** Values of any JSON kind as one short text. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
