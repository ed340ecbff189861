import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { runInRequest } from './request-context.js';

const SANE_REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** Asked for every few seconds by machines: worth a line only at debug level. */
const PROBES = /^\/(?:health|lb|metrics)(?:\/|\?|$)/;

/** Gives every request an id (the caller's `X-Request-Id` where it is sane), returns it, and opens its context. */
export function requestContextMiddleware(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const given = request.headers['x-request-id'];
  const requestId = typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : randomUUID();
  response.setHeader('X-Request-Id', requestId);
  const context = {
    requestId,
    method: request.method ?? 'GET',
    url: request.url ?? '/',
    remoteAddress: request.socket.remoteAddress ?? null,
    actor: null,
    sql: [],
    details: {},
  };
  runInRequest(context, next);
}

/** One line for every request that ended, also for one whose caller went away (`aborted`). */
export function requestLogMiddleware(logger: Logger) {
  return (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    const startedAt = performance.now();
    const { method, url = '/' } = request;
    response.once('close', () => {
      const status = response.statusCode;
      // 502 to 504 tell of a managed server, not of us.
      const level = status === 500 ? 'error' : PROBES.test(url) ? 'debug' : 'info';
      const durationMs = Math.round(performance.now() - startedAt);
      logger[level](
        { method, url, status, durationMs, ...(response.writableFinished ? {} : { aborted: true }) },
        'request',
      );
    });
    next();
  };
}
