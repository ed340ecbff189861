import {
  READ_ONLY_ENTRIES,
  READ_ONLY_OF_SERVER,
  READ_ONLY_OF_SESSION,
  type ReadOnlyEntry,
} from '../../postgres/catalog/read-only.sql.js';
import { ROLES_BY_NAME } from '../../postgres/catalog/fence.sql.js';
import type { ConnectionTarget } from '../../postgres/connection.js';
import { identifier } from '../../postgres/quoting.js';
import { type Session, withSession } from '../../postgres/session.js';

export interface ReadOnlyQuestion {
  source: Session;
  target: Session;
  connections: { source: ConnectionTarget; target: ConnectionTarget };
  /** Who is to write on the target. */
  writers: string[];
  /** Roles that our bar keeps read-only there, until it is opened. */
  barred: string[];
}

/** A setting with which sessions of these roles could only read on the target, once it is open. */
export interface ReadOnlyFound {
  [column: string]: unknown;
  /** Where it is set, e.g. `database orders`. */
  object: string;
  /** Writers it concerns; none: whoever has no setting of its own. */
  roles: string[];
  /** Statements that take it away. */
  mend: string;
}

/**
 * Where `default_transaction_read_only` would keep whom from writing on the opened target that may write on the source:
 * our own sessions, and those of replication, do not show it. Roles that are not there yet come with the source's settings.
 */
export async function readOnlyOnTarget(question: ReadOnlyQuestion): Promise<ReadOnlyFound[]> {
  const { source, target, connections, writers, barred } = question;
  const there = new Set((await target.rows<{ name: string }>(ROLES_BY_NAME, [writers])).map(({ name }) => name));
  const sourceEntries = await source.rows<ReadOnlyEntry>(READ_ONLY_ENTRIES, [writers]);
  const targetEntries = await target.rows<ReadOnlyEntry>(READ_ONLY_ENTRIES, [writers]);
  const ofSource = ({ role, thisDatabase }: ReadOnlyEntry) =>
    role !== null && (!there.has(role) || (thisDatabase && barred.includes(role)));
  const opened = [...targetEntries.filter((entry) => !ofSource(entry)), ...sourceEntries.filter(ofSource)];
  const server = {
    source: await ofServer(source, connections.source),
    target: await ofServer(target, connections.target),
  };
  const { database } = await target.row<{ database: string }>('select pg_catalog.current_database()::text as database');
  const found = new Map<string, ReadOnlyFound>();
  for (const role of [null, ...writers]) {
    const entry = effective(opened, role);
    if (!(entry?.on ?? server.target) || (effective(sourceEntries, role)?.on ?? server.source)) continue;
    const place = described(entry, database);
    const known = found.get(place.object) ?? { ...place, roles: [] };
    found.set(place.object, { ...known, roles: role === null ? known.roles : [...known.roles, role] });
  }
  return [...found.values()];
}

/** The entry that a session of the role starts with: role in database, role, database, every role. */
function effective(entries: ReadOnlyEntry[], role: string | null): ReadOnlyEntry | undefined {
  const rank = (entry: ReadOnlyEntry) => (entry.role === null ? 0 : 2) + (entry.thisDatabase ? 1 : 0);
  return entries.filter((entry) => entry.role === null || entry.role === role).sort((a, b) => rank(b) - rank(a))[0];
}

async function ofServer(session: Session, connection: ConnectionTarget): Promise<boolean> {
  const unpinned = { purpose: 'settings', serverReadOnly: true };
  const seen = await withSession(connection, unpinned, (own) =>
    own.row<{ on: boolean; own: boolean }>(READ_ONLY_OF_SESSION),
  );
  // Where an entry of the database hides the server's value, it does so for everybody.
  return seen.own ? (await session.row<{ on: boolean }>(READ_ONLY_OF_SERVER)).on : seen.on;
}

function described(entry: ReadOnlyEntry | undefined, database: string): Pick<ReadOnlyFound, 'object' | 'mend'> {
  const reset = 'reset default_transaction_read_only;';
  const db = identifier(database);
  if (entry === undefined) {
    return {
      object: 'the server',
      mend: 'Set default_transaction_read_only to off in its configuration (alter system, or the file), then: select pg_reload_conf();',
    };
  }
  if (entry.role === null) {
    return entry.thisDatabase
      ? { object: `database ${database}`, mend: `alter database ${db} ${reset}` }
      : { object: 'all roles', mend: `alter role all ${reset}` };
  }
  const role = identifier(entry.role);
  const place = entry.thisDatabase ? ` in database ${db}` : '';
  return {
    object: `role ${entry.role}${entry.thisDatabase ? ` in database ${database}` : ''}`,
    mend: `alter role ${role}${place} ${reset}`,
  };
}
