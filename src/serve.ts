import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { API_OPTIONS, configureApi } from './api/configure-api.js';
import { AppModule } from './app.module.js';
import { Config } from './config/config.js';
import { createPino, JsonLogger } from './observability/logger.js';
import { setupSwagger } from './openapi.js';
import { Problem } from './problems/problem.js';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** How long open requests and running steps get at shutdown before the process ends all the same. */
const SHUTDOWN_LIMIT_MS = 15_000;

/**
 * Longer than load balancers and clients keep a connection that is idle (60 s is common): whoever closes first must not
 * be the one that a request may be under way to.
 */
const IDLE_CONNECTION_MS = 75_000;

/** Listens at once (so that `live` answers while state is being made), then serves. Ends on SIGTERM and SIGINT. */
export async function startLockstep(): Promise<void> {
  const config = Config.load();
  let handle: Handler = whileStarting;
  const server = createServer((request, response) => handle(request, response));
  server.keepAliveTimeout = IDLE_CONNECTION_MS;
  await listen(server, config);
  const app = await NestFactory.create<NestExpressApplication>(AppModule, {
    ...API_OPTIONS,
    abortOnError: false,
    logger: new QuietStart(createPino(config.logLevel)),
  });
  const logger = app.get(JsonLogger);
  let stopping = false;
  const stop = async (signal: string): Promise<void> => {
    if (stopping) return;
    stopping = true;
    logger.log('stopping', { signal });
    setTimeout(() => process.exit(1), SHUTDOWN_LIMIT_MS).unref();
    server.close();
    server.closeIdleConnections();
    handle = whileStopping;
    await app.close();
    server.closeAllConnections();
    logger.log('stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal));
  process.on('unhandledRejection', (reason) => logger.error('unhandled rejection', { err: reason }));
  configureApi(app);
  setupSwagger(app);
  await app.init();
  handle = app.getHttpAdapter().getInstance() as Handler;
  const { address, port } = server.address() as AddressInfo;
  logger.log('listening', { address, port, docs: `http://${config.host}:${port}/docs` });
}

/** Nest tells of every module and route it loads, which says nothing to who runs it; faults come out in `main`. */
class QuietStart extends JsonLogger {
  override log(): void {}

  override error(): void {}
}

function listen(server: Server, config: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.port, config.host, () => resolve());
  });
}

function whileStarting(request: IncomingMessage, response: ServerResponse): void {
  if (request.url === '/health/live') answer(response, 200, 'application/json', { status: 'ok' });
  else notReady(response, 'Lockstep is starting');
}

function whileStopping(_request: IncomingMessage, response: ServerResponse): void {
  notReady(response, 'Lockstep is shutting down');
}

function notReady(response: ServerResponse, detail: string): void {
  const problem = new Problem('NOT_READY', detail);
  response.setHeader('Retry-After', '1');
  answer(response, problem.status, 'application/problem+json', problem.toDocument());
}

function answer(response: ServerResponse, status: number, type: string, body: object): void {
  response.writeHead(status, { 'Content-Type': type }).end(JSON.stringify(body));
}
