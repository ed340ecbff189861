import type { NestApplicationOptions } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NextFunction, Request, Response } from 'express';
import helmet from 'helmet';
import { JsonLogger } from '../observability/logger.js';
import { requestContextMiddleware, requestLogMiddleware } from '../observability/request-log.js';
import { ProblemFilter } from '../problems/problem.filter.js';
import { InputPipe } from '../problems/validation.pipe.js';
import { BODY_LIMIT, bodyErrorMiddleware, plainTextMiddleware } from './body.js';
import { dryRunMiddleware } from './dry-run.js';
import { InFlightRequests } from './in-flight-requests.js';
import { methodNotAllowedMiddleware } from './method-not-allowed.js';

/** What `NestFactory.create` must be given for `configureApi` to work: bodies are parsed by our own middleware. */
export const API_OPTIONS = { bodyParser: false, bufferLogs: true } as const satisfies NestApplicationOptions;

/** Everything around the controllers. Call it once, before the application is initialised or listens. */
export function configureApi(app: NestExpressApplication): void {
  const logger = app.get(JsonLogger);
  app.useLogger(logger);
  app.disable('x-powered-by');
  app.use(requestContextMiddleware);
  app.use(requestLogMiddleware(logger.pino));
  app.use(app.get(InFlightRequests).track);
  app.use(
    helmet({
      // Served over plain HTTP by default: browsers must not be told to turn every link into https.
      strictTransportSecurity: false,
      contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
    }),
  );
  app.use('/v1', neverCached);
  app.useBodyParser('json', { limit: BODY_LIMIT });
  app.use(bodyErrorMiddleware);
  app.use(plainTextMiddleware);
  app.use(dryRunMiddleware);
  app.use(methodNotAllowedMiddleware(app.getHttpAdapter().getInstance()));
  app.useGlobalPipes(new InputPipe());
  app.useGlobalFilters(new ProblemFilter(logger));
}

/** State changes from one moment to the next, and some answers hold a secret. */
function neverCached(_request: Request, response: Response, next: NextFunction): void {
  response.setHeader('Cache-Control', 'no-store');
  next();
}
