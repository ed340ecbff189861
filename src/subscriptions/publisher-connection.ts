import type { ConnectionTarget, TlsSettings } from '../postgres/connection.js';
import { buildConninfo, type Conninfo } from '../postgres/ddl/conninfo.js';
import { hostOf, portOf } from './publisher-lookup.js';

const TLS_MODES: readonly TlsSettings['mode'][] = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'];

/** A registered server as other servers reach it. `tls` holds the mode that they are to use. */
export interface PublisherTarget extends ConnectionTarget {
  /** libpq's `sslrootcert` on the host of the server that connects: a path there, or `system`. */
  rootCert?: string | null;
}

/**
 * The connection string by which a subscriber reaches a registered server. A CA given as text does not travel: libpq
 * reads it from a file of the subscriber's host, `rootCert` or else `~/.postgresql/root.crt` of the account the server
 * runs under. Holds the password.
 */
export function publisherConninfo({ host, port, database, user, password, tls, rootCert }: PublisherTarget): string {
  return buildConninfo({
    host,
    port: String(port),
    dbname: database,
    user,
    password,
    sslmode: tls.mode,
    ...(rootCert ? { sslrootcert: rootCert } : {}),
    connect_timeout: '10',
    // A first copy that policies would hide rows from fails then, instead of lacking them without a word.
    options: '-c row_security=off',
  });
}

/** Whether `options` of a connection string do: in `-c name=value` or `--name=value`; the last holds. */
export function turnsRowSecurityOff(options: string): boolean {
  const settings = [...options.matchAll(/(?:^|\s)(?:-c\s*|--)row[-_]security\s*=\s*(\S+)/gi)];
  return /^(?:off|false|no|0)$/i.test(settings.at(-1)?.[1] ?? '');
}

/**
 * A connection string as Lockstep itself can try it, where it leads to the same server from here; null: it names several
 * hosts, a socket, none, or no user. Nothing of it is left to the defaults of Lockstep's own host.
 */
export function connectionTargetOf(connection: Conninfo): ConnectionTarget | null {
  const { user, password = '', sslmode } = connection;
  const [host, port] = [hostOf(connection), portOf(connection)];
  if (host === undefined || host === '' || host.startsWith('/') || /,/.test(host + port)) return null;
  if (user === undefined || user === '') return null;
  const database = connection.dbname === undefined || connection.dbname === '' ? user : connection.dbname;
  const mode = TLS_MODES.find((each) => each === sslmode) ?? 'prefer';
  return { ...{ host, port: Number(port), user, password, database }, tls: { mode } };
}
