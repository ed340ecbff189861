import { type DynamicModule, Module, type Type } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiModule } from '../../src/api/api.module.js';
import { API_OPTIONS, configureApi } from '../../src/api/configure-api.js';
import { ConfigModule } from '../../src/config/config.module.js';
import { Config } from '../../src/config/config.js';
import { createPino, JsonLogger } from '../../src/observability/logger.js';
import { ObservabilityModule } from '../../src/observability/observability.module.js';
import { ServersModule } from '../../src/servers/servers.module.js';
import { StorageModule } from '../../src/storage/storage.module.js';
import type { TestServer } from '../support/postgres-fleet.js';

@Module({ imports: [ConfigModule, ObservabilityModule, StorageModule, ApiModule, ServersModule] })
class BaseApp {}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // Tests look into answers freely.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any;
}

/** The service in this process, on a port, with its log kept. */
export class ApiUnderTest {
  private constructor(
    readonly app: NestExpressApplication,
    readonly url: string,
    private readonly config: Config,
    readonly logLines: string[],
  ) {}

  static async start(
    state: TestServer,
    database: string,
    options: {
      environment?: Record<string, string>;
      root?: Type<unknown>;
      imports?: (Type<unknown> | DynamicModule)[];
      beforeListen?: (app: NestExpressApplication) => void;
    } = {},
  ): Promise<ApiUnderTest> {
    const dataDir = options.environment?.LOCKSTEP_DATA_DIR ?? mkdtempSync(join(tmpdir(), 'lockstep-api-'));
    const config = Config.load({
      DATABASE_URL: `postgresql://${state.user}:${state.password}@${state.host}:${state.port}/${database}`,
      LOCKSTEP_DATA_DIR: dataDir,
      LOCKSTEP_LOG_LEVEL: 'trace',
      ...options.environment,
    });
    const logLines: string[] = [];
    const logger = new JsonLogger(createPino(config.logLevel, { write: (line) => void logLines.push(line) }));
    const module = await Test.createTestingModule({ imports: [options.root ?? BaseApp, ...(options.imports ?? [])] })
      .overrideProvider(Config)
      .useValue(config)
      .overrideProvider(JsonLogger)
      .useValue(logger)
      .setLogger(logger)
      .compile();
    const app = module.createNestApplication<NestExpressApplication>(API_OPTIONS);
    configureApi(app);
    options.beforeListen?.(app);
    await app.listen(0, '127.0.0.1');
    return new ApiUnderTest(app, await app.getUrl(), config, logLines);
  }

  get dataDir(): string {
    return this.config.dataDir;
  }

  /** The admin token, as whoever started the service finds it. */
  get token(): string {
    return this.config.adminToken ?? readFileSync(join(this.dataDir, 'admin-token'), 'utf8').trim();
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    { token = this.token, headers = {} }: { token?: string | null; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') ?? false;
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : null };
  }

  get(path: string): Promise<Answer> {
    return this.call('GET', path);
  }

  post(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.call('POST', path, body, { headers });
  }

  async stop(): Promise<void> {
    await this.app.close();
  }
}
