import { readServerFacts } from '../../src/postgres/catalog/server-facts.js';
import type { ConnectionTarget } from '../../src/postgres/connection.js';
import { type Session, withSession } from '../../src/postgres/session.js';
import { Problem } from '../../src/problems/problem.js';
import { LsnClock } from '../../src/lsn-clock/lsn-clock.service.js';
import type { LsnSampleRepository } from '../../src/lsn-clock/lsn-sample.repository.js';
import type { ServersService } from '../../src/servers/servers.service.js';
import { PublisherEnds } from '../../src/subscriptions/publisher-ends.js';
import type { TablesNeedingVerification } from '../../src/subscriptions/tables-needing-verification.repository.js';
import type { TestServer } from './postgres-fleet.js';

/** Test servers by name, as feature services see registered ones: for specs that need no state database. */
export function fleetServers(servers: Record<string, TestServer>): ServersService {
  const target = (name: string, database?: string): Promise<ConnectionTarget> => {
    const server = servers[name];
    if (!server) return Promise.reject(new Problem('NOT_FOUND', `there is no server named "${name}"`));
    return Promise.resolve(server.target(database));
  };
  const directory: Partial<ServersService> = {
    target,
    advertisedTarget: async (name, database) => ({ ...(await target(name, database)), rootCert: null }),
    withSession: async <T>(name: string, database: string | undefined, work: (session: Session) => Promise<T>) =>
      withSession(await target(name, database), { purpose: 'test' }, work),
    look: (name, database, _ms, work) => directory.withSession!(name, database, work),
    facts: (name) => directory.withSession!(name, undefined, readServerFacts),
    walBudget: () => Promise.resolve(null),
    membersOf: () => Promise.resolve([]),
    list: () =>
      Promise.resolve({
        items: Object.entries(servers).map(([name, { host, port }]) => ({
          ...{ name, host, port, advertisedHost: null, advertisedPort: null },
        })),
        nextCursor: null,
      }) as ReturnType<ServersService['list']>,
  };
  return directory as ServersService;
}

/** Without a state database: no positions are recorded, and nothing is remembered. */
export function endsOf(servers: ServersService): PublisherEnds {
  const samples = { of: () => Promise.resolve([]) } as unknown as LsnSampleRepository;
  const needs = { mark: () => Promise.resolve() } as unknown as TablesNeedingVerification;
  return new PublisherEnds(servers, new LsnClock(samples), needs);
}
