import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SecretBox } from '../../src/security/secret-box.js';
import { SecretKeyRepository } from '../../src/security/secret-key.repository.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const KEY = Buffer.alloc(32, 1).toString('base64');

describe('keys and first tokens', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.shared(18);
  });
  afterAll(async () => {
    await server?.stop();
  });

  it('keeps token and key over a restart', async () => {
    const database = await server.freshDatabase('security_restart');
    const first = await ApiUnderTest.start(server, database);
    await first.stop();
    const again = await ApiUnderTest.start(server, database, { environment: { LOCKSTEP_DATA_DIR: first.dataDir } });
    expect(again.token).toBe(first.token);
    expect((await again.get('/v1/servers')).status).toBe(200);
    await again.stop();
  });

  it('refuses another key, and makes none where one is missing', async () => {
    const database = await server.freshDatabase('security_keys');
    const api = await ApiUnderTest.start(server, database);
    const keys = api.app.get(SecretKeyRepository);
    const keyFile = join(api.dataDir, 'secret-key');
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    const { dataDir } = api;
    await expect(SecretBox.open({ secretKey: Buffer.alloc(32, 7), dataDir }, keys)).rejects.toThrow(
      /give every instance the same LOCKSTEP_SECRET_KEY/,
    );
    const key = Buffer.from(readFileSync(keyFile, 'utf8'), 'base64');
    rmSync(keyFile);
    await expect(SecretBox.open({ secretKey: null, dataDir }, keys)).rejects.toThrow(/a key that is not here/);
    expect(existsSync(keyFile)).toBe(false);
    await expect(SecretBox.open({ secretKey: key, dataDir }, keys)).resolves.toBeInstanceOf(SecretBox);
    await api.stop();
  });

  it('takes the admin token of the environment, and replaces it when it changes', async () => {
    const database = await server.freshDatabase('security_environment');
    const start = (token: string) =>
      ApiUnderTest.start(server, database, { environment: { LOCKSTEP_ADMIN_TOKEN: token, LOCKSTEP_SECRET_KEY: KEY } });
    const first = await start('first-admin-token-0001');
    expect((await first.get('/v1/tokens')).status).toBe(200);
    expect(existsSync(join(first.dataDir, 'admin-token'))).toBe(false);
    await first.stop();
    const second = await start('second-admin-token-0002');
    expect((await second.get('/v1/tokens')).status).toBe(200);
    const old = await second.call('GET', '/v1/tokens', undefined, { token: 'first-admin-token-0001' });
    expect(old.status).toBe(401);
    const [admin] = (await second.get('/v1/tokens')).body.items.filter(
      (item: { revokedAt: unknown }) => !item.revokedAt,
    );
    expect((await second.call('DELETE', `/v1/tokens/${admin.id}`)).body.code).toBe('CONFLICT');
    await second.stop();
    const back = await start('first-admin-token-0001');
    expect((await back.get('/v1/tokens')).status).toBe(200);
    const rotated = await back.call('GET', '/v1/tokens', undefined, { token: 'second-admin-token-0002' });
    expect(rotated.status).toBe(401);
    await back.stop();
  });

  it('makes one admin token when two instances start at once on an empty database', async () => {
    const database = await server.freshDatabase('security_race');
    const started = await Promise.all(
      [1, 2].map(() => ApiUnderTest.start(server, database, { environment: { LOCKSTEP_SECRET_KEY: KEY } })),
    );
    const files = started.filter(({ dataDir }) => existsSync(join(dataDir, 'admin-token')));
    expect(files).toHaveLength(1);
    const { token } = files[0]!;
    for (const api of started) expect((await api.call('GET', '/v1/tokens', undefined, { token })).status).toBe(200);
    await Promise.all(started.map((api) => api.stop()));
  });
});
