import type { ConnectionTarget } from '../postgres/connection.js';
import { buildConninfo } from '../postgres/ddl/conninfo.js';

/**
 * The connection string by which a subscriber reaches a registered server, from that server's advertised target.
 * `sslmode` is the registered one, never weaker; a CA given as text does not travel, so that verify-ca and
 * verify-full use the root certificates the subscriber has. Holds the password.
 */
export function publisherConninfo({ host, port, database, user, password, tls }: ConnectionTarget): string {
  return buildConninfo({
    host,
    port: String(port),
    dbname: database,
    user,
    password,
    sslmode: tls.mode,
    connect_timeout: '10',
  });
}
