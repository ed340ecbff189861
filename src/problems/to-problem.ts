import { HttpException } from '@nestjs/common';
import type { ErrorCode } from './error-codes.js';
import { Problem } from './problem.js';
import { isStateAway } from './state-away.js';

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

/** Whatever was thrown while serving a request, as the Problem the caller is told. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof HttpException) return fromHttpException(error);
  if (isStateAway(error)) {
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
