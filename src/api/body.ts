import type { NextFunction, Request, Response } from 'express';
import { type InputError, Problem } from '../problems/problem.js';
import { invalidInput } from '../problems/validation.pipe.js';

/** Far above any request of the API, far below what would hurt. */
export const BODY_LIMIT = '1mb';

/** What the JSON parser throws says what is wrong in `type`; its message repeats the body, so it is not used. */
export function bodyErrorMiddleware(error: unknown, _request: Request, _response: Response, next: NextFunction): void {
  const { type } = error as { type?: string };
  switch (type) {
    case 'entity.parse.failed':
      return next(new Problem('MALFORMED_BODY', 'The body is not a JSON object'));
    case 'entity.too.large':
      return next(new Problem('PAYLOAD_TOO_LARGE', `The body may have at most ${BODY_LIMIT}`));
    case 'charset.unsupported':
    case 'encoding.unsupported':
      return next(new Problem('UNSUPPORTED_MEDIA_TYPE', 'The body must be JSON in UTF-8'));
    case 'request.aborted':
    case 'request.size.invalid':
      return next(new Problem('MALFORMED_BODY', 'The body ended before it was complete'));
    default:
      // What the decompression throws has no type.
      return next(isFaultOfBody(error) ? new Problem('MALFORMED_BODY', 'The body cannot be decompressed') : error);
  }
}

function isFaultOfBody(error: unknown): boolean {
  return (error as { status?: unknown }).status === 400;
}

/** Refuses bodies that are not JSON, and zero bytes anywhere: PostgreSQL stores none in text. */
export function plainTextMiddleware(request: Request, _response: Response, next: NextFunction): void {
  const hasBody = request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length']) > 0;
  if (hasBody && !request.is('application/json')) {
    return next(new Problem('UNSUPPORTED_MEDIA_TYPE', 'Send the body as application/json'));
  }
  const errors = [...zeroBytes(request.body, '#'), ...zeroBytes(request.query, 'query:')];
  next(errors.length > 0 ? invalidInput(errors) : undefined);
}

function zeroBytes(value: unknown, pointer: string): InputError[] {
  if (typeof value === 'string') {
    return value.includes('\0') ? [{ pointer, detail: 'must not contain a zero byte' }] : [];
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, part]) =>
    zeroBytes(part, pointer === 'query:' ? `query:${name}` : `${pointer}/${encodeURIComponent(name)}`),
  );
}
