import { RELATIONS_OF_KIND } from '../postgres/catalog/preflight-relations.sql.js';
import { Problem } from '../problems/problem.js';
import { PASSED, SOURCE, TARGET } from './plan/upgrade-plan.examples.js';
import type { UpgradeReport } from './report/upgrade-report.js';
import type { UpgradeDto } from './upgrade-view.js';
import type { CreateUpgradeDto } from './upgrades.dto.js';

/* Of steps and checks only one or two are shown, where the service answers with all of them. */

export const CREATE_UPGRADE = {
  name: 'orders-14-to-18',
  source: SOURCE,
  target: TARGET,
  traffic: { kind: 'sql-fence' },
  gates: ['switchover'],
} satisfies CreateUpgradeDto;

const WARNING: UpgradeDto['preflight'][number] = {
  ...{ check: 'foreign-tables', severity: 'warning', passed: false, observed: '1 foreign tables: public.rates' },
  expected: 'no foreign tables: logical replication does not carry them',
  remedy: 'Only their definition is moved; check it on the target.',
  sql: RELATIONS_OF_KIND.trim(),
  rows: [{ object: 'public.rates', kind: 'f' }],
};

const VERIFICATION = { id: '6b0f7f4c-31a5-4a55-a6d1-0a2f3d9b7c18', verdict: 'equal', verifiedLsn: '0/3A4F0D18' };

const COPIED: UpgradeDto['steps'][number] = {
  ...{ name: 'initial-copy', state: 'done' },
  ...{ startedAt: '2026-07-01T12:00:06.204Z', finishedAt: '2026-07-01T12:00:41.562Z' },
  detail: { tables: 3, bytes: 104_259_584, ms: 35_341 },
};

const VERIFIED: UpgradeDto['steps'][number] = {
  ...{ name: 'verification', state: 'done' },
  ...{ startedAt: '2026-07-01T12:00:46.011Z', finishedAt: '2026-07-01T12:01:02.874Z' },
  detail: { ...VERIFICATION, method: 'own-slot', tables: 3, rows: 1_204_000, ms: 16_790 },
};

/** As it is just after it was created. */
export const NEW_UPGRADE: UpgradeDto = {
  ...{ name: CREATE_UPGRADE.name, phase: 'preflight', operationId: '0191e7a4-5d0a-4d8e-9a55-0e5f4a2d7c11' },
  ...{ source: SOURCE, target: TARGET },
  steps: [due('preflight'), due('roles')],
  ...{ preflight: [], awaiting: null, writeTo: 'source', switchover: null, rollback: null, verification: null },
  ...{ problem: null, createdAt: '2026-07-01T12:00:00.530Z' },
};

/** Copied and verified; the writers are moved once that is approved. */
export const AWAITING_UPGRADE: UpgradeDto = {
  ...{ ...NEW_UPGRADE, phase: 'awaiting-approval', awaiting: 'switchover', verification: VERIFICATION },
  ...{ steps: [COPIED, VERIFIED], preflight: [PASSED, WARNING] },
};

/** Its phase changes with the first step that runs. */
export const APPROVED_UPGRADE: UpgradeDto = { ...AWAITING_UPGRADE, awaiting: null };

export const ABORTING_UPGRADE: UpgradeDto = {
  ...{ ...APPROVED_UPGRADE, phase: 'aborting', operationId: 'd3c9a6a1-7f52-4f3e-8d0b-94b1f0e6c2aa' },
};

const PASSAGE = {
  ...{ fenceLsn: '0/3A52B8C0', fencedAt: '2026-07-01T12:10:00.071Z', drainedAt: '2026-07-01T12:10:00.236Z' },
  ...{ openedAt: '2026-07-01T12:10:00.432Z', writePauseMs: 412, fenceProof: 'held' as const },
};

const FENCED: UpgradeDto['steps'][number] = {
  ...{ name: 'fence', state: 'done' },
  ...{ startedAt: '2026-07-01T12:10:00.012Z', finishedAt: '2026-07-01T12:10:00.098Z' },
  detail: {
    ...{ roles: [{ name: 'app', method: 'nologin' }], terminated: 4, fenceLsn: PASSAGE.fenceLsn, otherWriters: [] },
  },
};

const OPENED: UpgradeDto['steps'][number] = {
  ...{ name: 'open-target', state: 'done' },
  ...{ startedAt: '2026-07-01T12:10:00.401Z', finishedAt: '2026-07-01T12:10:00.440Z' },
  detail: { openedAt: PASSAGE.openedAt, writePauseMs: PASSAGE.writePauseMs },
};

const SWITCHED_UPGRADE: UpgradeDto = {
  ...{ ...APPROVED_UPGRADE, phase: 'switched', steps: [FENCED, OPENED], writeTo: 'target', switchover: PASSAGE },
};

/** By name. */
export const UPGRADES: UpgradeDto[] = [
  {
    ...{ ...SWITCHED_UPGRADE, name: 'billing-13-to-18', operationId: '7a1d9c52-0b6e-4e0f-8c3f-2f6f5b8e9d40' },
    source: { server: 'billing-13', database: 'billing' },
    target: { server: 'billing-18', database: 'billing' },
  },
  AWAITING_UPGRADE,
];

export const ROLLING_BACK_UPGRADE: UpgradeDto = {
  ...{ ...SWITCHED_UPGRADE, phase: 'rolling-back', operationId: '2e8b4f17-96c0-4d57-b1a3-5c7d0f9e6b82' },
  steps: [OPENED, due('rollback-schema')],
};

export const FINALIZING_UPGRADE: UpgradeDto = {
  ...{ ...SWITCHED_UPGRADE, operationId: 'c50e7d3b-4a28-49f6-9e1c-8b2a6d0f7e95', steps: [OPENED, due('finalize')] },
};

/** It had failed at a difference, which is mended. */
export const RETRIED_UPGRADE: UpgradeDto = {
  ...{ ...APPROVED_UPGRADE, phase: 'preflight', operationId: '95f6b0d8-2c3e-4b71-8a4d-e7c1f3a09b64' },
  steps: [COPIED, { ...VERIFIED, state: 'failed', detail: { problem: different() } }],
  verification: { ...VERIFICATION, verdict: 'different' },
};

export const REPORT: UpgradeReport = {
  ...{ name: SWITCHED_UPGRADE.name, phase: 'switched' },
  source: { ...SOURCE, version: '14.23' },
  target: { ...TARGET, version: '18.6' },
  ...{ bytes: 104_251_392, rows: 1_204_000, tables: 2 },
  steps: [FENCED, OPENED].map(({ detail: _told, ...step }) => ({
    ...step,
    ms: Date.parse(step.finishedAt!) - Date.parse(step.startedAt!),
  })),
  warnings: [{ check: WARNING.check, observed: WARNING.observed, remedy: WARNING.remedy }],
  verification: VERIFICATION,
  switchover: { ...PASSAGE, startedAt: '2026-07-01T12:10:00.020Z', terminated: 4, markerLsn: '0/3A52BB48' },
  ...{ rollback: null, sequences: { total: 2, moved: 2 }, keysChecked: 118 },
  notCarried: [
    {
      ...{ kind: 'foreign table', objects: ['public.rates'] },
      remedy: 'Defined on the target; its data stays where it is. Check its server and user mapping.',
    },
  ],
  remains: [
    'The way back is open and keeps WAL on the target while it lags: roll back, or finalize when sure.',
    'Point what reaches the source by other ways (cron, foreign servers, dashboards) at the target.',
    'foreign table (1): Defined on the target; its data stays where it is. Check its server and user mapping.',
  ],
};

function due(name: string): UpgradeDto['steps'][number] {
  return { name, state: 'pending', startedAt: null, finishedAt: null, detail: null };
}

function different() {
  const row = { schema: 'public', table: 'orders', kind: 'different', key: { id: '42' } };
  return new Problem('CONFLICT', 'the verification says different: public.orders different', {
    hint: 'Look at the differences, repair them, then try the same again: it begins with another verification.',
    extra: { differences: [{ ...row, publisherLsn: VERIFICATION.verifiedLsn }] },
  }).toDocument();
}
