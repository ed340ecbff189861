import type { UpgradeFacts } from '../facts.js';
import type { UpgradePhase } from '../upgrade-request.js';
import type { UpgradeEntity, VerificationSummary } from '../upgrade.entity.js';
import type { StepRow } from '../upgrade.repository.js';

/** What an upgrade did, for the record: everything read from the journal, nothing from the servers. */
export interface UpgradeReport {
  name: string;
  phase: string;
  source: { server: string; database: string; version: string | null };
  target: { server: string; database: string; version: string | null };
  bytes: number | null;
  rows: number | null;
  tables: number | null;
  steps: { name: string; state: string; startedAt: string | null; finishedAt: string | null; ms: number | null }[];
  warnings: { check: string; observed: string; remedy: string | null }[];
  verification: VerificationSummary | null;
  switchover: UpgradeFacts['switchover'] | null;
  rollback: UpgradeFacts['rollback'] | null;
  sequences: { total: number; moved: number } | null;
  keysChecked: number | null;
  /** Null: the upgrade did not come to look for it. */
  notCarried: NonNullable<UpgradeFacts['notCarried']> | null;
  /** What is to be done by whoever reads it; empty while it goes on by itself, and when nothing is. */
  remains: string[];
}

export function upgradeReport(upgrade: UpgradeEntity, steps: StepRow[]): UpgradeReport {
  const { facts, request } = upgrade;
  return {
    name: upgrade.name,
    phase: upgrade.phase,
    source: { ...request.source, version: facts.source?.version ?? null },
    target: { ...request.target, version: facts.target?.version ?? null },
    bytes: facts.bytes ?? null,
    rows: facts.rows ?? null,
    tables: facts.tables?.length ?? null,
    steps: steps.map((step) => ({
      name: step.name,
      state: step.state,
      startedAt: step.startedAt?.toISOString() ?? null,
      finishedAt: step.finishedAt?.toISOString() ?? null,
      ms: step.startedAt && step.finishedAt ? step.finishedAt.getTime() - step.startedAt.getTime() : null,
    })),
    warnings: upgrade.preflight
      .filter((result) => !result.passed && result.severity === 'warning')
      .map(({ check, observed, remedy }) => ({ check, observed, remedy })),
    verification: upgrade.verification,
    switchover: facts.switchover ?? null,
    rollback: facts.rollback ?? null,
    sequences: facts.sequences ?? null,
    keysChecked: facts.keysChecked ?? null,
    notCarried: facts.notCarried ?? null,
    remains: remains(upgrade),
  };
}

const KEEPS_WAL = 'slots that the upgrade has made keep WAL while they lag';

/** What is due of whoever runs the upgrade; empty in phases that go on by themselves. */
function due({ phase, awaiting, writeTo, problem }: UpgradeEntity): string[] {
  switch (phase) {
    case 'preflight':
      return problem === null ? [] : ['Mend the problem, then retry. Or abort.'];
    case 'blocked':
      return ['Mend what the preflight names as blockers, then retry. Or abort.'];
    case 'awaiting-approval':
      return awaiting === 'copy'
        ? ['Approve the copy, or abort.']
        : [`Approve the switchover, or abort: until then ${KEEPS_WAL} on the source.`];
    case 'switched':
      if (writeTo !== 'target') {
        return problem === null ? [] : ['The target is not open: mend the problem, then retry, which opens it.'];
      }
      return [
        'The way back is open and keeps WAL on the target while it lags: roll back, or finalize when sure.',
        'Point what reaches the source by other ways (cron, foreign servers, dashboards) at the target.',
      ];
    case 'rolled-back':
      return [`Retry for another switchover, or abort: until then ${KEEPS_WAL} on the source.`];
    case 'failed':
      return [`Mend the problem, then retry. Or abort: until then ${KEEPS_WAL} on the source.`];
    case 'aborting':
      return problem === null ? [] : ['Not everything was put back: mend the problem, then abort again.'];
    case 'rolling-back':
      return problem === null ? [] : ['Mend the problem, then roll back again.'];
    default:
      return [];
  }
}

function remains(upgrade: UpgradeEntity): string[] {
  const { phase, facts } = upgrade;
  const notes = [...(facts.leftovers ?? []), ...due(upgrade)];
  if (phase === 'switched' || phase === 'finalized') {
    for (const { kind, objects, remedy } of facts.notCarried ?? [])
      notes.push(`${kind} (${objects.length}): ${remedy}`);
  }
  return notes;
}

/** In these the upgrade does not go on by itself: what is left is known. */
const AT_REST: readonly string[] = ['finalized', 'aborted'] satisfies UpgradePhase[];

export function renderMarkdown(report: UpgradeReport): string {
  const { switchover, verification, rollback } = report;
  const lines = [
    `# Upgrade ${report.name}`,
    '',
    `Phase: **${report.phase}**`,
    '',
    '| | server | database | version |',
    '|---|---|---|---|',
    `| source | ${report.source.server} | ${report.source.database} | ${report.source.version ?? 'unknown'} |`,
    `| target | ${report.target.server} | ${report.target.database} | ${report.target.version ?? 'unknown'} |`,
    '',
    `Tables: ${report.tables ?? 'unknown'}, ${report.bytes === null ? 'unknown size' : `${report.bytes} bytes`}, ${report.rows ?? 'unknown'} rows.`,
    '',
    '## Proof',
    '',
    verification
      ? `- Verified **${verification.verdict ?? 'undecided'}** at publisher LSN ${verification.verifiedLsn ?? 'none'} (verification ${verification.id}).`
      : '- Not verified.',
  ];
  if (switchover?.fenceLsn) {
    lines.push(
      `- Fenced at ${switchover.fencedAt ?? '?'} (LSN ${switchover.fenceLsn}), ${switchover.terminated ?? 0} sessions ended; proof: **${switchover.fenceProof ?? 'none yet'}**.`,
      `- Drained at ${switchover.drainedAt ?? 'not yet'} (marker at LSN ${switchover.markerLsn ?? 'none'}).`,
      `- Keys touched since the verified LSN, all compared: ${report.keysChecked ?? 'not yet'}.`,
      `- Sequences: ${report.sequences ? `${report.sequences.total} equal, ${report.sequences.moved} moved` : 'not yet'}.`,
      `- Opened at ${switchover.openedAt ?? 'not yet'}; writes paused for **${switchover.writePauseMs ?? '?'} ms**.`,
    );
  }
  if (rollback?.openedAt) {
    lines.push(
      `- Rolled back: fenced at ${rollback.fencedAt ?? '?'} (LSN ${rollback.fenceLsn ?? '?'} of the target), proof: **${rollback.fenceProof ?? 'not asked for'}**; source opened at ${rollback.openedAt}; writes paused for **${rollback.writePauseMs ?? '?'} ms**.`,
      rollback.verifiedLsn
        ? `- Before the source was opened both sides were shown equal, at LSN ${rollback.verifiedLsn} of the target; keys written since the verification, all compared: ${rollback.keysChecked ?? 0}.`
        : '- Before the source was opened equality was not shown.',
    );
  }
  lines.push('', '## Steps', '', '| step | state | started | ms |', '|---|---|---|---|');
  for (const step of report.steps) {
    lines.push(`| ${step.name} | ${step.state} | ${step.startedAt ?? ''} | ${step.ms ?? ''} |`);
  }
  lines.push('', '## Not carried', '');
  if (report.notCarried === null) lines.push('Not looked for yet.');
  else if (report.notCarried.length === 0) lines.push('Nothing was left out.');
  for (const { kind, objects, remedy } of report.notCarried ?? []) {
    lines.push(`- ${kind}: ${objects.slice(0, 20).join(', ')}${objects.length > 20 ? ' …' : ''}. ${remedy}`);
  }
  if (report.warnings.length > 0) {
    lines.push('', '## Warnings of the preflight', '');
    for (const { check, observed, remedy } of report.warnings) lines.push(`- ${check}: ${observed}. ${remedy ?? ''}`);
  }
  lines.push('', '## What remains to do', '');
  const nothing = AT_REST.includes(report.phase) ? 'Nothing.' : 'Nothing but to wait: it goes on by itself.';
  lines.push(...(report.remains.length === 0 ? [nothing] : report.remains.map((note) => `- ${note}`)));
  return `${lines.join('\n')}\n`;
}
