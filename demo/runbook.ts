import { setTimeout as delay } from 'node:timers/promises';
import type { Api } from './api.js';
import { FleetView } from './fleet-view.js';
import type { Screen } from './screen.js';
import { type PreflightCheck, shown, type UpgradePlan, type UpgradeView } from './upgrade-view.js';

/** Polling is part of the pause clients see, so it is quick from the approval on. */
const SWITCHING_POLL_MS = 50;
const POLL_MS = 250;
/** How often a switchover that missed a deadline and gave way is approved again. */
const MAX_APPROVALS = 3;

export interface Follower {
  screen: Screen;
  signal: AbortSignal;
  /** Told where clients may write, as often as Lockstep was asked. */
  onWriteTo: (writeTo: UpgradeView['writeTo']) => void;
  /** A few words on the clients, for the status line. */
  clients: () => string;
}

/** The request body of an upgrade, as one would paste it into Swagger UI. */
export function upgradeBody({ name, source, target }: UpgradePlan): Record<string, unknown> {
  return { name, source, target, traffic: { kind: 'sql-fence' }, gates: ['switchover'] };
}

/**
 * Takes a database from one registered server to the other through the API, like a runbook: preflight, start, follow,
 * approve once it is proven equal, follow until clients write to the target. Throws where the runbook would stop.
 */
export async function runUpgrade(api: Api, plan: UpgradePlan, follower: Follower): Promise<UpgradeView> {
  const { screen, signal } = follower;
  const body = upgradeBody(plan);
  const preflight = await api.post<{ preflight: PreflightCheck[] }>('/v1/upgrades/preflight', body);
  reportPreflight(screen, preflight.preflight);
  await api.post('/v1/upgrades', body);

  const path = `/v1/upgrades/${encodeURIComponent(plan.name)}`;
  const following = new AbortController();
  const either = AbortSignal.any([signal, following.signal]);
  const fleet = new FleetView(api, plan, either);
  const steps = new Map<string, string>();
  let approvals = 0;
  let approved = false;
  try {
    void fleet.follow(`${path}/events`);
    for (;;) {
      signal.throwIfAborted();
      const upgrade = await api.get<UpgradeView>(path);
      follower.onWriteTo(upgrade.writeTo);
      reportSteps(screen, upgrade, steps);
      switch (upgrade.phase) {
        case 'switched':
          return upgrade;
        case 'awaiting-approval':
          if (approved) break;
          // A missed deadline lifts the fence and brings the upgrade back here.
          if (upgrade.problem)
            screen.line(`the switchover gave way: ${shown(upgrade.problem.detail ?? upgrade.problem)}`);
          if (approvals === MAX_APPROVALS) throw new Error(`not switched after ${approvals} approvals`);
          requireEqual(upgrade);
          screen.line(`proven equal at ${upgrade.verification!.verifiedLsn!}; approving the switchover`);
          await api.post(`${path}/approve`, { gate: upgrade.awaiting });
          approvals++;
          approved = true;
          break;
        case 'blocked':
        case 'failed':
        case 'aborting':
        case 'aborted':
        case 'rolling-back':
        case 'rolled-back':
          throw new Error(`the upgrade is ${upgrade.phase}: ${shown(upgrade.problem ?? failed(upgrade.preflight))}`);
        default:
          approved = false;
      }
      const running = upgrade.steps.find((step) => step.state === 'running')?.name ?? upgrade.phase;
      screen.status([running, fleet.summary(upgrade), follower.clients()].filter(Boolean).join('  |  '));
      await delay(approvals > 0 ? SWITCHING_POLL_MS : POLL_MS, undefined, { signal });
    }
  } finally {
    following.abort();
  }
}

function requireEqual({ verification, awaiting }: UpgradeView): void {
  if (awaiting === 'switchover' && verification?.verdict !== 'equal') {
    throw new Error(`not approved: the verification says ${verification?.verdict ?? 'nothing'}`);
  }
}

function failed(checks: PreflightCheck[]): PreflightCheck[] {
  return checks.filter((check) => !check.passed);
}

function reportPreflight(screen: Screen, checks: PreflightCheck[]): void {
  const remarks = failed(checks);
  screen.line(`preflight: ${checks.length} checks, ${remarks.length} with something to say`);
  for (const { severity, check, observed, remedy } of remarks) {
    screen.line(`  ${severity}: ${check}: ${shown(observed)}${remedy ? ` -> ${remedy}` : ''}`);
  }
}

/** One line for each step that came to an end since the last look. */
function reportSteps(screen: Screen, upgrade: UpgradeView, known: Map<string, string>): void {
  for (const { name, state, startedAt, finishedAt } of upgrade.steps) {
    if (known.get(name) === state) continue;
    known.set(name, state);
    if (state === 'pending' || state === 'running') continue;
    const ms = startedAt && finishedAt ? ` in ${Date.parse(finishedAt) - Date.parse(startedAt)} ms` : '';
    screen.line(`${name}: ${state}${ms}`);
  }
}
