import { Injectable } from '@nestjs/common';
import { cursorKey, type Page, pageOf, type PageQuery } from '../api/page.js';
import { readReplicationSlots, type ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import { readSystemIdentifier } from '../postgres/catalog/link-facts.js';
import { readSubscriptionNames, type WhichSubscriptions } from '../postgres/catalog/subscription-names.js';
import { readSubscriptionRoom, type SubscriptionRoom } from '../postgres/catalog/subscription-room.js';
import { readTableSizes } from '../postgres/catalog/table-sizes.js';
import { type BarredTable, readBarredTables } from '../postgres/catalog/barred-tables.js';
import { readWalSenders, type WalSender } from '../postgres/catalog/wal-senders.js';
import {
  readSubscriptionConnections,
  readSubscriptions,
  type Subscription,
} from '../postgres/catalog/subscriptions.js';
import { type Conninfo, parseConninfo, withoutSecrets } from '../postgres/ddl/conninfo.js';
import { identifier } from '../postgres/quoting.js';
import { Problem } from '../problems/problem.js';
import { LsnClock } from '../lsn-clock/lsn-clock.service.js';
import type { LsnHistory } from '../lsn-clock/lsn-history.js';
import { ServersService } from '../servers/servers.service.js';
import { formatLsn, parseLsn } from '../shared/lsn.js';
import { findPublisher, serverNamed, type ServerAddress } from './publisher-lookup.js';
import { explainSilentPublisher, ranOutOfTime } from './publisher-silence.js';
import { ApplyObservations } from './apply-observations.js';
import { isUncopied, type KnownSizes, knownSizes } from './copy-progress.js';
import { barredWarnings } from './subscription-warnings.js';
import { appliedLsn, appliedPastEnd } from './subscription-lag.js';
import { lacksWorker } from './subscription-state.js';
import { type PublisherEnd, type SubscriptionView, viewOf } from './subscription-view.js';
import { TablesNeedingVerification } from './tables-needing-verification.repository.js';

const PAGE = 200;
/** What a publisher has not said by then is not known; what the subscriber says is told all the same. */
const LOOK_MS = 8_000;

interface Place {
  server: string;
  database: string;
}

/** What one look at a database of the subscriber showed. */
interface SubscriberSide extends Place {
  versionNum: number;
  subscriptions: Subscription[];
  /** Null: the login may not read them. */
  conninfos: Map<string, string> | null;
  barred: BarredTable[];
  /** Null: no subscription lacks a worker, or the login may not read it. */
  room: SubscriptionRoom | null;
}

/** Looks at the publisher's end of subscriptions whose publisher is a registered server. */
@Injectable()
export class PublisherEnds {
  private readonly observations = new ApplyObservations();

  constructor(
    private readonly servers: ServersService,
    private readonly clock: LsnClock,
    private readonly needs: TablesNeedingVerification,
  ) {}

  /** Subscriptions of a database with what their publishers say. */
  async views(server: string, database: string, which: WhichSubscriptions = null): Promise<SubscriptionView[]> {
    // The session is given back before another server is asked: two servers may be subscribed to each other.
    const side = await this.servers.withSession(server, database, async (session) => {
      const subscriptions = await readSubscriptions(session, which);
      return {
        ...{ server, database, versionNum: session.versionNum, subscriptions },
        conninfos: await readSubscriptionConnections(session, which),
        barred: await readBarredTables(session, which),
        room: subscriptions.some(lacksWorker) ? await readSubscriptionRoom(session, null) : null,
      };
    });
    if (side.subscriptions.length === 0) return [];
    return this.complete(side);
  }

  /** A page by name; only its subscriptions are looked at. */
  async page(server: string, database: string, { limit, cursor }: PageQuery): Promise<Page<SubscriptionView>> {
    const [last] = cursorKey(cursor, 'text') ?? [];
    const after = last === undefined ? undefined : { database, name: last };
    const rows = await this.servers.withSession(server, database, (session) =>
      readSubscriptionNames(session, { database, after, limit: limit + 1 }),
    );
    const { items, nextCursor } = pageOf(rows, limit, ({ name }) => [name]);
    const names = items.map(({ name }) => name);
    return { items: names.length === 0 ? [] : await this.views(server, database, names), nextCursor };
  }

  /** The registered server and database that the subscriber's connection string leads to; null: none, or it cannot be read. */
  async publisherBy(conninfo: string, subscriber: string): Promise<Place | null> {
    const connection = shownConnection(conninfo);
    if (connection === null) return null;
    const addresses = await this.addresses();
    return findPublisher(connection, addresses, serverNamed(subscriber, addresses));
  }

  /** A change of a subscription that failed: whether it was for want of the publisher's answer, and which that is. */
  async explainSilence(error: unknown, { server, database }: Place, name: string): Promise<unknown> {
    if (!ranOutOfTime(error)) return error;
    const conninfos = await this.servers
      .withSession(server, database, (session) => readSubscriptionConnections(session, name))
      .catch(() => null);
    const conninfo = conninfos?.get(name);
    const publisher = conninfo === undefined ? null : await this.publisherBy(conninfo, server);
    const { host, port } = shownConnection(conninfo) ?? {};
    return explainSilentPublisher(error, name, { server: publisher?.server, host, port });
  }

  /** Whether the server is known to have no slot of that name; another cluster at its address says nothing about it. */
  async isWithoutSlot(server: string, slot: string): Promise<boolean> {
    const { slots, systemIdentifier } = await this.slotsOf(server);
    if (slots === null || slots.some(({ name }) => name === slot)) return false;
    return systemIdentifier === (await this.servers.facts(server)).systemIdentifier;
  }

  /** One look at each publisher, however many subscriptions it has. */
  private async complete(side: SubscriberSide): Promise<SubscriptionView[]> {
    const addresses = await this.addresses();
    const unreadable = await this.unreadable(side);
    const looks = new Map<string, Promise<SlotLook>>();
    const lookAt = (server: string) => {
      const look = looks.get(server) ?? this.slotsOf(server);
      looks.set(server, look);
      return look;
    };
    const from = serverNamed(side.server, addresses);
    const found = side.subscriptions.map((subscription) => {
      const connection = shownConnection(side.conninfos?.get(subscription.name));
      const publisher = connection === null ? null : findPublisher(connection, addresses, from);
      return { subscription, connection, publisher };
    });
    const sizes = this.sizesOnce(found);
    return Promise.all(
      found.map(async ({ subscription, connection, publisher }) => {
        if (publisher !== null) {
          const look = await lookAt(publisher.server);
          const end = await this.endOf(subscription, publisher, look, () => sizes(publisher, subscription));
          await this.rememberLoss(side, subscription, end);
          return this.present(side, subscription, connection, end);
        }
        const why = unreadable ?? 'the publisher is not a registered server';
        return this.present(side, subscription, connection, unseen(why));
      }),
    );
  }

  /** Why no connection string could be read, with what mends it; null: they could be. */
  private async unreadable({ server, conninfos }: SubscriberSide): Promise<string | null> {
    if (conninfos !== null) return null;
    return `the login may not read the subscription's connection string; in its database: ${await this.connectionGrant(server)}`;
  }

  /** Lets the login of that subscriber read connection strings; to be run in the subscription's database. */
  async connectionGrant(server: string): Promise<string> {
    const { user } = await this.servers.target(server);
    return `grant select (subconninfo) on pg_catalog.pg_subscription to ${identifier(user)};`;
  }

  private async endOf(
    { settings, tables }: Subscription,
    publisher: Place,
    { slots, senders, history, versionNum, problem }: SlotLook,
    sizes: () => Promise<KnownSizes>,
  ): Promise<PublisherEnd> {
    const slot = slots?.find(({ name }) => name === settings.slotName) ?? null;
    const sender = slot?.active === true ? senders.find(({ pid }) => pid === slot.activePid) : undefined;
    return {
      ...{ publisher, slot, history, versionNum, unknown: problem, senderState: sender?.state ?? null },
      sizes: problem !== null ? { unknown: problem } : tables.some(isUncopied) ? await sizes() : knownSizes(),
    };
  }

  /**
   * Of a publisher whose WAL ends before what was applied: once it has written past that, nothing shows any more that
   * what it wrote up to there was never sent, and that the subscriber has what it lost.
   */
  private async rememberLoss(
    { server, database }: SubscriberSide,
    { oid, originLsn, tables }: Subscription,
    { slot }: PublisherEnd,
  ): Promise<void> {
    const applied = appliedPastEnd(originLsn, slot);
    if (applied === null) return;
    const copied = tables.filter((table) => !isUncopied(table));
    const reason = `the publisher went back: it had WAL that ended before ${formatLsn(applied)}, up to which all was applied`;
    await this.needs.mark({ server, database, oid }, copied, applied, reason);
  }

  private present(
    { server, database, versionNum, barred, room }: SubscriberSide,
    subscription: Subscription,
    connection: Conninfo | null,
    end: PublisherEnd,
  ): SubscriptionView {
    const walEnd = end.slot?.currentLsn ?? null;
    const evidence = this.observations.observe(JSON.stringify([server, database, subscription.oid]), {
      subscription,
      position: appliedLsn(subscription.originLsn, end.slot),
      walEnd: walEnd === null ? null : parseLsn(walEnd),
    });
    const view = viewOf(subscription, connection, end, { versionNum, evidence, room });
    const unwritable = barred.filter((table) => table.subscription === subscription.name);
    return { ...view, warnings: [...view.warnings, ...barredWarnings(unwritable)] };
  }

  /** Addresses of all registered servers. */
  async addresses(): Promise<ServerAddress[]> {
    const addresses: ServerAddress[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await this.servers.list(PAGE, cursor);
      addresses.push(...page.items);
      if (page.nextCursor === null) return addresses;
      cursor = page.nextCursor;
    }
  }

  private async slotsOf(server: string): Promise<SlotLook> {
    try {
      const look = await this.servers.look(server, undefined, LOOK_MS, async (session) => ({
        versionNum: session.versionNum,
        systemIdentifier: (await readSystemIdentifier(session)).identifier,
        slots: await readReplicationSlots(session),
        senders: await readWalSenders(session),
      }));
      const now = look.slots[0]?.currentLsn ?? null;
      const history = now === null ? null : await this.clock.historyOf(server, parseLsn(now));
      return { ...look, history, problem: null };
    } catch (error) {
      const problem = `the publisher ${server} did not answer: ${detailOf(error)}`;
      const versionNum = await this.servers.facts(server).then(
        (facts) => facts.versionNum,
        () => null,
      );
      return { slots: null, senders: [], history: null, versionNum, systemIdentifier: null, problem };
    }
  }

  /** One session on each database of a publisher, however many subscriptions copy from it. */
  private sizesOnce(found: readonly { subscription: Subscription; publisher: Place | null }[]) {
    const asked = new Map<string, Promise<Map<Subscription, KnownSizes>>>();
    return async (publisher: Place, subscription: Subscription): Promise<KnownSizes> => {
      const key = JSON.stringify([publisher.server, publisher.database]);
      const copying = found.filter(
        (each) => each.subscription.tables.some(isUncopied) && isAt(each.publisher, publisher),
      );
      const sizes =
        asked.get(key) ??
        this.sizesOf(
          publisher,
          copying.map((each) => each.subscription),
        );
      asked.set(key, sizes);
      return (await sizes).get(subscription)!;
    };
  }

  /** A table that somebody has locked for long is waited for no longer than the session's `lock_timeout`. */
  private async sizesOf({ server, database }: Place, copying: Subscription[]): Promise<Map<Subscription, KnownSizes>> {
    const sizes = new Map<Subscription, KnownSizes>();
    try {
      await this.servers.look(server, database, LOOK_MS, async (session) => {
        for (const subscription of copying) {
          const { tables, publications } = subscription;
          sizes.set(subscription, knownSizes(await readTableSizes(session, tables, publications)));
        }
      });
    } catch (error) {
      const unknown = { unknown: `the publisher ${server} did not tell: ${detailOf(error)}` };
      for (const subscription of copying) if (!sizes.has(subscription)) sizes.set(subscription, unknown);
    }
    return sizes;
  }
}

function isAt(one: Place | null, other: Place): boolean {
  return one?.server === other.server && one.database === other.database;
}

interface SlotLook {
  slots: ReplicationSlot[] | null;
  senders: WalSender[];
  history: LsnHistory | null;
  /** As last seen. */
  versionNum: number | null;
  /** Of the cluster that answered; null: the login may not read it. */
  systemIdentifier: string | null;
  problem: string | null;
}

/** A publisher that is away is an answer about it, not a failure of the question about the subscriber. */
function detailOf(error: unknown): string {
  if (error instanceof Problem && error.code !== 'INTERNAL') return error.detail;
  throw error;
}

function unseen(unknown: string): PublisherEnd {
  const nothing = { publisher: null, slot: null, history: null, senderState: null, versionNum: null };
  return { ...nothing, unknown, sizes: { unknown } };
}

function shownConnection(conninfo: string | undefined): Conninfo | null {
  if (conninfo === undefined) return null;
  try {
    return withoutSecrets(parseConninfo(conninfo));
  } catch {
    return null;
  }
}
