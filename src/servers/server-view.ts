import type { Provider, ServerFacts } from '../postgres/catalog/server-facts.js';
import type { TlsSettings } from '../postgres/connection.js';
import type { ProblemDocument } from '../problems/problem.js';
import { missingPrivileges, type MissingPrivilege } from './missing-privileges.js';
import type { ServerEntity } from './server.entity.js';
import type { ServerIdentity } from './server.repository.js';
import { serverWarnings, type ServerWarning } from './server-warnings.js';

/** A server as callers see it: never its password. */
export interface ServerView {
  name: string;
  host: string;
  port: number;
  user: string;
  database: string;
  tls: TlsSettings;
  advertisedHost: string | null;
  advertisedPort: number | null;
  advertisedTls: AdvertisedTls | null;
  walBudgetBytes: number | null;
  reachable: boolean;
  checkedAt: string;
  problem: ProblemDocument | null;
  factsAt: string;
  version: string;
  versionNum: number;
  systemIdentifier: string;
  timeline: number | null;
  inRecovery: boolean;
  walLevel: string;
  provider: Provider | null;
  settings: ServerFacts['settings'];
  headroom: ServerFacts['headroom'];
  superuser: boolean;
  missingPrivileges: MissingPrivilege[];
  warnings: ServerWarning[];
  createdAt: string;
  updatedAt: string;
}

/** How other servers are to connect to this one, where it differs from how Lockstep does. */
export interface AdvertisedTls {
  mode?: TlsSettings['mode'];
  /** libpq's sslrootcert on the connecting server's host. */
  rootCert?: string;
}

export function advertisedTlsOf({ advertisedTlsMode, advertisedRootCert }: ServerEntity): AdvertisedTls | null {
  if (advertisedTlsMode === null && advertisedRootCert === null) return null;
  return {
    ...(advertisedTlsMode === null ? {} : { mode: advertisedTlsMode }),
    ...(advertisedRootCert === null ? {} : { rootCert: advertisedRootCert }),
  };
}

/** int8 arrives as text. */
export function budgetOf({ walBudgetBytes }: ServerEntity): number | null {
  return walBudgetBytes === null ? null : Number(walBudgetBytes);
}

export function presentServer(server: ServerEntity, relatives: readonly ServerIdentity[]): ServerView {
  const { facts } = server;
  return {
    name: server.name,
    host: server.host,
    port: server.port,
    user: server.login,
    database: server.database,
    tls: { mode: server.tlsMode, ...(server.tlsCa === null ? {} : { ca: server.tlsCa }) },
    advertisedHost: server.advertisedHost,
    advertisedPort: server.advertisedPort,
    advertisedTls: advertisedTlsOf(server),
    walBudgetBytes: budgetOf(server),
    reachable: server.problem === null,
    checkedAt: server.checkedAt.toISOString(),
    problem: server.problem,
    factsAt: server.factsAt.toISOString(),
    version: facts.version,
    versionNum: facts.versionNum,
    systemIdentifier: facts.systemIdentifier,
    timeline: facts.timeline,
    inRecovery: facts.inRecovery,
    walLevel: facts.walLevel,
    provider: facts.provider,
    settings: facts.settings,
    headroom: facts.headroom,
    superuser: facts.login.superuser,
    missingPrivileges: missingPrivileges(facts.login, facts.versionNum),
    warnings: serverWarnings(server.name, facts, relatives),
    createdAt: server.createdAt.toISOString(),
    updatedAt: server.updatedAt.toISOString(),
  };
}
