import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const ODD_NAMES = [
  `it's`,
  'two words',
  'täble-ß-数据-🐘',
  '-- drop table lockstep.server; --',
  '"quoted"',
  '%27; select 1',
  '../../etc/passwd',
  'a/b',
  '__proto__',
  'null',
  'x'.repeat(63),
  'é'.repeat(31),
];
const TOO_LONG_NAMES = ['x'.repeat(64), 'é'.repeat(32), 'x'.repeat(5000)];

describe('bad and odd input', () => {
  let server: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    server = await TestServer.shared(18);
    api = await ApiUnderTest.start(server, await server.freshDatabase('input_state'));
  });
  afterAll(async () => {
    await api?.stop();
    await server?.stop();
  });

  const registration = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
    name: 'orders',
    host: server.host,
    port: server.port,
    user: server.user,
    password: server.password,
    tls: { mode: 'disable' },
    ...change,
  });

  async function nothingStored(): Promise<void> {
    expect((await api.get('/v1/servers')).body.items).toEqual([]);
  }

  it.each<[string, Record<string, unknown>, string[]]>([
    ['a number as text', { port: '5432' }, ['#/port']],
    ['a fraction', { port: 1.5 }, ['#/port']],
    ['a port out of range', { port: 65536 }, ['#/port']],
    ['null for text', { host: null }, ['#/host']],
    ['an empty host', { host: '' }, ['#/host']],
    ['a socket folder as host', { host: '/var/run/postgresql' }, ['#/host']],
    ['a host with blanks', { host: 'a b' }, ['#/host']],
    ['an object for text', { user: {} }, ['#/user']],
    ['a list for text', { password: ['x'] }, ['#/password']],
    ['no password', { password: undefined }, ['#/password']],
    ['an empty name', { name: '' }, ['#/name']],
    ['a name that no path can carry', { name: '..' }, ['#/name']],
    ['a name with a zero byte', { name: 'a\0b' }, ['#/name']],
    ['a password with a zero byte', { password: 'a\0b' }, ['#/password']],
    ['unknown fields', { colour: 'red', 'a/b~c': 1 }, ['#/colour', '#/a~1b~0c']],
    ['an unknown TLS mode', { tls: { mode: 'on' } }, ['#/tls/mode']],
    ['unknown TLS fields', { tls: { mode: 'disable', cert: 'x' } }, ['#/tls/cert']],
    ['a CA that is none', { tls: { mode: 'verify-ca', ca: 'hello' } }, ['#/tls/ca']],
    ['TLS as text', { tls: 'disable' }, ['#/tls']],
    ['TLS as a list', { tls: [] }, ['#/tls']],
    ['TLS as null', { tls: null }, ['#/tls']],
    ['an advertised port of 0', { advertisedPort: 0 }, ['#/advertisedPort']],
    ['a dry run that is no boolean', { dryRun: 'yes' }, ['#/dryRun']],
    ['several faults at once', { port: 0, host: 3, tls: {} }, ['#/port', '#/host', '#/tls/mode']],
  ])('refuses %s, and says where', async (_case, change, pointers) => {
    const answer = await api.post('/v1/servers', registration(change));
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.body).toMatchObject({
      code: 'INVALID_INPUT',
      retryable: false,
      status: 400,
      instance: '/v1/servers',
    });
    expect(answer.body.requestId).toBe(answer.headers.get('x-request-id'));
    const found = (answer.body.errors as { pointer: string }[]).map(({ pointer }) => pointer);
    expect(new Set(found)).toEqual(new Set(pointers.map((p) => p.replace('a~1b~0c', encodeURIComponent('a~1b~0c')))));
    await nothingStored();
  });

  it('says in plain words what is expected', async () => {
    const answer = await api.post('/v1/servers', registration({ tls: 'disable' }));
    expect(answer.body.errors).toEqual([{ pointer: '#/tls', detail: 'must be an object' }]);
    const without = await api.post('/v1/servers', registration({ name: undefined, port: '5432' }));
    expect(without.body.errors).toEqual([
      { pointer: '#/name', detail: expect.stringMatching(/^is missing: /) },
      { pointer: '#/port', detail: expect.not.stringContaining('missing') },
    ]);
  });

  it.each(TOO_LONG_NAMES)('refuses an over-long name', async (name) => {
    const inBody = await api.post('/v1/servers', registration({ name }));
    expect(inBody.body).toMatchObject({ code: 'INVALID_INPUT', errors: [{ pointer: '#/name' }] });
    const inPath = await api.get(`/v1/servers/${encodeURIComponent(name)}`);
    expect(inPath.body).toMatchObject({ status: 400, code: 'INVALID_INPUT', errors: [{ pointer: 'path:server' }] });
    await nothingStored();
  });

  it.each([
    ['a list', '[]', 'INVALID_INPUT', 400],
    ['text', '"hello"', 'MALFORMED_BODY', 400],
    ['half a document', '{"name": "secret-looking', 'MALFORMED_BODY', 400],
    ['nothing', undefined, 'INVALID_INPUT', 400],
  ])('refuses a body that is %s', async (_case, body, code, status) => {
    const answer = await api.post('/v1/servers', body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.text).not.toContain('secret-looking');
  });

  it('refuses other media types and bodies that are too large', async () => {
    const form = await api.post('/v1/servers', 'name=x', { 'content-type': 'application/x-www-form-urlencoded' });
    expect([form.status, form.body.code]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
    const large = await api.post('/v1/servers', registration({ name: 'x'.repeat(2_000_000) }));
    expect([large.status, large.body.code]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    await nothingStored();
  });

  it.each([
    ['limit=0', 'query:limit'],
    ['limit=201', 'query:limit'],
    ['limit=ten', 'query:limit'],
    ['limit=1&limit=2', 'query:limit'],
    ['cursor=nonsense', 'query:cursor'],
    [`cursor=${Buffer.from('["a","b"]').toString('base64url')}`, 'query:cursor'],
    ['cursor=%00', 'query:cursor'],
    ['page=2', 'query:page'],
  ])('refuses the query %s', async (query, pointer) => {
    const answer = await api.get(`/v1/servers?${query}`);
    expect([answer.status, answer.body.code]).toEqual([400, 'INVALID_INPUT']);
    expect(answer.body.errors.map((error: { pointer: string }) => error.pointer)).toContain(pointer);
  });

  it('answers unknown routes, wrong methods and undecodable paths', async () => {
    expect((await api.get('/v1/nothing')).body).toMatchObject({ status: 404, code: 'NOT_FOUND' });
    const put = await api.call('PUT', '/v1/servers', {});
    expect([put.status, put.body.code, put.headers.get('allow')]).toEqual([
      405,
      'METHOD_NOT_ALLOWED',
      'GET, HEAD, OPTIONS, POST',
    ]);
    expect((await api.get('/v1/servers/%E0%A4')).body).toMatchObject({ status: 400, code: 'INVALID_INPUT' });
    expect((await api.get('/v1/servers/%00')).body).toMatchObject({ status: 400, code: 'INVALID_INPUT' });
  });

  it.each(ODD_NAMES)(
    'finds no server named %s, until one is registered; then it is one like any other',
    async (name) => {
      const path = `/v1/servers/${encodeURIComponent(name)}`;
      for (const [method, sub, body] of [
        ['GET', ''],
        ['PATCH', '', { port: 1 }],
        ['DELETE', ''],
        ['POST', '/check'],
        ['GET', '/databases'],
      ] as const) {
        expect([method, sub, (await api.call(method, `${path}${sub}`, body)).body.code]).toEqual([
          method,
          sub,
          'NOT_FOUND',
        ]);
      }
      const registered = await api.post('/v1/servers', registration({ name }));
      expect([registered.status, registered.body.name]).toEqual([201, name]);
      expect(registered.headers.get('location')).toBe(`/v1/servers/${encodeURIComponent(name)}`);
      const [listed] = (await api.get('/v1/servers')).body.items;
      expect(listed.name).toBe(name);
      expect((await api.get(path)).body.name).toBe(name);
      expect((await api.call('DELETE', path)).status).toBe(204);
      await nothingStored();
    },
  );

  it('tells names apart by case', async () => {
    await api.post('/v1/servers', registration({ name: 'Orders' }));
    expect((await api.get('/v1/servers/orders')).status).toBe(404);
    expect((await api.post('/v1/servers', registration({ name: 'orders' }))).status).toBe(201);
    await api.call('DELETE', '/v1/servers/Orders');
    await api.call('DELETE', '/v1/servers/orders');
    await nothingStored();
  });

  it('takes a dry run from the query or the body, and refuses a contradiction', async () => {
    const inQuery = await api.post('/v1/servers?dryRun=true', registration());
    const inBody = await api.post('/v1/servers', registration({ dryRun: true }));
    expect([inQuery.status, inBody.status]).toEqual([200, 200]);
    expect(inQuery.body).toMatchObject({ name: 'orders', reachable: true });
    const both = await api.post('/v1/servers?dryRun=false', registration({ dryRun: true }));
    expect(both.body).toMatchObject({ code: 'INVALID_INPUT', errors: [{ pointer: '#/dryRun' }] });
    const token = await api.post('/v1/tokens', { name: 'x', scope: 'read', dryRun: true });
    expect([token.status, token.body]).toEqual([200, { does: expect.any(String), statements: [] }]);
    expect((await api.get('/v1/tokens')).body.items).toHaveLength(1);
    await nothingStored();
  });

  it('returns a sane request id, and replaces one that is not', async () => {
    const sane = await api.call('GET', '/v1/servers', undefined, { headers: { 'x-request-id': 'caller-7:a.b' } });
    expect(sane.headers.get('x-request-id')).toBe('caller-7:a.b');
    const odd = await api.call('GET', '/v1/servers', undefined, { headers: { 'x-request-id': 'a b"{}' } });
    expect(odd.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});
