import { readReplicationSlots } from '../../postgres/catalog/replication-slots.js';
import { readSubscriptions } from '../../postgres/catalog/subscriptions.js';
import { SYSTEM_IDENTIFIER } from '../../postgres/catalog/server-facts.sql.js';
import { SUBSCRIPTION_CONNECTION } from '../../postgres/catalog/upgrade.sql.js';
import {
  createSubscription,
  disableSubscription,
  dropSubscriptionKeepingSlot,
  enableSubscription,
} from '../../postgres/ddl/subscription.ddl.js';
import type { Statement } from '../../postgres/ddl/statement.js';
import { createLogicalSlot, dropLogicalSlot } from '../../postgres/replication/logical-slot.js';
import { PG14, PG16 } from '../../shared/server-version.js';
import { Problem } from '../../problems/problem.js';
import type { Side, StepContext, UpgradeStep } from '../workflow/step.js';
import { pollUntil } from '../workflow/poll.js';

/** The forward slot: made by us, with a deadline that names what holds it up, not by CREATE SUBSCRIPTION. */
export const replicationSlotStep: UpgradeStep = {
  name: 'replication-slot',
  phase: 'copy',

  async run(context) {
    await context.progress('creating the replication slot');
    return await ensureSlot(context, 'source', context.names.slot, context.request.deadlines.slotMs);
  },

  async undo(context) {
    // Named by the subscriber: a target that is left as it is says no more which they are.
    if (context.isLeft('target')) {
      await removeTablesyncSlots(context, 'source', tablesyncSlot('\\d+', await context.systemIdentifier('target')));
    }
    return await removeSlot(context, 'source', context.names.slot);
  },
};

export const subscriptionStep: UpgradeStep = {
  name: 'subscription',
  phase: 'copy',

  async run(context) {
    return await ensureSubscription(context, 'target', {
      name: context.names.subscription,
      publication: context.names.publication,
      slot: context.names.slot,
      copyData: true,
    });
  },

  async undo(context) {
    if (context.isLeft('source')) await tellUnfinished(context);
    return await removeSubscription(context, 'target', context.names.subscription);
  },
};

/** Which tables a target that stays without its source has not got whole; afterwards nothing would tell. */
async function tellUnfinished(context: StepContext): Promise<void> {
  const [link] = await readSubscriptions(await context.act('target'), context.names.subscription);
  const unfinished = (link?.tables ?? []).filter(({ state }) => state !== 'ready');
  if (unfinished.length === 0) return;
  const names = unfinished.map(({ schema, name }) => `${schema}.${name}`).join(', ');
  await context.record({
    leftovers: [...(context.facts.leftovers ?? []), `Not copied to the end, so not whole on the target: ${names}.`],
  });
}

export async function ensureSlot(context: StepContext, side: Side, slot: string, deadlineMs: number) {
  // First the session that shows us to be the one who may act: a slot that is being created is taken from its creator.
  await context.act(side);
  const connection = await context.connection(side);
  await createLogicalSlot(connection, slot, { deadlineMs, signal: context.signal });
  const [made] = await readReplicationSlots(await context.act(side), slot);
  if (!made || made.walStatus === 'lost') throw new Problem('CONFLICT', `replication slot ${slot} is gone or lost`);
  return { slot, confirmedFlushLsn: made.confirmedFlushLsn };
}

export async function removeSlot(context: StepContext, side: Side, slot: string) {
  const [existing] = await readReplicationSlots(await context.act(side), slot);
  if (!existing) return null;
  await dropLogicalSlot(await context.act(side), slot);
  return { dropped: slot };
}

interface LinkSpec {
  name: string;
  publication: string;
  slot: string;
  copyData: boolean;
}

/** CREATE SUBSCRIPTION on a slot that exists already. @param spec.connection holds a password */
export function subscribe(
  { name, publication, slot, copyData, connection }: LinkSpec & { connection: string },
  subscriberVersion: number,
  publisherVersion: number,
): Statement[] {
  const options = { createSlot: false, slotName: slot, copyData, enabled: true };
  return createSubscription(
    {
      name,
      connection,
      publications: [publication],
      options: { ...options, ...streaming(subscriberVersion, publisherVersion) },
    },
    subscriberVersion,
  );
}

/**
 * Creates the subscription on `side`, its publisher being the other one, unless it is there; and enables it. The slot
 * exists already, so nothing here waits for transactions on the publisher.
 */
export async function ensureSubscription(context: StepContext, side: Side, spec: LinkSpec) {
  const publisher: Side = side === 'target' ? 'source' : 'target';
  const session = await context.act(side);
  const publisherVersion = (await context.act(publisher)).versionNum;
  const [existing] = await readSubscriptions(session, spec.name);
  if (!existing) {
    const connection = await context.conninfoOf(publisher);
    await context.run(side, subscribe({ ...spec, connection }, session.versionNum, publisherVersion));
  } else if (!existing.enabled) {
    await context.run(side, enableSubscription(spec.name));
  }
  await pollUntil(context, 30_000, `the apply worker of ${spec.name} to start`, async () => {
    const [now] = await readSubscriptions(session, spec.name);
    return now?.workers.some((worker) => worker.kind === 'apply') ?? false;
  });
  return { subscription: spec.name, slot: spec.slot, encryption: await encryptionOf(context, publisher, spec.name) };
}

/** Waits until the publisher shows the subscription's connection, and answers what protects it there. */
async function encryptionOf(context: StepContext, publisher: Side, subscription: string): Promise<string> {
  const session = await context.act(publisher);
  let found: { encryption: string } | undefined;
  await pollUntil(context, 30_000, `the ${publisher} to be reached by subscription ${subscription}`, async () => {
    [found] = await session.rows<{ encryption: string }>(SUBSCRIPTION_CONNECTION, [subscription]);
    return found !== undefined;
  });
  return found!.encryption;
}

/** Large transactions are sent while they run wherever both ends can. */
function streaming(subscriber: number, publisher: number): { streaming?: 'on' | 'parallel' } {
  const both = Math.min(subscriber, publisher);
  if (both >= PG16) return { streaming: 'parallel' };
  return both >= PG14 ? { streaming: 'on' } : {};
}

/** Stops applying and waits until no worker is left: only then may the other direction be enabled. */
export async function disableAndWait(context: StepContext, side: Side, name: string): Promise<void> {
  const session = await context.act(side);
  const [existing] = await readSubscriptions(session, name);
  if (!existing) return;
  if (existing.enabled) await context.run(side, disableSubscription(name));
  await pollUntil(context, 30_000, `the workers of ${name} to end`, async () => {
    const [now] = await readSubscriptions(session, name);
    return now === undefined || now.workers.length === 0;
  });
}

/** Lets a subscription that was disabled apply again. */
export async function enableAgain(context: StepContext, side: Side, name: string) {
  const [existing] = await readSubscriptions(await context.act(side), name);
  if (!existing || existing.enabled) return null;
  await context.run(side, enableSubscription(name));
  return { enabled: name };
}

/** Drops the subscription without asking its publisher; the slot is dropped on the publisher as a step of its own. */
export async function removeSubscription(context: StepContext, side: Side, name: string) {
  const session = await context.act(side);
  const [existing] = await readSubscriptions(session, name);
  if (!existing) return null;
  await disableAndWait(context, side, name);
  const publisher: Side = side === 'target' ? 'source' : 'target';
  if (!context.isLeft(publisher)) {
    const { identifier } = await session.row<{ identifier: string }>(SYSTEM_IDENTIFIER);
    // Before the subscription: afterwards nothing would tell their names.
    await removeTablesyncSlots(context, publisher, tablesyncSlot(String(existing.oid), identifier));
  }
  await context.run(side, dropSubscriptionKeepingSlot(name));
  return { dropped: name };
}

/** Slots of unfinished table synchronisation (`pg_<subscription>_sync_<table>_<subscriber>`) stay behind otherwise. */
function tablesyncSlot(subscriptionOid: string, subscriberIdentifier: string): RegExp {
  return new RegExp(`^pg_${subscriptionOid}_sync_\\d+_${subscriberIdentifier}$`);
}

async function removeTablesyncSlots(context: StepContext, publisher: Side, leftover: RegExp): Promise<void> {
  const session = await context.act(publisher);
  const { database } = context.request[publisher];
  for (const slot of await readReplicationSlots(session)) {
    if (leftover.test(slot.name) && slot.database === database) {
      await dropLogicalSlot(session, slot.name);
    }
  }
}
