import { Injectable } from '@nestjs/common';
import { readReplicationSlots, type ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import {
  readSubscriptionConnections,
  readSubscriptions,
  type Subscription,
} from '../postgres/catalog/subscriptions.js';
import { type Conninfo, parseConninfo, withoutSecrets } from '../postgres/ddl/conninfo.js';
import { Problem } from '../problems/problem.js';
import { LsnClock } from '../lsn-clock/lsn-clock.service.js';
import type { LsnHistory } from '../lsn-clock/lsn-history.js';
import { ServersService } from '../servers/servers.service.js';
import { parseLsn } from '../shared/lsn.js';
import { findPublisher, type ServerAddress } from './publisher-lookup.js';
import { type SubscriptionView, viewOf } from './subscription-view.js';

const PAGE = 200;

/** Looks at the publisher's end of subscriptions whose publisher is a registered server. */
@Injectable()
export class PublisherEnds {
  constructor(
    private readonly servers: ServersService,
    private readonly clock: LsnClock,
  ) {}

  /** Subscriptions of a database (all, or the one of that name) with what their publishers say. */
  async views(server: string, database: string, name: string | null = null): Promise<SubscriptionView[]> {
    // The session is given back before another server is asked: two servers may be subscribed to each other.
    const { subscriptions, conninfos } = await this.servers.withSession(server, database, async (session) => ({
      subscriptions: await readSubscriptions(session, name),
      conninfos: await readSubscriptionConnections(session, name),
    }));
    if (subscriptions.length === 0) return [];
    return this.complete(subscriptions, conninfos);
  }

  /** One look at each publisher, however many subscriptions it has. */
  private async complete(
    subscriptions: Subscription[],
    conninfos: Map<string, string> | null,
  ): Promise<SubscriptionView[]> {
    const addresses = await this.addresses();
    const looks = new Map<string, Promise<SlotLook>>();
    const lookAt = (server: string) => {
      const look = looks.get(server) ?? this.slotsOf(server);
      looks.set(server, look);
      return look;
    };
    return Promise.all(
      subscriptions.map(async (subscription) => {
        const connection = shownConnection(conninfos?.get(subscription.name));
        if (conninfos === null) {
          return viewOf(subscription, null, unseen("the login may not read the subscription's connection string"));
        }
        const publisher = connection === null ? null : findPublisher(connection, addresses);
        if (publisher === null)
          return viewOf(subscription, connection, unseen('the publisher is not a registered server'));
        const { slots, history, problem } = await lookAt(publisher.server);
        const slot = slots?.find(({ name }) => name === subscription.settings.slotName) ?? null;
        return viewOf(subscription, connection, { publisher, slot, history, unknown: problem });
      }),
    );
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
      const slots = await this.servers.withSession(server, undefined, (session) => readReplicationSlots(session));
      const now = slots[0]?.currentLsn ?? null;
      return { slots, history: now === null ? null : await this.clock.historyOf(server, parseLsn(now)), problem: null };
    } catch (error) {
      // A publisher that is away is an answer about it, not a failure of the question about the subscriber.
      if (error instanceof Problem && error.code !== 'INTERNAL') {
        return { slots: null, history: null, problem: `the publisher ${server} did not answer: ${error.detail}` };
      }
      throw error;
    }
  }
}

interface SlotLook {
  slots: ReplicationSlot[] | null;
  history: LsnHistory | null;
  problem: string | null;
}

function unseen(unknown: string) {
  return { publisher: null, slot: null, history: null, unknown };
}

function shownConnection(conninfo: string | undefined): Conninfo | null {
  if (conninfo === undefined) return null;
  try {
    return withoutSecrets(parseConninfo(conninfo));
  } catch {
    return null;
  }
}
