import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppModule } from '../../src/app.module.js';
import { JsonLogger } from '../../src/observability/logger.js';
import { buildOpenApiDocument, exportOpenApi, setupSwagger } from '../../src/openapi.js';
import { ERROR_CODES } from '../../src/problems/error-codes.js';
import { AuditService } from '../../src/security/audit.service.js';
import { ServersService } from '../../src/servers/servers.service.js';
import { TestServer } from '../support/postgres-fleet.js';
import { type Answer, ApiUnderTest } from './security-app.js';

const ADMIN_TOKEN = 'planted-admin-token-9f2c';
const PASSWORD = `planted 'pass"word\\ ü`;
const WRONG_PASSWORD = 'planted-wrong-password-77';

describe('the whole service', () => {
  let server: TestServer;
  let api: ApiUnderTest;
  const answers: Answer[] = [];

  beforeAll(async () => {
    server = await TestServer.shared(18);
    const database = await server.freshDatabase('redaction_state');
    api = await ApiUnderTest.start(server, database, {
      root: AppModule,
      environment: { LOCKSTEP_ADMIN_TOKEN: ADMIN_TOKEN },
      beforeListen: setupSwagger,
    });
    await server.run(
      'postgres',
      `drop role if exists planted_login; create role planted_login superuser login password $p$${PASSWORD}$p$`,
    );
  });
  afterAll(async () => {
    await api?.stop();
    await server?.run('postgres', 'drop role planted_login');
    await server?.stop();
  });

  async function call(method: string, path: string, body?: unknown, options = {}): Promise<Answer> {
    const answer = await api.call(method, path, body, options);
    answers.push(answer);
    return answer;
  }

  it('lets no secret out: not in logs, answers, audit events or any table of its database', async () => {
    const { host, port } = server;
    const registration = { name: 'planted', host, port, user: 'planted_login', password: PASSWORD };
    const key = { headers: { 'idempotency-key': 'planted' } };
    const tokenKey = { headers: { 'idempotency-key': 'planted-token' } };
    expect((await call('POST', '/v1/servers', registration, key)).status).toBe(201);
    expect((await call('POST', '/v1/servers', registration, key)).status).toBe(201);
    const wrong = { ...registration, name: 'wrong', password: WRONG_PASSWORD };
    expect((await call('POST', '/v1/servers', wrong)).status).toBe(502);
    await call('POST', '/v1/servers', { ...wrong, tls: { mode: 'verify-full' } });
    await call('POST', '/v1/servers', { ...wrong, port: WRONG_PASSWORD, extra: WRONG_PASSWORD });
    await call('POST', '/v1/servers', `{"password": "${WRONG_PASSWORD}", `);
    await call('PATCH', '/v1/servers/planted', { password: WRONG_PASSWORD });
    await call('PATCH', '/v1/servers/planted', { password: PASSWORD });
    await call('POST', '/v1/servers/planted/check');
    await call('GET', '/v1/servers/planted/databases');
    await call('GET', '/v1/servers');
    const token = (await api.call('POST', '/v1/tokens', { name: 'planted', scope: 'admin' }, tokenKey)).body
      .token as string;
    await call('POST', '/v1/tokens', { name: 'planted', scope: 'admin' }, tokenKey);
    await call('GET', '/v1/tokens', undefined, { token });
    await call('GET', `/v1/servers/${encodeURIComponent(token)}`, undefined, { token });
    await call('GET', '/v1/servers', undefined, { token: `${WRONG_PASSWORD}x` });

    // A statement that repeats the password, refused by the server in words that hold it, logged and audited by us.
    const servers = api.app.get(ServersService);
    const statement = `do $x$ begin raise exception 'no "%"', $y$${PASSWORD}$y$; end $x$`;
    const refusal: unknown = await servers
      .withSession('planted', undefined, (session) => session.execute(statement))
      .catch((error: unknown) => error);
    expect(String(refusal)).toContain(PASSWORD);
    api.app.get(JsonLogger).error('statement refused', { err: refusal, statement });
    await api.app
      .get(AuditService)
      .record({ action: 'test', subject: PASSWORD, outcome: 'failed', sql: [statement], details: { refusal } });
    await call('GET', '/v1/audit-events?limit=200');

    const dump = await dumpOf('redaction_state');
    expect(dump).toContain('lockstep.api_token');
    expect(dump).toContain('dbos.');
    const places = { log: api.logLines.join(''), answers: answers.map(({ text }) => text).join('\n'), database: dump };
    expect(places.log.length).toBeGreaterThan(1000);
    for (const [place, text] of Object.entries(places)) {
      for (const [what, secret] of Object.entries({ ADMIN_TOKEN, PASSWORD, WRONG_PASSWORD, token })) {
        for (const form of [secret, JSON.stringify(secret).slice(1, -1), secret.replaceAll("'", "''")]) {
          expect([place, what, text.includes(form)]).toEqual([place, what, false]);
        }
      }
    }
    expect(places.answers).toContain('SERVER_AUTHENTICATION_FAILED');
    // The password did get there: the server can be used, and its sealed form is stored.
    expect((await servers.target('planted')).password).toBe(PASSWORD);
  });

  /** Every row of every table outside the catalogs, as text. */
  async function dumpOf(database: string): Promise<string> {
    return server.withSession(database, async (session) => {
      const tables = await session.rows<{ name: string }>(
        `select format('%I.%I', schemaname, tablename) as name from pg_tables
          where schemaname not in ('pg_catalog', 'information_schema')`,
      );
      const parts: string[] = [];
      for (const { name } of tables) {
        const rows = await session.rows<{ line: string }>(`select t::text as line from ${name} t`);
        parts.push(name, ...rows.map(({ line }) => line));
      }
      return parts.join('\n');
    });
  }

  describe('describes itself', () => {
    it('the same running and not running, twice the same', async () => {
      const exported = JSON.stringify(await exportOpenApi());
      expect(JSON.stringify(await exportOpenApi())).toBe(exported);
      expect(JSON.stringify(buildOpenApiDocument(api.app))).toBe(exported);
      const served = await api.call('GET', '/openapi.json', undefined, { token: null });
      expect(served.body).toEqual(JSON.parse(exported));
    });

    it('with a summary, a problem and a way in for every operation', async () => {
      const document = (await api.call('GET', '/openapi.json', undefined, { token: null })).body;
      expect(document.openapi).toMatch(/^3\.1\./);
      expect(document.components.securitySchemes.token).toMatchObject({ type: 'http', scheme: 'bearer' });
      expect(document.components.schemas.ErrorCode.enum).toEqual(Object.keys(ERROR_CODES));
      for (const [path, operations] of Object.entries<Record<string, Record<string, unknown>>>(document.paths)) {
        for (const [method, operation] of Object.entries(operations)) {
          const at = `${method} ${path}`;
          expect([at, typeof operation.summary]).toEqual([at, 'string']);
          expect([at, Array.isArray(operation.tags)]).toEqual([at, true]);
          expect([at, operation.responses]).toEqual([at, expect.objectContaining({ default: expect.anything() })]);
          if (path.startsWith('/health')) expect([at, operation.security]).toEqual([at, []]);
          else expect([at, operation.security]).toEqual([at, undefined]);
        }
      }
    });

    it('in Swagger UI, which its own content policy lets run', async () => {
      const page = await api.call('GET', '/docs', undefined, { token: null });
      expect(page.status).toBe(200);
      const policy = page.headers.get('content-security-policy')!;
      expect(policy).toContain("script-src 'self'");
      expect(policy).not.toContain('upgrade-insecure-requests');
      const scripts = [...page.text.matchAll(/<script([^>]*)>([^<]*)<\/script>/g)];
      expect(scripts.length).toBeGreaterThan(1);
      for (const [, attributes, inline] of scripts) {
        expect(inline!.trim()).toBe('');
        const source = /src="([^"]+)"/.exec(attributes!)![1]!;
        expect((await api.call('GET', new URL(source, 'http://x/').pathname, undefined, { token: null })).status).toBe(
          200,
        );
      }
      const init = await api.call('GET', '/docs/swagger-ui-init.js', undefined, { token: null });
      expect(init.text).toContain('"persistAuthorization": true');
    });
  });
});
