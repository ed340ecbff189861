import type { Comparison } from './compare-databases.js';
import { count } from './screen.js';
import type { UpgradeView, VerificationView } from './upgrade-view.js';
import { held, type LedgerVerdict } from './workload/ledger.js';
import type { WorkloadFigures } from './workload/workload.js';

/** Everything known once the writers have stopped on the target. */
export interface Outcome {
  sourceVersion: string;
  targetVersion: string;
  upgrade: UpgradeView;
  verification: VerificationView;
  clients: WorkloadFigures & { writers: number };
  ledger: LedgerVerdict;
  comparison: Comparison;
  seconds: number;
}

/** What was promised and did not hold, one sentence each; empty when all did. */
export function broken({ upgrade, verification, clients, ledger, comparison }: Outcome): string[] {
  const { switchover, writeTo } = upgrade;
  const moved = clients.moves.length;
  const findings = [...ledger.lost.map((id) => `lost: ${id}`), ...ledger.duplicated.map((id) => `duplicated: ${id}`)];
  const conditions: [boolean, string][] = [
    [verification.verdict === 'equal', `the verification says ${verification.verdict ?? 'nothing'}`],
    [writeTo === 'target', `writes go to ${writeTo ?? 'nowhere'}`],
    [switchover?.fenceProof === 'held', `the fence is ${switchover?.fenceProof ?? 'not proven'}`],
    [typeof switchover?.writePauseMs === 'number', 'the write pause is unknown'],
    [moved === clients.writers, `${moved} of ${clients.writers} writers moved to the target`],
    [clients.acknowledgedSinceMove > 0, 'nothing was written on the target'],
    [held(ledger), 'the ledger of acknowledged writes does not hold'],
  ];
  return [
    ...conditions.filter(([holds]) => !holds).map(([, sentence]) => sentence),
    ...findings,
    ...ledger.mismatches,
    ...new Set(clients.defects),
    ...comparison.differences,
  ];
}

/** The table at the end. */
export function summary(outcome: Outcome): string {
  const { upgrade, verification, clients, ledger, comparison } = outcome;
  const verified = verification.tables.reduce((sum, table) => sum + (table.rows ?? 0), 0);
  const pauses = clients.moves.map((move) => move.pauseMs).sort((a, b) => a - b);
  const ms = (value: number | null | undefined): string =>
    typeof value === 'number' ? `${Math.round(value)} ms` : 'unknown';
  const rows: [string, string][] = [
    ['versions', `PostgreSQL ${outcome.sourceVersion} -> ${outcome.targetVersion}`],
    [
      'rows verified',
      `${count(verified)}, ${verification.verdict ?? 'no verdict'} at ${verification.verifiedLsn ?? 'no LSN'}`,
    ],
    ['fence', `${upgrade.switchover?.fenceProof ?? 'not proven'} at ${upgrade.switchover?.fenceLsn ?? 'no LSN'}`],
    ['write pause, server', ms(upgrade.switchover?.writePauseMs)],
    ['write pause, clients', `median ${ms(pauses[Math.floor((pauses.length - 1) / 2)])}, worst ${ms(pauses.at(-1))}`],
    [
      'acknowledged writes',
      `${count(ledger.acknowledged)}, ${count(clients.acknowledgedSinceMove)} of them on the target`,
    ],
    ['lost', String(ledger.lost.length)],
    ['duplicated', String(ledger.duplicated.length)],
    ['different', String(ledger.mismatches.length)],
    ['attempts repeated', `${count(clients.failedAttempts)}, for ${count(clients.retried)} writes`],
    [
      'both servers',
      `${comparison.differences.length === 0 ? 'equal' : 'DIFFERENT'}: ${comparison.tables} tables, ${count(comparison.rows)} rows, ${comparison.sequences} sequences`,
    ],
    ['time in all', `${outcome.seconds.toFixed(0)} s`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}   ${value}`).join('\n');
}
