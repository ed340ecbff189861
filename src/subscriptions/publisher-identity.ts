import type { Place } from '../changes/change.js';
import { readInstance } from '../postgres/catalog/instance.js';
import { readSystemIdentifier } from '../postgres/catalog/link-facts.js';
import { type Conninfo, parseConninfo } from '../postgres/ddl/conninfo.js';
import { Problem } from '../problems/problem.js';
import type { ServersService } from '../servers/servers.service.js';
import { hostOf, portOf, type ServerAddress } from './publisher-lookup.js';
import { probe } from './publisher-probe.js';

const LOOK_MS = 8_000;
/** What decides, beside host and port, which server libpq connects to. */
const CHOOSERS = ['service', 'servicefile', 'target_session_attrs', 'load_balance_hosts'];

/** Where a subscription reads from, or is to. */
export interface Reading {
  /** Null: no registered server, or not known. */
  publisher: Place | null;
  /** Null: may not be read. */
  conninfo: string | null;
}

/**
 * Where a connection leads, seen from the one before: to the same server and database, by whatever address or login; to
 * another server of its cluster, such as a standby that was promoted; to what is known to be another; or not known.
 */
export type Whither = 'same' | 'same-cluster' | 'elsewhere' | 'unknown';

interface Identity {
  /** Null: not known. */
  systemIdentifier: string | null;
  started: string | null;
}

const NOT_KNOWN: Identity = { systemIdentifier: null, started: null };

/** @param subscriber null: its address is not known */
export async function whither(
  servers: ServersService,
  subscriber: ServerAddress | null,
  from: Reading,
  to: Reading,
): Promise<Whither> {
  const isSameDatabase = databaseOf(from) !== null && databaseOf(from) === databaseOf(to);
  if (isSameDatabase && (isSameAddress(from, to) || isSameServer(from, to))) return 'same';
  const [before, after] = await Promise.all([from, to].map((each) => identityOf(servers, subscriber, each)));
  if (before!.systemIdentifier === null || after!.systemIdentifier === null) return 'unknown';
  if (!isSameDatabase || before!.systemIdentifier !== after!.systemIdentifier) return 'elsewhere';
  return before!.started !== null && before!.started === after!.started ? 'same' : 'same-cluster';
}

/** Of a registered server as last seen, for one that is away keeps its identity; another is tried by its connection string. */
async function identityOf(
  servers: ServersService,
  subscriber: ServerAddress | null,
  { publisher, conninfo }: Reading,
): Promise<Identity> {
  if (publisher !== null) {
    const { systemIdentifier } = await servers.facts(publisher.server);
    const instance = await orNull(servers.look(publisher.server, undefined, LOOK_MS, readInstance));
    return { systemIdentifier, started: instance?.started ?? null };
  }
  const connection = read(conninfo);
  if (connection === null) return NOT_KNOWN;
  const found = await probe(connection, subscriber, async (session) => ({
    systemIdentifier: (await readSystemIdentifier(session)).identifier,
    started: (await readInstance(session)).started,
  }));
  return found ?? NOT_KNOWN;
}

function isSameServer(one: Reading, other: Reading): boolean {
  return one.publisher !== null && one.publisher.server === other.publisher?.server;
}

function isSameAddress(one: Reading, other: Reading): boolean {
  const [a, b] = [read(one.conninfo), read(other.conninfo)];
  return a !== null && b !== null && leadsAlike(a, b);
}

/** Whether they differ at most in a password, or another setting that does not decide where they lead. */
export function leadsAlike(one: Conninfo, other: Conninfo): boolean {
  const places = [one, other].map((each) => [hostOf(each), portOf(each), ...CHOOSERS.map((key) => each[key] ?? '')]);
  return places[0]!.every((value, index) => value === places[1]![index]);
}

function databaseOf({ publisher, conninfo }: Reading): string | null {
  const connection = read(conninfo);
  return publisher?.database ?? connection?.dbname ?? connection?.user ?? null;
}

function read(conninfo: string | null): Conninfo | null {
  try {
    return conninfo === null ? null : parseConninfo(conninfo);
  } catch {
    return null;
  }
}

/** A publisher that does not answer is an answer about it. */
async function orNull<T>(look: Promise<T>): Promise<T | null> {
  try {
    return await look;
  } catch (error) {
    if (error instanceof Problem && error.code !== 'INTERNAL') return null;
    throw error;
  }
}
