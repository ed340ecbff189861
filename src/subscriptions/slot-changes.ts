import { Injectable } from '@nestjs/common';
import { isDoneInPart, type Place } from '../changes/change.js';
import {
  readSubscriptionConnections,
  readSubscriptions,
  type Subscription,
} from '../postgres/catalog/subscriptions.js';
import { readWalSenderPositions } from '../postgres/catalog/wal-senders.js';
import { parseConninfo } from '../postgres/ddl/conninfo.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { parseLsn } from '../shared/lsn.js';
import type { LeftSlot } from './left-slots/left-slot.repository.js';
import { LeftSlots } from './left-slots/left-slots.service.js';
import { isOwnReader, type SeenSender } from './own-reader.js';
import { PublisherEnds } from './publisher-ends.js';
import { leadsAlike, type Whither, whither } from './publisher-identity.js';
import { hostOf, serverNamed } from './publisher-lookup.js';
import { probe } from './publisher-probe.js';
import { type Applied, type Gap, gapOf, gapWarning, refuseGap } from './slot-gap.js';
import { differencesFrom } from './slot-as-made.js';
import { LOOK_MS, lookAtSlot, requireFit, type SlotLook, type Way } from './slot-to-read.js';
import { leavingSlot, type SlotLeft, slotLeftBy } from './subscription-drop.js';
import { appliedLsn } from './subscription-lag.js';
import type { SubscriptionPatch } from './subscription-patch.js';
import { requireUnchanged } from './subscription-session.js';
import type { SubscriptionView } from './subscription-view.js';
import type { SubscriptionWarning } from './subscription-warnings.js';
import { TablesNeedingVerification } from './tables-needing-verification.repository.js';

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
/** The same of a connection that is changed, and leads to the same slot: what is on record may be taken up by it. */
const NOTHING: SlotChange = { ...NO_CHANGE };

/** Where a connection leads a subscription. */
interface Led {
  to: Whither;
  /** Null: nowhere else. */
  way: Way | null;
  /** What lets the login read where it was led before; null: it may. */
  grant: string | null;
}

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
    const led = await this.led(subscriber, view, connection, publisher);
    const isSame = !isOther && led.to === 'same';
    if (slotName === null || isSame) return leaving(view, led, connection, publisher, isOther);
    const look = await lookAtSlot(this.servers, publisher, slotName, led.way);
    const isElsewhere = isOther || led.to === 'elsewhere';
    const isOwn = !isElsewhere && (await this.isReadByItself(subscriber, view, publisher, led.way, look));
    const pointer = isOther ? '#/options/slotName' : `#/${named}`;
    // Where it is not known whether the slot is the same, the reader may be the subscription itself.
    const mayBeOwn = isOwn || (!isOther && led.to === 'unknown');
    requireFit(look, slotName, publisher ?? placeOf(led.way), { pointer, mayBeOwn });
    if (isOwn) return NOTHING;
    const { versionNum } = await this.servers.facts(subscriber.server);
    const asked = { ...current.settings, ...options };
    const reader = { options: asked, versionNum, enabled: current.enabled, pointer };
    const differences = differencesFrom(look, slotName, reader);
    const left = leaving(view, led, connection, publisher, isOther);
    const change = { ...left, warnings: [...left.warnings, ...differences] };
    const before = await this.leftBefore(subscriber, current.oid);
    // Its own former one goes on where it was left: it had confirmed more than the origin shows, and nobody reads it.
    if (publisher !== null && before.some((each) => isOf(each, slotName, publisher.server))) return change;
    const isCarriedOver = !isOther && led.to === 'same-cluster' && look.isCarriedOver;
    const gap = gapOf(slotName, look, appliedBy(current, view, led, before.length === 0), isCarriedOver);
    if (gap === null) return change;
    if (!isOther && led.to === 'unknown' && led.grant !== null && mayBeSame(current, look)) {
      return { ...change, warnings: [...change.warnings, unprovenWarning(slotName, led.grant)] };
    }
    if (!force) throw refuseGap(gap, look, pointer, led.to === 'unknown' || publisher === null ? led.grant : null);
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

  /** Where it is led. A request that names no connection leaves it where it is. */
  private async led(
    { server, database }: Place,
    { name, publisher: before }: SubscriptionView,
    conninfo: string | undefined,
    publisher: Place | null,
  ): Promise<Led> {
    const conninfos = await this.servers.withSession(server, database, (session) =>
      readSubscriptionConnections(session, name),
    );
    const grant = conninfos === null ? await this.ends.connectionGrant(server) : null;
    if (conninfo === undefined) return { to: 'same', way: null, grant };
    const address = serverNamed(server, await this.ends.addresses());
    const from = { publisher: before, conninfo: conninfos?.get(name) ?? null };
    const to = await whither(this.servers, address, from, { publisher, conninfo });
    return { to, way: { connection: parseConninfo(conninfo), subscriber: address }, grant };
  }

  /** What the publisher shows proves that it is the one which the subscription reads from. */
  private async isReadByItself(
    { server, database }: Place,
    { name }: SubscriptionView,
    publisher: Place | null,
    way: Way | null,
    { slot }: SlotLook,
  ): Promise<boolean> {
    if (slot?.active !== true || way === null) return false;
    const senderIn = async (session: Session): Promise<SeenSender | null> => {
      const sender = (await readWalSenderPositions(session)).find(({ pid }) => pid === slot.activePid);
      return sender === undefined ? null : { ...sender, versionNum: session.versionNum };
    };
    const readSender = () =>
      publisher === null
        ? probe(way.connection, way.subscriber, senderIn)
        : this.servers.look(publisher.server, undefined, LOOK_MS, senderIn);
    const readReceived = async () => {
      const [now] = await this.servers.withSession(server, database, (session) => readSubscriptions(session, name));
      return now?.workers.find(({ kind }) => kind === 'apply')?.receivedLsn ?? null;
    };
    try {
      return await isOwnReader([name, way.connection.application_name ?? name], readSender, readReceived);
    } catch (error) {
      if (error instanceof Problem && error.code !== 'INTERNAL') return false;
      throw error;
    }
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

function leaving(
  view: SubscriptionView,
  { to, grant }: Led,
  conninfo: string | undefined,
  publisher: Place | null,
  isOther: boolean,
): SlotChange {
  const left = isOther || isLeft(to, view, conninfo, publisher) ? slotLeftBy(view) : null;
  if (left !== null) return { left, gap: null, warnings: [leftWarning(left)] };
  const mayStay = to === 'unknown' && grant !== null ? slotLeftBy(view) : null;
  return { left, gap: null, warnings: mayStay === null ? [] : [mayStayWarning(mayStay)] };
}

function isOf({ slot, publisherServer }: LeftSlot, name: string, server: string): boolean {
  return slot === name && publisherServer === server;
}

/** Whether the slot it had stays behind on another server; a new password, or another name of the same one, is none. */
function isLeft(to: Whither, view: SubscriptionView, conninfo: string | undefined, place: Place | null): boolean {
  const { publisher, connection } = view;
  if (to === 'same' || conninfo === undefined || connection === null) return false;
  if (publisher !== null && place !== null) return publisher.server !== place.server;
  return !leadsAlike(parseConninfo(conninfo), connection);
}

/** Up to where all is applied, in the WAL of where it is led. */
function appliedBy(
  { originLsn, originReadable, settings, tables }: Subscription,
  view: SubscriptionView,
  { to, grant }: Led,
  neverLeft: boolean,
): Applied {
  // Tables that are not copied yet are copied whole from wherever it leads by then.
  const isUntouched = tables.every(({ state }) => state === 'initializing');
  const hasRead = settings.slotName !== null || !neverLeft;
  if (originLsn === null && originReadable && (isUntouched || !hasRead)) return null;
  if (to === 'unknown' && grant !== null) {
    return { unknown: 'whether it is the same publisher is not known: the login may not read the connection string' };
  }
  const unknown = { unknown: 'how far changes were applied is not known' };
  return to === 'elsewhere' || to === 'unknown' ? unknown : (appliedLsn(originLsn, view.slot) ?? unknown);
}

/** Whether the slot, should it be the one that the subscription has read from, sends all that was not applied yet. */
function mayBeSame({ originLsn }: Subscription, { slot }: SlotLook): boolean {
  const { active, confirmedFlushLsn: start, currentLsn: end } = slot ?? {};
  if (originLsn === null || active !== false || typeof start !== 'string' || typeof end !== 'string') return false;
  const applied = parseLsn(originLsn);
  return parseLsn(start) <= applied && applied <= parseLsn(end);
}

function placeOf(way: Way | null): Place {
  const { dbname, user = '' } = way?.connection ?? {};
  return { server: hostOf(way?.connection ?? {}) ?? 'the publisher', database: dbname ?? user };
}

function leftWarning({ name, publisher, host, cleanUp }: SlotLeft): SubscriptionWarning {
  const where = publisher?.server ?? host ?? 'its publisher';
  return {
    rule: 'former-slot-stays',
    option: 'slotName',
    detail: `the slot ${name} stays on ${where}, where it keeps WAL; it is listed at /v1/orphaned-slots until it is dropped there: ${cleanUp.sql}`,
  };
}

/** Not recorded: it may be the one that is read from. */
function mayStayWarning({ name, cleanUp }: SlotLeft): SubscriptionWarning {
  return {
    rule: 'former-slot-stays',
    option: null,
    detail: `where it has read from is not known: if that is another publisher, the slot ${name} stays there, where it keeps WAL until it is dropped: ${cleanUp.sql}`,
  };
}

function unprovenWarning(slot: string, grant: string): SubscriptionWarning {
  return {
    rule: 'same-publisher',
    option: null,
    detail: `whether it is the same publisher is not known: the login may not read the connection string. The slot ${slot} there goes on where applying ended, so that nothing is missed if it is the same; if it is another, verify the tables. To know, in the subscription's database: ${grant}`,
  };
}
