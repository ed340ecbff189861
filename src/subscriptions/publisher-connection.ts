import { buildConninfo } from '../postgres/ddl/conninfo.js';
import type { ConnectionTarget } from '../postgres/connection.js';
import type { ServerAddress } from './publisher-lookup.js';

/**
 * The connection string a subscriber uses to reach a registered server: its advertised address with the login it was
 * registered with. `sslmode` is the registered one, never weaker; a CA given as text does not travel, so that
 * verify-ca and verify-full use the root certificates the subscriber has. Holds the password.
 */
export function publisherConninfo(target: ConnectionTarget, address: ServerAddress): string {
  return buildConninfo({
    host: address.advertisedHost ?? address.host,
    port: String(address.advertisedPort ?? address.port),
    dbname: target.database,
    user: target.user,
    password: target.password,
    sslmode: target.tls.mode,
    connect_timeout: '10',
  });
}
