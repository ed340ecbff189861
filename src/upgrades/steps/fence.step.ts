import { failpoint } from '../../engine/failpoints.js';
import { planWritersFence } from '../traffic/plan-writers-fence.js';
import { protectedRoles } from '../traffic/protected-roles.js';
import { proveBar } from '../traffic/prove-bar.js';
import { lowerFence, raiseFence } from '../traffic/sql-fence.js';
import type { WriterQuestion } from '../traffic/writers.js';
import { Problem } from '../../problems/problem.js';
import { readSubscriptions, type Subscription } from '../../postgres/catalog/subscriptions.js';
import { knownWriters } from '../facts.js';
import type { Side, StepContext, UpgradeStep } from '../workflow/step.js';

/** Bars the writers of the source and ends their sessions. From here nobody may write until one side is opened. */
export const fenceStep: UpgradeStep = {
  name: 'fence',
  phase: 'switchover',

  async run(context) {
    await context.progress('fencing the writers of the source');
    const source = await context.act('source');
    const target = await context.act('target');
    const [subscription] = await readSubscriptions(target, context.names.subscription);
    if (!context.facts.sourceFence) refuseIdle(context.names.subscription, subscription);
    // Planned once: after a crash half way the roles would be recorded as barred.
    const plan = context.facts.sourceFence ?? (await planFor(context, 'source'));
    await failpoint('upgrade.fence.planned');
    const startedAt = context.facts.switchover?.startedAt ?? new Date().toISOString();
    await context.record({
      errorCounters: subscription?.errors ?? null,
      applyWorkerPid: subscription?.workers.find(({ kind }) => kind === 'apply')?.pid ?? null,
      sourceFence: plan,
      switchover: { startedAt },
    });
    const record = context.facts.sourceFence!;
    await context.setWriteTo(null);
    const raised = await raiseFence(source, record, {
      deadlineMs: context.request.deadlines.fenceMs,
      signal: context.signal,
    });
    await context.record({
      switchover: {
        startedAt,
        fencedAt: raised.barredAt,
        fenceLsn: raised.fenceLsn,
        terminated: raised.terminated,
      },
    });
    return {
      roles: record.roles.map(({ name, method }) => ({ name, method })),
      terminated: raised.terminated,
      fenceLsn: raised.fenceLsn,
      otherWriters: raised.otherWriters?.map(({ pid, user }) => ({ pid, user })) ?? 'unknown',
    };
  },

  async undo(context) {
    return await lowerSourceFence(context);
  },
};

/** Inside the fence a link that does not apply would be waited for, with nobody able to write, to no end. */
export function refuseIdle(name: string, subscription: Subscription | undefined): void {
  const hint = 'The subscriber’s log says why its worker does not run. Nobody was stopped; try again once it does.';
  const refused = (what: string) => new Problem('CONFLICT', `subscription ${name} ${what}`, { hint, retryable: true });
  if (!subscription) throw refused('is gone');
  if (!subscription.enabled) throw refused('is disabled');
  if (!subscription.workers.some(({ kind }) => kind === 'apply')) throw refused('has no apply worker');
}

/** Shows, by catalog and by logging in, that no writer gets in. */
export async function proveSourceBar(context: StepContext): Promise<void> {
  const proof = await proveBar(
    await context.connection('source'),
    context.facts.sourceFence!,
    (role) => context.writerPassword(role) ?? undefined,
  );
  if (!proof.held) {
    throw new Problem('CONFLICT', 'the bar does not hold for every writer role', { extra: { proof: proof.roles } });
  }
}

/** Lets the source's writers in again, exactly as they were. */
export async function lowerSourceFence(context: StepContext): Promise<Record<string, unknown> | null> {
  const record = context.facts.sourceFence;
  if (!record) return null;
  const others = await lowerFence(await context.act('source'), record);
  if (others.length > 0) await context.event('fence-changed-by-others', { side: 'source', differences: others });
  await context.forget('sourceFence', 'switchover', 'errorCounters', 'applyWorkerPid');
  await context.setWriteTo('source');
  return { roles: record.roles.map(({ name }) => name) };
}

/** Who has to be barred on that side, and how; refuses when somebody cannot be. */
export async function planFor(context: StepContext, side: Side) {
  const known = knownWriters(context.facts, side);
  return await planWritersFence(await context.act(side), context.request.writerRoles, await context.user(side), known);
}

/** Whom a fence of that side is for. */
export async function whoWrites(context: StepContext, side: Side): Promise<WriterQuestion> {
  const { writerRoles: requested } = context.request;
  return {
    ...(requested === null ? {} : { requested }),
    excluded: await excludedRoles(context, side),
    known: knownWriters(context.facts, side),
  };
}

/** Never barred: Lockstep's login, the user the other server connects as, owners of subscriptions. */
export async function excludedRoles(context: StepContext, side: Side): Promise<string[]> {
  return await protectedRoles(await context.act(side), [await context.user(side)]);
}
