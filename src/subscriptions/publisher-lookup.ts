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

/** Where libpq connects to: `host` beside a `hostaddr` is only the name that a certificate is held against. */
export function hostOf({ host, hostaddr }: Conninfo): string | undefined {
  return hostaddr === undefined || hostaddr === '' ? host : hostaddr;
}

export function portOf({ port }: Conninfo): string {
  return port === undefined || port === '' ? DEFAULT_PORT : port;
}

/**
 * The registered server and database that a connection string leads to, matched by the host that libpq connects to, and port; null when none
 * does, or when the string names several hosts: which one it is then depends on the moment. A local address is that of
 * the subscriber's own host: it leads to a server that is registered with one only where `subscriber` (null: not known) is
 * too, or where the server is advertised with it.
 */
export function findPublisher(
  connection: Conninfo,
  servers: readonly ServerAddress[],
  subscriber: ServerAddress | null,
): { server: string; database: string } | null {
  const host = hostOf(connection);
  const port = portOf(connection);
  const database = connection.dbname ?? connection.user;
  if (host === undefined || database === undefined || host.includes(',') || port.includes(',')) return null;
  const elsewhere = !meansTheSameHere(connection, subscriber);
  const found = servers.find((server) =>
    addressesOf(server)
      .filter(({ advertised }) => advertised || !elsewhere)
      .some((address) => sameHost(address.host, host) && String(address.port) === port),
  );
  return found ? { server: found.name, database } : null;
}

/** Whether the address may be tried from here: a local one is that of the subscriber's own host (null: not known). */
export function meansTheSameHere(connection: Conninfo, subscriber: ServerAddress | null): boolean {
  return !isLocal(hostOf(connection) ?? '') || (subscriber !== null && isLocal(subscriber.host));
}

export function serverNamed(name: string, servers: readonly ServerAddress[]): ServerAddress | null {
  return servers.find((server) => server.name === name) ?? null;
}

function addressesOf({ host, port, advertisedHost, advertisedPort }: ServerAddress) {
  return [
    { host, port, advertised: false },
    { host: advertisedHost ?? host, port: advertisedPort ?? port, advertised: Boolean(advertisedHost) },
  ];
}

export function isLoopback(host: string): boolean {
  return LOOPBACK.has(host.toLowerCase());
}

/** Not the same host for everybody. */
function isLocal(host: string): boolean {
  return isLoopback(host) || host.startsWith('/');
}

function sameHost(one: string, other: string): boolean {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  return a === b || (isLoopback(a) && isLoopback(b));
}
