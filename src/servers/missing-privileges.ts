import type { ServerLogin } from '../postgres/catalog/server-facts.js';
import { identifier } from '../postgres/quoting.js';
import { PG14, PG15, PG16 } from '../shared/server-version.js';

/** Something the login cannot do, what that rules out, and the statement (run by an administrator) that cures it. */
export interface MissingPrivilege {
  privilege: string;
  neededFor: string;
  grant: string;
}

/**
 * What the login lacks, each privilege by name. Privileges inside a database (owning tables, CREATE on it) are not
 * here: they depend on the database and are checked where they are needed.
 */
export function missingPrivileges(login: ServerLogin, versionNum: number): MissingPrivilege[] {
  if (login.superuser) return [];
  const user = identifier(login.name);
  const missing: MissingPrivilege[] = [];
  const need = (held: boolean, privilege: string, neededFor: string, grant: string): void => {
    if (!held) missing.push({ privilege, neededFor, grant });
  };
  need(
    login.replication,
    'REPLICATION',
    'replication slots, change streams, and serving as publisher',
    `alter role ${user} replication`,
  );
  need(
    login.monitor,
    'pg_monitor',
    'settings, sessions and replication state of other roles',
    `grant pg_monitor to ${user}`,
  );
  if (versionNum >= PG14) {
    need(
      login.readAllData ?? false,
      'pg_read_all_data',
      'initial copy and verification of tables the login neither owns nor was granted; shows it password verifiers, too',
      `grant pg_read_all_data to ${user}`,
    );
  }
  need(
    login.signalBackend,
    'pg_signal_backend',
    "ending writers' sessions at a switchover",
    `grant pg_signal_backend to ${user}`,
  );
  need(login.createRole, 'CREATEROLE', 'barring writing roles at a switchover', `alter role ${user} createrole`);
  need(
    login.createDatabase,
    'CREATEDB',
    'creating the database when the server is the target of an upgrade',
    `alter role ${user} createdb`,
  );
  if (versionNum >= PG16) {
    need(
      login.createSubscription ?? false,
      'pg_create_subscription',
      'creating subscriptions',
      `grant pg_create_subscription to ${user}`,
    );
  }
  if (versionNum >= PG14) {
    need(
      login.advanceOrigin,
      'EXECUTE on pg_replication_origin_advance',
      'skipping a transaction and continuing a subscription from a known position',
      `grant execute on function pg_catalog.pg_replication_origin_advance(text, pg_lsn) to ${user}`,
    );
  }
  need(false, 'SUPERUSER', superuserNeededFor(versionNum), `alter role ${user} superuser`);
  return missing;
}

function superuserNeededFor(versionNum: number): string {
  const publications = versionNum >= PG15 ? 'publications of all tables or of schemas' : 'publications of all tables';
  if (versionNum >= PG16) return publications;
  const subscriptions = `${publications}, creating subscriptions`;
  return versionNum >= PG14 ? subscriptions : `${subscriptions}, continuing a subscription from a known position`;
}
