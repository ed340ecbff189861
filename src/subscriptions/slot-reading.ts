import type { SubscriptionSlot } from '../postgres/catalog/subscription-slots.js';
import { parseConninfo } from '../postgres/ddl/conninfo.js';
import { findPublisher, type ServerAddress, serverNamed } from './publisher-lookup.js';

/**
 * Whether the connection of the subscriber's subscription leads to that publisher, and to the slot's database (null: a
 * physical slot); null when it may not be read, or leads to no registered server: a server has more addresses than it is
 * registered with.
 */
export function readsFrom(
  { conninfo }: SubscriptionSlot,
  subscriber: string,
  { server, database }: { server: string; database: string | null },
  addresses: readonly ServerAddress[],
): boolean | null {
  if (conninfo === null) return null;
  try {
    const connection = parseConninfo(conninfo);
    const from = serverNamed(subscriber, addresses);
    // Two names may be one server's: its own come first.
    const own = addresses.filter(({ name }) => name === server);
    const found = findPublisher(connection, own, from) ?? findPublisher(connection, addresses, from);
    if (found !== null) return found.server === server && found.database === database;
    // A logical slot is read from in its own database only.
    return (connection.dbname ?? connection.user ?? database) === database ? null : false;
  } catch {
    return null;
  }
}
