import { Injectable } from '@nestjs/common';
import type { Place } from '../changes/change.js';
import { registerSecret } from '../observability/redact.js';
import { readSystemIdentifier } from '../postgres/catalog/link-facts.js';
import type { TlsSettings } from '../postgres/connection.js';
import { type Conninfo, parseConninfo } from '../postgres/ddl/conninfo.js';
import { identifier } from '../postgres/quoting.js';
import { identifySystem } from '../postgres/replication/identify-system.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { PublisherEnds } from '../subscriptions/publisher-ends.js';
import { findPublisher, hostOf, isLoopback, serverNamed } from '../subscriptions/publisher-lookup.js';
import type { Verdict } from './agreement/check.js';

const DEFAULT_PORT = '5432';
/** libpq's modes that need no file of the subscriber's host. Verified modes are not weakened to have an answer. */
const PROBE_TLS: Record<string, TlsSettings['mode']> = {
  ...{ disable: 'disable', allow: 'prefer', prefer: 'prefer', require: 'require' },
};

/** Where a subscription's connection string leads, and whether that is the registered server. */
export interface LinkTarget extends Verdict {
  /** The publisher's end; null: no registered server is known to be it. */
  publisher: Place | null;
}

/** Tells the publisher of a subscription by its system identifier, wherever its address looks like. */
@Injectable()
export class LinkTargets {
  constructor(
    private readonly servers: ServersService,
    private readonly ends: PublisherEnds,
  ) {}

  /**
   * @param conninfo secrets included; null: the subscriber's login may not read it
   * @param login of the subscriber
   */
  async find(subscriber: string, conninfo: string | null, login: string): Promise<LinkTarget> {
    if (conninfo === null) {
      return unknown(null, "the login may not read the subscription's connection string", {
        remedy: 'Grant it on the subscriber; whoever has it can read the passwords in connection strings.',
        sql: `grant select (subconninfo) on pg_catalog.pg_subscription to ${identifier(login)}`,
      });
    }
    const connection = readConninfo(conninfo);
    const host = connection === null ? undefined : hostOf(connection);
    const several = [host, connection?.host, connection?.port].some((given) => given?.includes(','));
    if (connection === null || several) {
      const why = connection === null ? 'cannot be read' : 'names several hosts: which one it is depends on the moment';
      return unknown(null, `the connection string ${why}`, { remedy: 'Give the subscription one host and port.' });
    }
    const addresses = await this.ends.addresses();
    const from = serverNamed(subscriber, addresses);
    const byAddress = findPublisher(connection, addresses, from);
    const own = findPublisher(
      connection,
      addresses.map(({ name, host: at, port }) => ({ name, host: at, port })),
      from,
    );
    const subscriberHost = from?.host ?? '';
    if (host === undefined || host.startsWith('/') || (isLoopback(host) && !isLoopback(subscriberHost))) {
      const where = host === undefined ? 'names no host' : `leads to ${host} as seen from the subscriber's host`;
      return unknown(byAddress, `the connection string ${where}, which cannot be tried from here`, {
        remedy: 'Give the subscription an address that is the same from everywhere.',
      });
    }
    return own
      ? this.ofRegistered(own, `${host}:${connection.port ?? DEFAULT_PORT}`)
      : this.byProbe(connection, host, byAddress);
  }

  /** The address is the one under which we reach the server ourselves: our own login asks. */
  private async ofRegistered(publisher: Place, where: string): Promise<LinkTarget> {
    const { systemIdentifier } = await this.servers.facts(publisher.server);
    try {
      const { identifier: found, login } = await this.servers.withSession(
        publisher.server,
        undefined,
        readSystemIdentifier,
      );
      if (found === null) {
        return unknown(publisher, `the login may not read the system identifier of ${publisher.server}`, {
          remedy: 'Grant it on the publisher.',
          sql: `grant execute on function pg_catalog.pg_control_system() to ${identifier(login)}`,
        });
      }
      return compared(publisher, where, found, systemIdentifier);
    } catch (error) {
      return unknown(publisher, `${publisher.server} did not answer: ${detailOf(error)}`, {});
    }
  }

  /** Asks whatever is at the address, by the login that the subscription uses. */
  private async byProbe(connection: Conninfo, host: string, byAddress: Place | null): Promise<LinkTarget> {
    const port = Number(connection.port ?? DEFAULT_PORT);
    const where = `${host}:${port}`;
    const mode = PROBE_TLS[connection.sslmode ?? 'prefer'];
    const { user, password } = connection;
    const database = connection.dbname ?? user;
    if (mode === undefined || connection.sslcert !== undefined || user === undefined || database === undefined) {
      return unknown(byAddress, `${where} cannot be tried from here: the login needs files of the subscriber's host`, {
        remedy:
          byAddress === null
            ? `Register the server at ${where}, or give that as advertisedHost of the one it is.`
            : null,
      });
    }
    if (password !== undefined) registerSecret(password, [user, database, host]);
    let found: string;
    try {
      found = await identifySystem({ host, port, user, password: password ?? '', database, tls: { mode } });
    } catch (error) {
      return unknown(byAddress, `who is at ${where} could not be asked from here: ${detailOf(error)}`, {
        remedy:
          byAddress === null
            ? `Register the server at ${where}, or give that as advertisedHost of the one it is.`
            : null,
      });
    }
    if (byAddress !== null) {
      return compared(byAddress, where, found, (await this.servers.facts(byAddress.server)).systemIdentifier);
    }
    const members = await this.servers.membersOf(found);
    if (members.length === 0) {
      return unknown(null, `${where} is of the cluster ${found}, of which no server is registered`, {
        remedy: 'Register it.',
      });
    }
    const facts = await Promise.all(members.map((name) => this.servers.facts(name)));
    const server = members[facts.findIndex(({ inRecovery }) => !inRecovery)] ?? members[0]!;
    return {
      ...{ state: 'agrees', remedy: null, sql: null, publisher: { server, database } },
      reason: `${where} is of the cluster ${found}, of which ${server} is registered, under another address`,
    };
  }
}

function compared(publisher: Place, where: string, found: string, registered: string): LinkTarget {
  if (found === registered) {
    const reason = `${where} is of the cluster ${found}, as ${publisher.server} is`;
    return { state: 'agrees', reason, remedy: null, sql: null, publisher };
  }
  return {
    ...{ state: 'disagrees', publisher, sql: null },
    reason: `${where} is of the cluster ${found}, and ${publisher.server} was registered as one of ${registered}`,
    remedy: `Change the subscription's connection, or register the server at ${where} under a name of its own.`,
  };
}

function unknown(
  publisher: Place | null,
  reason: string,
  { remedy = null, sql = null }: { remedy?: string | null; sql?: string | null },
): LinkTarget {
  return { state: 'unknown', publisher, reason, remedy, sql };
}

/** Null: it cannot be read. */
export function readConninfo(conninfo: string): Conninfo | null {
  try {
    return parseConninfo(conninfo);
  } catch {
    return null;
  }
}

/** A server that is away is an answer about it. */
export function detailOf(error: unknown): string {
  if (error instanceof Problem && error.code !== 'INTERNAL') return error.detail;
  throw error;
}
