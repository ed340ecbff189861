import { Injectable } from '@nestjs/common';
import { isDoneInPart, type Place } from '../changes/change.js';
import { readSubscriptionConnections, type Subscription } from '../postgres/catalog/subscriptions.js';
import { parseConninfo } from '../postgres/ddl/conninfo.js';
import { refusal } from '../postgres/ddl/options/combination-rules.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { formatLsn, type Lsn, parseLsn, ZERO_LSN } from '../shared/lsn.js';
import type { LeftSlot } from './left-slots/left-slot.repository.js';
import { LeftSlots } from './left-slots/left-slots.service.js';
import { PublisherEnds } from './publisher-ends.js';
import { type Whither, whither } from './publisher-identity.js';
import { hostOf, portOf, serverNamed } from './publisher-lookup.js';
import { lookAtSlot, requireFit, type SlotLook } from './slot-to-read.js';
import { leavingSlot, type SlotLeft, slotLeftBy } from './subscription-drop.js';
import { appliedLsn } from './subscription-lag.js';
import type { SubscriptionPatch } from './subscription-patch.js';
import { requireUnchanged } from './subscription-session.js';
import type { SubscriptionView } from './subscription-view.js';
import type { SubscriptionWarning } from './subscription-warnings.js';
import { TablesNeedingVerification } from './tables-needing-verification.repository.js';

/** Changes that the slot a subscription gets may not send. */
interface Gap {
  detail: string;
  /** Where the publisher's changes are had again, as far as that is known. */
  until: Lsn;
}

/** What a change of a subscription makes of the slot it had, and of the changes that were not applied yet. */
export interface SlotChange {
  /** Stays where it is, and nobody reads from it; null: none. */
  left: SlotLeft | null;
  /** Null: nothing is missed. */
  gap: Gap | null;
  warnings: SubscriptionWarning[];
}

/** What was asked of it. */
export interface SlotAsked {
  /** Where it will be read from; null: not known. */
  publisher: Place | null;
  /** What of the request names that. */
  named: 'publisher' | 'connection';
  force: boolean;
}

const NO_CHANGE: SlotChange = { left: null, gap: null, warnings: [] };

/** A subscription that gets another slot, none, or another publisher. */
@Injectable()
export class SlotChanges {
  constructor(
    private readonly servers: ServersService,
    private readonly ends: PublisherEnds,
    private readonly needs: TablesNeedingVerification,
    private readonly left: LeftSlots,
  ) {}

  /**
   * Rejects with PREREQUISITE_FAILED or SLOT_ACTIVE for a slot that cannot serve it, and unless forced with CONFLICT
   * for one that starts past what is applied, or may do so: one it is given, or the one of the same name elsewhere.
   */
  async of(
    subscriber: Place,
    current: Subscription,
    { connection, options = {} }: SubscriptionPatch,
    { publisher, named, force }: SlotAsked,
  ): Promise<SlotChange> {
    const { slotName = current.settings.slotName } = options;
    const isOther = slotName !== current.settings.slotName;
    if (!isOther && connection === undefined) return NO_CHANGE;
    const [view] = await this.ends.views(subscriber.server, subscriber.database, current.name);
    if (view === undefined) throw new Problem('CONFLICT', 'the subscription was dropped meanwhile');
    requireUnchanged(current, view);
    const to = connection === undefined ? 'same' : await this.whither(subscriber, view, connection, publisher);
    const left = isOther || isLeft(to, view, connection, publisher) ? slotLeftBy(view) : null;
    const change: SlotChange = { left, gap: null, warnings: left === null ? [] : [leftWarning(left)] };
    const isSame = !isOther && (to === 'same' || to === 'same-cluster');
    if (isSame || slotName === null) return change;
    const look = await lookAtSlot(this.servers, publisher, slotName);
    const pointer = isOther ? '#/options/slotName' : `#/${named}`;
    // Where it is not known whether the slot is the same, the reader may be the subscription itself.
    const mayBeOwn = !isOther && to === 'unknown';
    if (publisher !== null) requireFit(look, slotName, publisher, { pointer, mayBeOwn });
    const before = await this.leftBefore(subscriber, current.oid);
    // Its own former one goes on where it was left: it had confirmed more than the origin shows, and nobody reads it.
    if (publisher !== null && before.some((each) => isOf(each, slotName, publisher.server))) return change;
    const gap = gapOf(slotName, look, await this.applied(current, view, publisher, before.length === 0));
    if (gap === null) return change;
    if (!force) throw refuseGap(gap, look, pointer);
    return { ...change, gap, warnings: [...change.warnings, gapWarning(gap, isOther ? 'slotName' : null)] };
  }

  /** Runs the change. What it leaves and what is missed is recorded before, so that it is known whatever dies then. */
  async track(
    subscriber: Place,
    current: Subscription,
    change: SlotChange,
    run: () => Promise<unknown>,
  ): Promise<void> {
    if (change === NO_CHANGE) return void (await run());
    const { left, gap } = change;
    const { oid, tables } = current;
    if (gap !== null) await this.needs.mark({ ...subscriber, oid }, tables, gap.until, gap.detail);
    const record = () => this.left.record(leavingSlot(subscriber, current, left!));
    if (left !== null) await record();
    try {
      await run();
    } catch (error) {
      // A look at the subscription tells the rest.
      if (left !== null && isDoneInPart(error)) await this.left.confirm([await record()]);
      throw error;
    }
    // Once more: whoever looked at the record in between found the subscription unchanged, and forgot it.
    if (left !== null) await this.left.confirm([await record()]);
    await this.forgetTakenUp(subscriber, oid);
  }

  private async whither(
    { server, database }: Place,
    { name, publisher: before }: SubscriptionView,
    conninfo: string,
    publisher: Place | null,
  ): Promise<Whither> {
    const conninfos = await this.servers.withSession(server, database, (session) =>
      readSubscriptionConnections(session, name),
    );
    const from = { publisher: before, conninfo: conninfos?.get(name) ?? null };
    const address = serverNamed(server, await this.ends.addresses());
    return whither(this.servers, address, from, { publisher, conninfo });
  }

  /** Up to where all is applied, in the publisher's WAL; null: nothing was applied yet, from any slot. */
  private async applied(
    { originLsn, originReadable, settings }: Subscription,
    view: SubscriptionView,
    publisher: Place | null,
    neverLeft: boolean,
  ): Promise<Lsn | null | 'unknown'> {
    if (originLsn === null && originReadable && settings.slotName === null && neverLeft) return null;
    if (!(await this.isSameCluster(view.publisher, publisher))) return 'unknown';
    return appliedLsn(originLsn, view.slot) ?? 'unknown';
  }

  private async isSameCluster(one: Place | null, other: Place | null): Promise<boolean> {
    if (one === null || other === null) return false;
    const [a, b] = await Promise.all([one, other].map(({ server }) => this.servers.facts(server)));
    return a!.systemIdentifier === b!.systemIdentifier;
  }

  /** Slots that the subscription had, and may still be there. */
  private async leftBefore({ server, database }: Place, oid: number): Promise<LeftSlot[]> {
    return (await this.left.recorded()).filter(
      (each) =>
        each.subscriptionOid === oid && each.subscriberServer === server && each.subscriberDatabase === database,
    );
  }

  private async forgetTakenUp(subscriber: Place, oid: number): Promise<void> {
    const recorded = await this.leftBefore(subscriber, oid);
    if (recorded.length === 0) return;
    const view = (await this.ends.views(subscriber.server, subscriber.database)).find((each) => each.oid === oid);
    const has = view === undefined ? null : slotLeftBy(view);
    const again = recorded.filter(
      ({ slot, publisherServer, host, port }) =>
        slot === has?.name &&
        publisherServer === (has.publisher?.server ?? null) &&
        (publisherServer !== null || (host === (has.host ?? '') && port === (has.port ?? ''))),
    );
    await this.left.forget(again.map(({ id }) => id));
  }
}

function isOf({ slot, publisherServer }: LeftSlot, name: string, server: string): boolean {
  return slot === name && publisherServer === server;
}

/** Whether the slot it had stays behind on another server; a new password, or another name of the same one, is none. */
function isLeft(to: Whither, view: SubscriptionView, conninfo: string | undefined, place: Place | null): boolean {
  const { publisher, connection } = view;
  if (to === 'same' || conninfo === undefined || connection === null) return false;
  if (publisher !== null && place !== null) return publisher.server !== place.server;
  const given = parseConninfo(conninfo);
  return hostOf(given) !== hostOf(connection) || portOf(given) !== portOf(connection);
}

/** A walsender starts no earlier than its slot has confirmed, whatever the subscriber asks for. */
function gapOf(name: string, { slot, unknown }: SlotLook, applied: Lsn | null | 'unknown'): Gap | null {
  if (applied === null) return null;
  const start = slot?.confirmedFlushLsn ?? null;
  if (start === null) {
    const until = applied === 'unknown' ? ZERO_LSN : applied;
    return { detail: `where the slot ${name} starts is not known: ${unknown}`, until };
  }
  const until = parseLsn(start);
  if (applied === 'unknown') {
    return { detail: `the slot ${name} starts at ${start}, and how far changes were applied is not known`, until };
  }
  if (until <= applied) return null;
  const detail = `the slot ${name} starts at ${start}, past ${formatLsn(applied)}, up to where changes were applied: what lies between is never sent`;
  return { detail, until };
}

function refuseGap({ detail }: Gap, { slot }: SlotLook, pointer: string): Problem {
  const extra = { slotStart: slot?.confirmedFlushLsn ?? null, retryWith: { force: true } };
  return refusal('slot-goes-on', 'CONFLICT', detail, [{ pointer, detail }], { extra });
}

function gapWarning({ detail }: Gap, option: string | null): SubscriptionWarning {
  return {
    rule: 'slot-goes-on',
    option,
    detail: `${detail}. The tables are marked as needing verification.`,
  };
}

function leftWarning({ name, publisher, host, cleanUp }: SlotLeft): SubscriptionWarning {
  const where = publisher?.server ?? host ?? 'its publisher';
  return {
    rule: 'former-slot-stays',
    option: 'slotName',
    detail: `the slot ${name} stays on ${where}, where it keeps WAL; it is listed at /v1/orphaned-slots until it is dropped there: ${cleanUp.sql}`,
  };
}
