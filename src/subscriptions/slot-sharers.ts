import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import type { Place } from '../changes/change.js';
import { type Instance, readInstance } from '../postgres/catalog/instance.js';
import { readSubscriptionSlots, type SubscriptionSlot } from '../postgres/catalog/subscription-slots.js';
import { parseConninfo } from '../postgres/ddl/conninfo.js';
import { refusal } from '../postgres/ddl/options/combination-rules.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { PublisherEnds } from './publisher-ends.js';
import { hostOf, type ServerAddress } from './publisher-lookup.js';
import { readsFrom } from './slot-reading.js';
import type { SubscriptionView } from './subscription-view.js';

const ASK_MS = 4_000;
/** A walsender ends a moment after the worker it served. */
const LET_GO_MS = 5_000;

/** What a registered server said of a slot. */
interface Answer {
  /** Its subscriptions that read from it. */
  sharers: string[];
  /** The server, where it did not answer and may be a copy of the subscriber. */
  silent: string | null;
}

/** Others that live on the slot of a subscription: a copy of the subscriber has the same subscription, and the same slot. */
@Injectable()
export class SlotSharers {
  constructor(
    private readonly servers: ServersService,
    private readonly ends: PublisherEnds,
  ) {}

  /** Rejects with CONFLICT where somebody else reads from the subscription's slot, or will come back for it. */
  async requireAlone(subscriber: Place, view: SubscriptionView): Promise<void> {
    if (view.slotName === null) return;
    const addresses = await this.ends.addresses();
    const self = await this.servers.look(subscriber.server, undefined, ASK_MS, readInstance);
    const { systemIdentifier } = await this.servers.facts(subscriber.server);
    const copies = new Set(await this.servers.membersOf(systemIdentifier));
    const answers = await Promise.all(
      addresses.map(({ name }) => this.ask(name, subscriber, view, self, copies.has(name), addresses)),
    );
    const sharers = answers.flatMap((answer) => answer.sharers);
    if (sharers.length > 0) throw shared(view.slotName, `is kept for ${sharers.join(', ')} too`, { sharers });
    const silent = answers.flatMap((answer) => answer.silent ?? []);
    if (silent.length > 0) {
      const who = silent.join(', ');
      const why = `may be kept for ${who} too, of the same cluster as ${subscriber.server}: ${who} did not answer`;
      throw shared(view.slotName, why, { unanswered: silent });
    }
    await this.requireNoStranger(subscriber, view);
  }

  private async ask(
    server: string,
    subscriber: Place,
    view: SubscriptionView,
    self: Instance,
    isCopy: boolean,
    addresses: ServerAddress[],
  ): Promise<Answer> {
    const isOwn = server === subscriber.server;
    try {
      const found = await this.servers.look(server, undefined, ASK_MS, async (session) => {
        const { standby, started } = await readInstance(session);
        // A standby of the subscriber shows its subscriptions without running them; another name of it is itself.
        if (isCopy && !isOwn && (standby || started === self.started)) return [];
        return readSubscriptionSlots(session);
      });
      const others = found.filter(
        (each) =>
          each.slotName === view.slotName &&
          !(isOwn && each.oid === String(view.oid)) &&
          readsFromSame(each, server, view, addresses),
      );
      const sharers = others.map(
        ({ name, database }) =>
          `subscription ${JSON.stringify(name)} of database ${JSON.stringify(database)} on ${server}`,
      );
      return { sharers, silent: null };
    } catch (error) {
      if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
      const mayHaveIt = isCopy && !isOwn && !(await this.servers.facts(server)).inRecovery;
      return { sharers: [], silent: mayHaveIt ? server : null };
    }
  }

  /** While the subscription has no worker, whoever streams from its slot is another. */
  private async requireNoStranger(subscriber: Place, view: SubscriptionView): Promise<void> {
    const deadline = Date.now() + LET_GO_MS;
    for (let now: SubscriptionView | undefined = view; now !== undefined;) {
      const { slot, workers } = now;
      if (slot?.active !== true || workers.length > 0) return;
      if (Date.now() >= deadline) {
        const detail = `is in use by process ${slot.activePid ?? 'unknown'}, and the subscription has no worker`;
        throw shared(slot.name, detail, {});
      }
      await delay(200);
      [now] = await this.ends.views(subscriber.server, subscriber.database, view.name);
    }
  }
}

function readsFromSame(
  other: SubscriptionSlot,
  server: string,
  { publisher, connection }: SubscriptionView,
  addresses: ServerAddress[],
): boolean {
  if (publisher !== null && readsFrom(other, server, publisher, addresses) === true) return true;
  if (other.conninfo === null || connection === null) return false;
  try {
    const [one, two] = [parseConninfo(other.conninfo), connection];
    return hostOf(one) === hostOf(two) && one.port === two.port && one.dbname === two.dbname;
  } catch {
    return false;
  }
}

function shared(slot: string, detail: string, extra: Record<string, unknown>): Problem {
  return refusal('slot-is-shared', 'CONFLICT', `the slot ${slot} ${detail}`, [], {
    extra: { retryWith: '?slot=keep', ...extra },
  });
}
