import { HttpException } from '@nestjs/common';
import type { ErrorCode } from './error-codes.js';
import { Problem } from './problem.js';

const BY_STATUS: Record<number, ErrorCode> = {
  400: 'INVALID_INPUT',
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  406: 'NOT_ACCEPTABLE',
  409: 'CONFLICT',
  412: 'PRECONDITION_FAILED',
  413: 'PAYLOAD_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  422: 'NOT_AVAILABLE',
  429: 'TOO_MANY_REQUESTS',
  503: 'NOT_READY',
};

/** SQLSTATE classes and errnos that say our own state database is away, not that we have a bug. */
const STATE_AWAY = /^(08|57P0[123]$|53300$)/;
const AWAY_ERRNOS = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EHOSTUNREACH']);

/** Whatever was thrown while serving a request, as the Problem the caller is told. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof HttpException) return fromHttpException(error);
  if (isStateDatabaseAway(error)) {
    return new Problem('NOT_READY', "Lockstep's own database does not answer", { cause: error });
  }
  return new Problem('INTERNAL', 'Lockstep failed in a way it should not have', {
    hint: 'The log has the details under this requestId.',
    cause: error,
  });
}

function fromHttpException(error: HttpException): Problem {
  const status = error.getStatus();
  // A path that cannot be percent-decoded; its message would repeat the raw path.
  if (error.cause instanceof URIError) {
    return new Problem('INVALID_INPUT', 'The path holds an invalid percent-encoding', { cause: error });
  }
  const code = BY_STATUS[status] ?? (status < 500 ? 'INVALID_INPUT' : 'INTERNAL');
  const detail = status >= 500 && code === 'INTERNAL' ? 'Lockstep failed in a way it should not have' : error.message;
  return new Problem(code, detail, { cause: error });
}

/** What TypeORM throws wraps the driver's error; outside postgres/ nothing else talks to a database. */
function isStateDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const driverError = (error as { driverError?: unknown }).driverError;
  const code = codeOf(driverError) ?? codeOf(error);
  if (code !== undefined && (STATE_AWAY.test(code) || AWAY_ERRNOS.has(code))) return true;
  return /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/.test(
    error.message,
  );
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
