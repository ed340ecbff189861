import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { literal } from '../../src/postgres/quoting.js';
import { ServerUsage } from '../../src/servers/server-usage.js';
import { ServersService } from '../../src/servers/servers.service.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

describe('servers', () => {
  let state: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    state = await TestServer.shared(18);
    api = await ApiUnderTest.start(state, await state.freshDatabase('servers_state'));
  });
  afterAll(async () => {
    await api?.stop();
    await state?.stop();
  });

  function registration(server: TestServer, change: Record<string, unknown> = {}): Record<string, unknown> {
    const { host, port, user, password } = server;
    return { name: 'one', host, port, user, password, database: 'postgres', tls: { mode: 'disable' }, ...change };
  }

  async function forgetAll(): Promise<void> {
    for (const { name } of (await api.get('/v1/servers')).body.items) {
      expect((await api.call('DELETE', `/v1/servers/${encodeURIComponent(name)}`)).status).toBe(204);
    }
  }

  it.each(AVAILABLE_MAJORS)('registers PostgreSQL %i with what it can do', async (major) => {
    const server = await TestServer.shared(major);
    const answer = await api.post('/v1/servers', registration(server, { name: `pg-${major}` }));
    expect(answer.status).toBe(201);
    expect(answer.text).not.toContain(server.password);
    expect(answer.body).toMatchObject({
      name: `pg-${major}`,
      host: server.host,
      port: server.port,
      user: server.user,
      timeline: 1,
      inRecovery: false,
      walLevel: 'logical',
      reachable: true,
      provider: null,
      superuser: true,
      missingPrivileges: [],
    });
    expect(answer.body.version).toMatch(new RegExp(`^${major}\\.\\d+$`));
    expect(Math.floor(answer.body.versionNum / 10000)).toBe(major);
    expect(answer.body.systemIdentifier).toMatch(/^\d{15,20}$/);
    const stored = (await api.get(`/v1/servers/pg-${major}`)).body;
    expect(stored).toEqual({ ...answer.body, createdAt: stored.createdAt, updatedAt: stored.updatedAt });
    const databases = (await api.get(`/v1/servers/pg-${major}/databases`)).body.items;
    const postgres = databases.find(({ name }: { name: string }) => name === 'postgres');
    expect(postgres).toMatchObject({ encoding: 'UTF8', allowsConnections: true, isTemplate: false });
    expect(postgres.sizeBytes).toBeGreaterThan(1_000_000);
    await forgetAll();
    await server.stop();
  });

  describe('a look that fails stores nothing', () => {
    let silent: Server;
    let silentPort: number;
    beforeAll(async () => {
      silent = createServer(() => {});
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      silentPort = (silent.address() as { port: number }).port;
    });
    afterAll(() => {
      silent.close();
    });

    it.each<[string, () => Record<string, unknown>, number, string, boolean]>([
      ['nobody listens', () => ({ port: 1 }), 503, 'SERVER_UNREACHABLE', true],
      ['the name does not resolve', () => ({ host: 'nowhere.invalid' }), 503, 'SERVER_UNREACHABLE', true],
      ['the password is wrong', () => ({ password: 'not-the-password' }), 502, 'SERVER_AUTHENTICATION_FAILED', false],
      ['the user is unknown', () => ({ user: 'nobody-of-that-name' }), 502, 'SERVER_AUTHENTICATION_FAILED', false],
      ['the database is unknown', () => ({ database: 'no such db' }), 404, 'DATABASE_NOT_FOUND', false],
      ['the server has no TLS', () => ({ tls: { mode: 'require' } }), 502, 'SERVER_TLS_FAILED', false],
    ])('%s', async (_case, change, status, code, retryable) => {
      const answer = await api.post('/v1/servers', registration(state, change()));
      expect(answer.body).toMatchObject({ status, code, retryable });
      expect(answer.text).not.toContain('not-the-password');
      expect((await api.get('/v1/servers')).body.items).toEqual([]);
    });

    it('the server does not answer', async () => {
      const answer = await api.post('/v1/servers', registration(state, { port: silentPort }));
      expect(answer.body).toMatchObject({ status: 504, code: 'SERVER_TIMEOUT', retryable: true });
    }, 30_000);
  });

  it('says which privileges a login lacks, and the statements it names cure them', async () => {
    await state.run(
      'postgres',
      `drop role if exists "weak ""login"""; create role "weak ""login""" login password 'weak-password'`,
    );
    const weak = { name: 'weak', user: 'weak "login"', password: 'weak-password' };
    const answer = await api.post('/v1/servers', registration(state, weak));
    expect(answer.status).toBe(201);
    const missing = answer.body.missingPrivileges as { privilege: string; grant: string }[];
    expect(missing.map(({ privilege }) => privilege)).toEqual([
      'REPLICATION',
      'pg_monitor',
      'pg_read_all_data',
      'pg_signal_backend',
      'CREATEROLE',
      'CREATEDB',
      'pg_create_subscription',
      'EXECUTE on pg_replication_origin_advance',
      'SUPERUSER',
    ]);
    for (const { privilege, grant } of missing) {
      if (privilege !== 'SUPERUSER') await state.run('postgres', grant);
    }
    const cured = (await api.post('/v1/servers/weak/check')).body;
    expect(cured.missingPrivileges.map(({ privilege }: { privilege: string }) => privilege)).toEqual(['SUPERUSER']);
    await forgetAll();
    await state.run(
      'postgres',
      `revoke all on function pg_catalog.pg_replication_origin_advance(text, pg_lsn) from "weak ""login"""; drop role "weak ""login"""`,
    );
  });

  it('warns of one server under two names', async () => {
    await api.post('/v1/servers', registration(state));
    const second = await api.post('/v1/servers', registration(state, { name: 'two' }));
    expect(second.body.warnings).toContainEqual(expect.objectContaining({ code: 'SAME_SERVER' }));
    expect((await api.get('/v1/servers/one')).body.warnings).toContainEqual(
      expect.objectContaining({ code: 'SAME_SERVER', detail: expect.stringContaining('"two"') }),
    );
    await forgetAll();
  });

  it('changes only what is given, looks before it stores, and keeps to the cluster', async () => {
    const other = await TestServer.shared(17);
    await api.post('/v1/servers', registration(state, { advertisedHost: 'db.internal', advertisedPort: 6000 }));
    const before = (await api.get('/v1/servers/one')).body;
    const wrong = await api.call('PATCH', '/v1/servers/one', { password: 'wrong-password' });
    expect(wrong.body.code).toBe('SERVER_AUTHENTICATION_FAILED');
    const elsewhere = await api.call('PATCH', '/v1/servers/one', { port: other.port, password: other.password });
    expect([elsewhere.status, elsewhere.body.code]).toEqual([409, 'CONFLICT']);
    const dry = await api.call('PATCH', '/v1/servers/one?dryRun=true', { advertisedHost: null });
    expect(dry.body).toMatchObject({ advertisedHost: null, advertisedPort: 6000 });
    expect((await api.get('/v1/servers/one')).body).toEqual(before);
    const changed = await api.call('PATCH', '/v1/servers/one', { advertisedHost: null, tls: { mode: 'prefer' } });
    expect(changed.body).toMatchObject({ advertisedHost: null, advertisedPort: 6000, tls: { mode: 'prefer' } });
    expect(changed.body.createdAt).toBe(before.createdAt);
    const advertised = await api.app.get(ServersService).advertisedTarget('one', 'orders');
    expect(advertised).toMatchObject({ host: state.host, port: 6000, database: 'orders', password: state.password });
    await forgetAll();
    await other.stop();
  });

  it.each([{ host: 'localhost' }, { port: 1 }, { advertisedHost: 'elsewhere' }, { tls: { mode: 'disable' } }])(
    'sends the stored password nowhere else: %j needs it, in a dry run too',
    async (change) => {
      await api.post('/v1/servers', registration(state, { tls: { mode: 'prefer' } }));
      for (const query of ['', '?dryRun=true']) {
        const refused = await api.call('PATCH', `/v1/servers/one${query}`, change);
        expect(refused.body).toMatchObject({ status: 400, code: 'INVALID_INPUT', errors: [{ pointer: '#/password' }] });
        expect(refused.body.hint).toMatch(/password in the same request/);
      }
      await forgetAll();
    },
  );

  it('refuses to forget a server that is in use', async () => {
    let users = ['upgrade "14-to-18"'];
    api.app.get(ServerUsage).register(async (server) => (server === 'one' ? users : []));
    await api.post('/v1/servers', registration(state));
    const refused = await api.call('DELETE', '/v1/servers/one');
    expect(refused.body).toMatchObject({ status: 409, code: 'CONFLICT', usedBy: users });
    users = [];
    const dry = await api.call('DELETE', '/v1/servers/one?dryRun=true');
    expect([dry.status, dry.body]).toMatchObject([200, { statements: [] }]);
    expect((await api.get('/v1/servers/one')).status).toBe(200);
    expect((await api.call('DELETE', '/v1/servers/one')).status).toBe(204);
    expect((await api.get('/v1/servers/one')).status).toBe(404);
  });

  it('registers a name once when two ask at the same time', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => api.post('/v1/servers', registration(state))));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    await forgetAll();
  });

  it('pages through the list in order', async () => {
    for (const name of ['c', 'a', 'b']) await api.post('/v1/servers', registration(state, { name }));
    const first = (await api.get('/v1/servers?limit=2')).body;
    const second = (await api.get(`/v1/servers?limit=2&cursor=${first.nextCursor}`)).body;
    const names = [...first.items, ...second.items].map(({ name }: { name: string }) => name);
    expect([names, second.nextCursor]).toEqual([['a', 'b', 'c'], null]);
    await forgetAll();
  });

  it('tells of a server that went away and came back', async () => {
    const server = await TestServer.start(18);
    await api.post('/v1/servers', registration(server));
    expect((await api.get('/v1/servers/one/databases')).status).toBe(200);
    await server.crash();
    const away = (await api.post('/v1/servers/one/check')).body;
    expect(away).toMatchObject({ reachable: false, problem: { code: 'SERVER_UNREACHABLE' }, walLevel: 'logical' });
    expect((await api.get('/v1/servers/one')).body.reachable).toBe(false);
    expect((await api.get('/v1/servers/one/databases')).status).toBe(503);
    await server.restart();
    const back = (await api.post('/v1/servers/one/check')).body;
    expect(back).toMatchObject({ reachable: true, problem: null });
    expect(Date.parse(back.factsAt)).toBeGreaterThan(Date.parse(away.factsAt));
    // No waiting for a back-off: the check found the server there.
    expect((await api.get('/v1/servers/one/databases')).status).toBe(200);
    await forgetAll();
    await server.stop();
  });
});

describe('servers with TLS', () => {
  let state: TestServer;
  let secured: TestServer;
  let api: ApiUnderTest;
  // Signs itself, for the name localhost.
  const folder = join(import.meta.dirname, '../support/tls');
  const ca = readFileSync(join(folder, 'server.crt'), 'utf8');
  const otherCa = rootCertificates[0]!;

  beforeAll(async () => {
    secured = await TestServer.start(18);
    await secured.withSession('postgres', async (session) => {
      const write = (file: string, text: string): Promise<void> =>
        session.execute(
          `copy (select unnest(string_to_array(${literal(text)}, e'\\n'))) to program 'umask 077; cat > ${file}'`,
        );
      await write('server.crt', ca);
      await write('server.key', readFileSync(join(folder, 'server.key'), 'utf8'));
      await write('pg_hba.conf', 'hostssl all all all scram-sha-256');
      await session.execute('alter system set ssl = on');
      await session.execute('select pg_reload_conf()');
    });
    state = await TestServer.shared(18);
    api = await ApiUnderTest.start(state, await state.freshDatabase('servers_tls_state'));
  });
  afterAll(async () => {
    await api?.stop();
    await secured?.stop();
    await state?.stop();
  });

  it.each<[string, () => object, string | number, string?]>([
    ['disable', () => ({ mode: 'disable' }), 'SERVER_AUTHENTICATION_FAILED'],
    ['prefer', () => ({ mode: 'prefer' }), 200],
    ['require', () => ({ mode: 'require' }), 200],
    ['require with the right authority', () => ({ mode: 'require', ca }), 200],
    ['require with another authority', () => ({ mode: 'require', ca: otherCa }), 'SERVER_TLS_FAILED'],
    ['verify-ca', () => ({ mode: 'verify-ca', ca }), 200],
    ['verify-ca with another authority', () => ({ mode: 'verify-ca', ca: otherCa }), 'SERVER_TLS_FAILED'],
    ['verify-ca without any', () => ({ mode: 'verify-ca' }), 'SERVER_TLS_FAILED'],
    ['verify-full where the name differs', () => ({ mode: 'verify-full', ca }), 'SERVER_TLS_FAILED'],
    ['verify-full', () => ({ mode: 'verify-full', ca }), 200, 'localhost'],
  ])('%s', async (_case, tls, outcome, host = '127.0.0.1') => {
    const { port, user, password } = secured;
    const answer = await api.post('/v1/servers?dryRun=true', { name: 'tls', host, port, user, password, tls: tls() });
    if (typeof outcome === 'number') expect([answer.status, answer.text]).toEqual([outcome, answer.text]);
    else expect(answer.body).toMatchObject({ status: 502, code: outcome });
  });
});
