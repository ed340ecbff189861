import { Client, type ClientConfig } from 'pg';
import type { ConnectionOptions } from 'node:tls';
import { translateConnectError } from './translate-error.js';

/** TLS towards a managed server, named as libpq's `sslmode`. */
export interface TlsSettings {
  mode: 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  /** PEM of the certificate authority; needed by verify-ca and verify-full unless the system trusts it. */
  ca?: string;
}

/** How to reach one database of a managed server. Holds a password: never log it, never store it in a workflow. */
export interface ConnectionTarget {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  tls: TlsSettings;
  /** Told of every statement of every session before it is sent, for whoever must account for it. The text may hold secrets. */
  onStatement?: (sql: string) => void;
}

export interface ConnectOptions {
  /** Appended to `lockstep`, so that an operator sees in pg_stat_activity what a session is for. */
  purpose?: string;
  connectTimeoutMs?: number;
  /** 0 only for sessions that end their statements otherwise (streams, long hashes with their own deadline). */
  statementTimeoutMs?: number;
  lockTimeoutMs?: number;
  /**
   * Ends the session when a statement has no answer by then: the server is silent, and would not hear a cancel. More
   * than its own limits take, so that a server that answers is heard. Unset: waits as long as the network does.
   */
  answerWithinMs?: number;
  /** Leaves statement_timeout as the server has it for the role: to see what that is. */
  serverTimeouts?: boolean;
  /** Leaves default_transaction_read_only as the server has it for the role: to see what that is. */
  serverReadOnly?: boolean;
  /** Opens a walsender session (`replication=database`). */
  replication?: boolean;
  /** Further settings for the session. */
  settings?: Record<string, string>;
}

export const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
export const DEFAULT_STATEMENT_TIMEOUT_MS = 30_000;
export const DEFAULT_LOCK_TIMEOUT_MS = 5_000;
/** How much later than its own limit a server's answer may come. */
export const ANSWER_GRACE_MS = 5_000;

/** Limits of a session on which a server that falls silent is given up soon after the statement's own limit. */
export function boundedAnswers(statementTimeoutMs = DEFAULT_STATEMENT_TIMEOUT_MS) {
  return { statementTimeoutMs, answerWithinMs: statementTimeoutMs + ANSWER_GRACE_MS };
}

/**
 * Settings that change how values are printed or names resolved, pinned so that two servers answer alike
 * whatever their own configuration says.
 */
const PINNED_SETTINGS: Record<string, string> = {
  datestyle: 'ISO,MDY',
  intervalstyle: 'postgres',
  extra_float_digits: '1',
  timezone: 'UTC',
  bytea_output: 'hex',
  lc_monetary: 'C',
  search_path: 'pg_catalog',
  quote_all_identifiers: 'off',
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  xmloption: 'content',
  default_transaction_read_only: 'off',
  default_transaction_isolation: 'read committed',
  idle_in_transaction_session_timeout: '0',
};

const CHECK_FOR_CLIENT = `case when pg_catalog.current_setting('client_connection_check_interval', true) is not null
  then pg_catalog.set_config('client_connection_check_interval', '10s', false) end`;

/**
 * SQL expressions that lift what a server's or a role's settings would end a session by, as far as the server knows
 * it: these came in 14 and 17, and an older one refuses connections that name them. From 14 on a server also looks
 * whether we are still there while it runs a statement of ours: else a hash over a large table would go on for hours
 * after this process died, and keep its snapshot and its lock.
 */
export function liftTimeoutsExpression(): string {
  const lift = (name: string) =>
    `case when pg_catalog.current_setting('${name}', true) is not null then pg_catalog.set_config('${name}', '0', false) end`;
  return [...['idle_session_timeout', 'transaction_timeout'].map(lift), CHECK_FOR_CLIENT].join(', ');
}

/** Opens one session. Rejects with a Problem: unreachable, timeout, login refused, TLS failed, unknown database. */
export async function connect(target: ConnectionTarget, options: ConnectOptions = {}): Promise<Client> {
  const attempts = tlsAttempts(target.tls);
  let refusal: unknown;
  for (const ssl of attempts) {
    const client = new Client(clientConfig(target, options, ssl));
    // A session may die while nobody waits on it; without a listener that would end the process.
    client.on('error', () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      refusal = error;
      await client.end().catch(() => {});
      if (!isTlsRefusal(error)) break;
    }
  }
  throw translateConnectError(refusal, target);
}

export function clientConfig(
  target: ConnectionTarget,
  options: ConnectOptions,
  ssl: false | ConnectionOptions,
): ClientConfig {
  const settings: Record<string, string> = {
    ...PINNED_SETTINGS,
    ...(options.serverTimeouts
      ? {}
      : { statement_timeout: String(options.statementTimeoutMs ?? DEFAULT_STATEMENT_TIMEOUT_MS) }),
    lock_timeout: String(options.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS),
    ...options.settings,
  };
  if (options.serverReadOnly) delete settings.default_transaction_read_only;
  return {
    host: target.host,
    port: target.port,
    user: target.user,
    // An empty one would be replaced by PGPASSWORD or a line of ~/.pgpass, which are Lockstep's own.
    password: target.password === '' ? () => '' : target.password,
    database: target.database,
    ssl,
    application_name: options.purpose ? `lockstep ${options.purpose}`.slice(0, 63) : 'lockstep',
    connectionTimeoutMillis: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    options: Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value.replace(/([\\ ])/g, '\\$1')}`)
      .join(' '),
    ...(options.replication ? ({ replication: 'database' } as ClientConfig) : {}),
  };
}

/** The TLS configurations to try, in order; `prefer` falls back to plain text as libpq does. */
export function tlsAttempts(tls: TlsSettings): (false | ConnectionOptions)[] {
  const ca = tls.ca === undefined ? {} : { ca: tls.ca };
  switch (tls.mode) {
    case 'disable':
      return [false];
    case 'prefer':
      return [{ rejectUnauthorized: false }, false];
    case 'require':
      // As in libpq, a given CA turns require into verify-ca.
      return [tls.ca === undefined ? { rejectUnauthorized: false } : verifyCa(tls.ca)];
    case 'verify-ca':
      return [tls.ca === undefined ? { checkServerIdentity: () => undefined } : verifyCa(tls.ca)];
    case 'verify-full':
      return [{ ...ca }];
  }
}

function verifyCa(ca: string): ConnectionOptions {
  return { ca, checkServerIdentity: () => undefined };
}

function isTlsRefusal(error: unknown): boolean {
  return error instanceof Error && error.message === 'The server does not support SSL connections';
}
