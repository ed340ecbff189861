import type { Place } from '../changes/change.js';
import { parseConninfo } from '../postgres/ddl/conninfo.js';
import type { SubscriptionOptions } from '../postgres/ddl/subscription-options.js';
import { Problem } from '../problems/problem.js';
import type { ServersService } from '../servers/servers.service.js';
import { estimateCopy } from './copy-estimate.js';
import { type Offer, readOffer } from './creation-checks.js';
import type { SubscriptionWarning } from './subscription-warnings.js';

/** A publisher that says nothing keeps whoever creates a subscription no longer than this. */
const LOOK_MS = 8_000;

interface Led {
  connection: string;
  publications: readonly string[];
  options?: SubscriptionOptions;
}

/** What the publisher has, or why a registered one does not tell. */
export interface KnownOffer {
  offer?: Offer;
  unknown?: string;
}

/**
 * What the publisher has that a connection string leads to, for the login of that string. It is asked by its registered
 * login and by its own way: that it does not answer us is no reason to refuse what the subscriber may well reach.
 * @param publisher null: no registered server
 * @param estimated also what the first copy reads
 */
export async function offerBehind(
  servers: ServersService,
  publisher: Place | null,
  subscriber: string,
  { connection, publications, options = {} }: Led,
  { estimated }: { estimated: boolean },
): Promise<KnownOffer> {
  if (publisher === null) return {};
  const { versionNum } = await servers.facts(subscriber);
  const login = parseConninfo(connection).user;
  try {
    const offer = await servers.look(publisher.server, publisher.database, LOOK_MS, (session) =>
      readOffer(session, publications, versionNum, login),
    );
    if (!estimated || options.copyData === false) return { offer };
    return { offer: { ...offer, copy: await estimateCopy(servers, publisher, offer.tables, publications) } };
  } catch (error) {
    if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
    return { unknown: `the publisher ${publisher.server} did not answer: ${error.detail}` };
  }
}

/** That what is looked at otherwise was not. */
export function unlookedWarnings(known: KnownOffer): SubscriptionWarning[] {
  if (known.unknown === undefined) return [];
  const detail = `${known.unknown}; so it is not known whether its publications exist, send the same columns of every table (else nothing is applied), filter rows alike, and show all rows to the login of the connection string`;
  return [{ rule: 'publisher-looked-at', option: null, detail }];
}
