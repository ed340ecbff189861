import { identifier, literal } from '../quoting.js';

const READ_ONLY = 'default_transaction_read_only';

export function setLogin(role: string, canLogin: boolean): string {
  return `alter role ${identifier(role)} ${canLogin ? 'login' : 'nologin'}`;
}

/** The second net: new sessions of the role in this database start read-only. Never set on the database itself. */
export function setReadOnly(role: string, database: string, value: string): string {
  return `alter role ${identifier(role)} in database ${identifier(database)} set ${READ_ONLY} to ${literal(value)}`;
}

export function resetReadOnly(role: string, database: string): string {
  return `alter role ${identifier(role)} in database ${identifier(database)} reset ${READ_ONLY}`;
}

/** The value of the read-only setting in `pg_db_role_setting.setconfig`, or null when it is not among the entries. */
export function readOnlyEntry(settings: readonly string[] | null): string | null {
  const prefix = `${READ_ONLY}=`;
  return settings?.find((entry) => entry.startsWith(prefix))?.slice(prefix.length) ?? null;
}

/** The entries with another value of the read-only setting, or without it. */
export function withReadOnlyEntry(settings: readonly string[] | null, value: string | null): string[] | null {
  const others = (settings ?? []).filter((entry) => !entry.startsWith(`${READ_ONLY}=`));
  const entries = value === null ? others : [...others, `${READ_ONLY}=${value}`];
  return entries.length === 0 ? null : entries;
}

/** One grant of CONNECT, by role name; a null grantee is PUBLIC, a null grantor the database's owner. */
export interface ConnectGrant {
  grantor: string | null;
  grantee: string | null;
  grantable: boolean;
}

/**
 * Makes `wanted` the only grants of CONNECT on the database, to be run in one transaction so that nobody is locked
 * out in between. Every grant descends from one by the owner, so revoking those with CASCADE clears them all. Grants
 * that others made are made again in their name, after the one that allows them.
 */
export function replaceConnectGrants(database: string, current: ConnectGrant[], wanted: ConnectGrant[]): string[] {
  const db = identifier(database);
  const statements = current
    .filter((grant) => grant.grantor === null)
    .map(({ grantee }) => `revoke connect on database ${db} from ${grantTo(grantee)} cascade`);
  const allowed = new Set<string | null>([null]);
  let left = wanted;
  while (left.length > 0) {
    const next = left.filter((grant) => allowed.has(grant.grantor));
    if (next.length === 0) break;
    for (const grant of next) {
      const statement = `grant connect on database ${db} to ${grantTo(grant.grantee)}${grant.grantable ? ' with grant option' : ''}`;
      if (grant.grantor === null) statements.push(statement);
      else statements.push(`set local role ${identifier(grant.grantor)}`, statement, 'reset role');
      if (grant.grantable && grant.grantee !== null) allowed.add(grant.grantee);
    }
    left = left.filter((grant) => !next.includes(grant));
  }
  return statements;
}

function grantTo(grantee: string | null): string {
  return grantee === null ? 'public' : identifier(grantee);
}
