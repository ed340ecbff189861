import { Injectable } from '@nestjs/common';
import { readSubscriptionDatabases } from '../postgres/catalog/subscriptions.js';
import { Problem, type ProblemDocument } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { PublisherEnds } from '../subscriptions/publisher-ends.js';
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

const SERVERS_AT_ONCE = 4;

/** Links, found from the subscriptions of every registered server. */
@Injectable()
export class LinksService {
  constructor(
    private readonly servers: ServersService,
    private readonly ends: PublisherEnds,
    private readonly looks: LastLooks,
  ) {}

  /** By subscriber server, database and subscription. */
  async list(): Promise<{ links: Link[]; unknown: UnknownLinks[] }> {
    const names = (await this.ends.addresses()).map(({ name }) => name).sort(byBytes);
    const links: BareLink[] = [];
    const unknown: UnknownLinks[] = [];
    for (let start = 0; start < names.length; start += SERVERS_AT_ONCE) {
      const batch = names.slice(start, start + SERVERS_AT_ONCE);
      for (const result of await Promise.all(batch.map((server) => this.linksOf(server)))) {
        if (Array.isArray(result)) links.push(...result);
        else unknown.push(result);
      }
    }
    return { links: await this.withDrift(links), unknown };
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

  private async linksOf(server: string): Promise<BareLink[] | UnknownLinks> {
    try {
      const databases = await this.servers.withSession(server, undefined, readSubscriptionDatabases);
      const links: BareLink[] = [];
      for (const database of databases) {
        const views = await this.ends.views(server, database);
        links.push(...views.map((view) => linkOf(server, database, view)));
      }
      return links;
    } catch (error) {
      if (error instanceof Problem && error.code !== 'INTERNAL') return { server, problem: error.toDocument() };
      throw error;
    }
  }
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
