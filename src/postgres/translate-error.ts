import { DatabaseError } from 'pg';
import { type ErrorCode } from '../problems/error-codes.js';
import { Problem } from '../problems/problem.js';

/** SQLSTATE -> our code, most specific first: the five-character state, then its two-character class. */
const BY_SQLSTATE: Record<string, ErrorCode> = {
  '28000': 'SERVER_AUTHENTICATION_FAILED',
  '28P01': 'SERVER_AUTHENTICATION_FAILED',
  '3D000': 'DATABASE_NOT_FOUND',
  '42501': 'SERVER_PRIVILEGE_MISSING',
  // A subscription of a login that is no superuser, and no password in its connection string or asked for.
  '2F003': 'PREREQUISITE_FAILED',
  '42710': 'ALREADY_EXISTS',
  '42P07': 'ALREADY_EXISTS',
  '42P06': 'ALREADY_EXISTS',
  '42704': 'NOT_FOUND',
  '42P01': 'NOT_FOUND',
  '3F000': 'NOT_FOUND',
  '55006': 'OBJECT_IN_USE',
  '55000': 'PREREQUISITE_FAILED',
  '55P03': 'SERVER_TIMEOUT',
  '57014': 'SERVER_TIMEOUT',
  '53300': 'LIMIT_REACHED',
  '53400': 'LIMIT_REACHED',
  '57P01': 'SERVER_UNREACHABLE',
  '57P02': 'SERVER_UNREACHABLE',
  '57P03': 'SERVER_UNREACHABLE',
  '08': 'SERVER_UNREACHABLE',
  '53': 'LIMIT_REACHED',
};

const RETRYABLE_SQLSTATES = new Set(['40001', '40P01', '53300', '55P03', '57014']);

const UNREACHABLE_ERRNOS = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENOTFOUND', 'EAI_AGAIN'],
  ...['EADDRNOTAVAIL', 'ECONNABORTED', 'EINVAL'],
]);

export function sqlstateOf(error: unknown): string | undefined {
  if (error instanceof Problem) return error.options.sqlstate;
  return error instanceof DatabaseError ? error.code : undefined;
}

/** Turns what a driver threw while connecting into a Problem. The password is never part of the text. */
export function translateConnectError(error: unknown, target: { host: string; port: number }): Problem {
  const where = `${target.host}:${target.port}`;
  const errno = (error as NodeJS.ErrnoException | undefined)?.code;
  const text = messageOf(error);
  if (error instanceof DatabaseError) return translateError(error, where);
  if (errno === 'ETIMEDOUT' || text === 'timeout expired') {
    return new Problem('SERVER_TIMEOUT', `${where} did not answer the connection attempt in time`, { cause: error });
  }
  if (text === 'The server does not support SSL connections') {
    return new Problem('SERVER_TLS_FAILED', `${where} does not offer TLS`, {
      hint: 'Turn ssl on at the server, or use tls.mode "prefer" or "disable".',
      cause: error,
    });
  }
  if (isTlsErrno(errno) || /SSL|TLS|certificate|altnames/i.test(text)) {
    return new Problem('SERVER_TLS_FAILED', `TLS with ${where} failed: ${text}`, { cause: error });
  }
  // node-pg's own SCRAM client refuses before the server can.
  if (/SASL|SCRAM|password must be a string|authenticationMD5/i.test(text)) {
    return new Problem('SERVER_AUTHENTICATION_FAILED', `login at ${where} failed: ${text}`, { cause: error });
  }
  return new Problem('SERVER_UNREACHABLE', `cannot reach ${where}: ${text}`, { cause: error });
}

function isTlsErrno(errno: string | undefined): boolean {
  return (
    errno !== undefined &&
    /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|EPROTO|HOSTNAME_MISMATCH|INVALID_CA)/.test(errno)
  );
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}

/** Turns what a driver threw during a statement into a Problem. SQLSTATE decides, never message text. */
export function translateError(error: unknown, where: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof DatabaseError) {
    const state = error.code ?? '';
    const code = BY_SQLSTATE[state] ?? BY_SQLSTATE[state.slice(0, 2)] ?? 'SERVER_FAILED';
    return new Problem(code, `${where}: ${error.message}`, {
      sqlstate: state,
      ...(error.hint ? { hint: error.hint } : {}),
      ...(RETRYABLE_SQLSTATES.has(state) ? { retryable: true } : {}),
      cause: error,
    });
  }
  const errno = (error as NodeJS.ErrnoException | undefined)?.code;
  const text = messageOf(error);
  if (errno === 'ETIMEDOUT') return new Problem('SERVER_TIMEOUT', `${where}: ${text}`, { cause: error });
  if (
    (errno !== undefined && UNREACHABLE_ERRNOS.has(errno)) ||
    /^(Connection terminated|Client has encountered a connection error|Client was closed)/.test(text)
  ) {
    return new Problem('SERVER_UNREACHABLE', `${where}: ${text}`, { cause: error });
  }
  return new Problem('INTERNAL', `${where}: ${text}`, { cause: error });
}
