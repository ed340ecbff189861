import type { ConnectionTarget } from '../postgres/connection.js';
import { buildConninfo } from '../postgres/ddl/conninfo.js';

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
  });
}
