import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pinoHttp, type HttpLogger } from 'pino-http';
import type { Logger } from 'pino';
import { currentRequest, runInRequest } from './request-context.js';

const SANE_REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

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

/** One line per answered request; probes only at debug level. */
export function requestLogMiddleware(logger: Logger): HttpLogger {
  return pinoHttp({
    logger,
    genReqId: () => currentRequest()?.requestId ?? randomUUID(),
    quietReqLogger: true,
    customAttributeKeys: { responseTime: 'durationMs', reqId: 'requestId' },
    serializers: {
      req: (request: { method: string; url: string }) => ({ method: request.method, url: request.url }),
      res: (response: { statusCode: number }) => ({ statusCode: response.statusCode }),
    },
    customLogLevel: (request, response) => {
      if (response.statusCode >= 500) return 'error';
      return /^\/(health|lb|metrics)\b/.test(request.url ?? '') ? 'debug' : 'info';
    },
    customSuccessMessage: () => 'request',
    customErrorMessage: () => 'request',
  });
}
