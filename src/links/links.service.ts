import { Injectable } from '@nestjs/common';
import { cursorKey, type Page, pageOf, type PageQuery } from '../api/page.js';
import { readSubscriptionNames } from '../postgres/catalog/subscription-names.js';
import { Problem, type ProblemDocument } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { PublisherEnds } from '../subscriptions/publisher-ends.js';
import type { LinkName } from './link-looks.js';
import { LastLooks, type SchemaDrift } from './drift/last-looks.js';
import type { SubscriptionView } from '../subscriptions/subscription-view.js';

/** One subscription seen from both ends. */
export interface Link {
  subscriber: { server: string; database: string; subscription: string };
  /** Null: the publisher is not a registered server, or the connection string may not be read. */
  publisher: { server: string; database: string; publications: string[]; slot: SubscriptionView['slot'] } | null;
  state: SubscriptionView['state'];
  reason: string | null;
  lag: SubscriptionView['lag'];
  slotName: string | null;
  /** As the last look found it. */
  schemaDrift: SchemaDrift;
}

type BareLink = Omit<Link, 'schemaDrift'>;

/** A server whose subscriptions could not be listed: its links are not known, rather than none. */
export interface UnknownLinks {
  server: string;
  problem: ProblemDocument;
}

const AT_ONCE = 4;
/** A server that is silent must not hold up what is asked of others. */
const LOOK_MS = 8_000;

/** Links, found from the subscriptions of every registered server. */
@Injectable()
export class LinksService {
  constructor(
    private readonly servers: ServersService,
    private readonly ends: PublisherEnds,
    private readonly looks: LastLooks,
  ) {}

  /** By subscriber server, database and subscription; only the links of the page are looked at. */
  async page({ limit, cursor }: PageQuery): Promise<Page<Link> & { unknown: UnknownLinks[] }> {
    const [server, database, subscription] = cursorKey(cursor, 'text', 'text', 'text') ?? [];
    const after = server === undefined ? null : { server, database: database!, subscription: subscription! };
    const { names, unknown } = await this.names(after, limit + 1);
    const { items, nextCursor } = pageOf(names, limit, (link) => [link.server, link.database, link.subscription]);
    const found = await this.looked(items);
    for (const problem of found.unknown) {
      if (!unknown.some((known) => known.server === problem.server)) unknown.push(problem);
    }
    return { items: await this.withDrift(found.known), nextCursor, unknown };
  }

  /** All links, or the first ones after one of them, without a look at any. */
  async names(after: LinkName | null = null, limit?: number): Promise<{ names: LinkName[]; unknown: UnknownLinks[] }> {
    const servers = (await this.ends.addresses()).map(({ name }) => name).sort(byBytes);
    const { known, unknown } = await inTurns(servers, (server) =>
      answered(server, async () => {
        // One whose links are on pages before is asked all the same: whether it answers belongs to every page.
        const order = after === null ? 1 : byBytes(server, after.server);
        const from = order === 0 ? { database: after!.database, name: after!.subscription } : undefined;
        const names = await this.servers.look(server, undefined, LOOK_MS, (session) =>
          readSubscriptionNames(session, { after: from, limit: order < 0 ? 0 : limit }),
        );
        return names.map(({ database, name }) => ({ server, database, subscription: name }));
      }),
    );
    return { names: known, unknown };
  }

  /** Looks at both ends of every link: what a look finds is remembered where it has to be. */
  async lookAtAll(): Promise<void> {
    const { names } = await this.names();
    await this.looked(names);
  }

  private looked(names: readonly LinkName[]) {
    return inTurns(byDatabase(names), ([{ server, database }, subscriptions]) =>
      answered(server, async () => {
        const views = await this.ends.views(server, database, subscriptions);
        return views.map((view) => linkOf(server, database, view));
      }),
    );
  }

  /** Rejects with NOT_FOUND. */
  async get(server: string, database: string, subscription: string): Promise<Link> {
    const [view] = await this.ends.views(server, database, subscription);
    if (view) return (await this.withDrift([linkOf(server, database, view)]))[0]!;
    throw new Problem('NOT_FOUND', `there is no subscription ${JSON.stringify(subscription)} in this database`);
  }

  private async withDrift(links: readonly BareLink[]): Promise<Link[]> {
    const drifts = await this.looks.of(links.map(({ subscriber }) => subscriber));
    return links.map((link, index) => ({ ...link, schemaDrift: drifts[index]! }));
  }
}

/** A few at once, the answers in order. */
async function inTurns<Item, T>(
  items: readonly Item[],
  ask: (item: Item) => Promise<T[] | UnknownLinks>,
): Promise<{ known: T[]; unknown: UnknownLinks[] }> {
  const [known, unknown]: [T[], UnknownLinks[]] = [[], []];
  for (let start = 0; start < items.length; start += AT_ONCE) {
    for (const result of await Promise.all(items.slice(start, start + AT_ONCE).map(ask))) {
      if (Array.isArray(result)) known.push(...result);
      else unknown.push(result);
    }
  }
  return { known, unknown };
}

async function answered<T>(server: string, ask: () => Promise<T[]>): Promise<T[] | UnknownLinks> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Problem && error.code !== 'INTERNAL') return { server, problem: error.toDocument() };
    throw error;
  }
}

function byDatabase(links: readonly LinkName[]): [{ server: string; database: string }, string[]][] {
  const groups = new Map<string, [{ server: string; database: string }, string[]]>();
  for (const { server, database, subscription } of links) {
    const key = JSON.stringify([server, database]);
    const group = groups.get(key) ?? [{ server, database }, []];
    groups.set(key, group);
    group[1].push(subscription);
  }
  return [...groups.values()];
}

export function linkOf(server: string, database: string, view: SubscriptionView): BareLink {
  const { name, publisher, publications, slot, state, reason, lag, slotName } = view;
  return {
    subscriber: { server, database, subscription: name },
    publisher: publisher === null ? null : { ...publisher, publications, slot },
    state,
    reason,
    lag,
    slotName,
  };
}

/** The order of names in PostgreSQL's catalogs. */
function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
