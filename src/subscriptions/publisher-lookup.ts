import type { Conninfo } from '../postgres/ddl/conninfo.js';

/** Where a registered server can be reached, by Lockstep and by other servers. */
export interface ServerAddress {
  name: string;
  host: string;
  port: number;
  advertisedHost?: string | null;
  advertisedPort?: number | null;
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1']);
const DEFAULT_PORT = '5432';

/**
 * The registered server and database that a connection string leads to, matched by host and port; null when none
 * does, or when the string names several hosts: which one it is then depends on the moment.
 */
export function findPublisher(
  connection: Conninfo,
  servers: readonly ServerAddress[],
): { server: string; database: string } | null {
  const host = connection.hostaddr ?? connection.host;
  const port = connection.port ?? DEFAULT_PORT;
  const database = connection.dbname ?? connection.user;
  if (host === undefined || database === undefined || host.includes(',') || port.includes(',')) return null;
  const found = servers.find((server) =>
    addressesOf(server).some(
      (address) => sameHost(address.host, connection.host ?? host) && String(address.port) === port,
    ),
  );
  return found ? { server: found.name, database } : null;
}

function addressesOf({ host, port, advertisedHost, advertisedPort }: ServerAddress) {
  return [
    { host, port },
    { host: advertisedHost ?? host, port: advertisedPort ?? port },
  ];
}

export function isLoopback(host: string): boolean {
  return LOOPBACK.has(host.toLowerCase());
}

function sameHost(one: string, other: string): boolean {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  return a === b || (isLoopback(a) && isLoopback(b));
}
