import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildConninfo, type Conninfo } from '../../src/postgres/ddl/conninfo.js';
import { Problem } from '../../src/problems/problem.js';
import type { ServersService } from '../../src/servers/servers.service.js';
import { explainCreationTimeout } from '../../src/subscriptions/creation-timeout.js';
import { whither } from '../../src/subscriptions/publisher-identity.js';
import type { ServerAddress } from '../../src/subscriptions/publisher-lookup.js';
import { explainRefusedLogin } from '../../src/subscriptions/refused-login.js';
import { hasSlot } from '../../src/subscriptions/unregistered-publisher.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';

/** A publisher that is no registered server, as it is asked by the connection string of a subscription. */

const HERE: ServerAddress = { name: 'sink', host: '127.0.0.1', port: 1 };
const AWAY: ServerAddress = { name: 'sink', host: 'db.example.net', port: 5432 };
const NONE = {} as ServersService;
const environment = { ...process.env };

let server: TestServer;
let login: Conninfo;
let network: Network;

beforeAll(async () => {
  server = await TestServer.shared(16);
  const { host, port, user, password } = server;
  login = { host, port: String(port), user, password, dbname: 'postgres', sslmode: 'disable' };
  network = await Network.to(port);
});

afterEach(() => {
  process.env = { ...environment };
});

afterAll(async () => {
  await network?.cut();
  await server?.stop();
});

it('is asked with the login of the string', async () => {
  expect(await hasSlot(login, HERE, 'no_such_slot')).toBe(false);
  expect(await hasSlot({ ...login, password: 'wrong' }, HERE, 'no_such_slot')).toBeNull();
});

it('is never given a password of Lockstep’s own', async () => {
  const { password, ...without } = login;
  process.env.PGPASSWORD = password;
  for (const given of [without, { ...without, password: '' }]) {
    expect(await hasSlot(given, HERE, 'no_such_slot')).toBeNull();
  }
  delete process.env.PGPASSWORD;
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-pgpass-'));
  try {
    process.env.PGPASSFILE = join(folder, 'pgpass');
    writeFileSync(process.env.PGPASSFILE, `*:*:*:*:${password}\n`);
    chmodSync(process.env.PGPASSFILE, 0o600);
    expect(await hasSlot(without, HERE, 'no_such_slot')).toBeNull();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('is not looked for on the host of Lockstep where the string leaves its place to the defaults', async () => {
  const { host, port, user, dbname, ...rest } = login as Record<string, string>;
  Object.assign(process.env, { PGHOST: host, PGPORT: port, PGUSER: user, PGDATABASE: dbname });
  const named = { host, port, user, dbname } as Conninfo;
  for (const key of ['host', 'user']) {
    for (const left of [
      { ...named, ...rest, [key]: '' },
      { ...named, ...rest, hostaddr: '', [key]: '' },
    ]) {
      expect([key, await hasSlot(left, HERE, 'no_such_slot')]).toEqual([key, null]);
    }
  }
  expect(await hasSlot({ ...named, ...rest, hostaddr: '' }, HERE, 'no_such_slot')).toBe(false);
});

it('is not looked for at an address that means another host to the subscriber, with whatever error', async () => {
  expect(await hasSlot(login, AWAY, 'no_such_slot')).toBeNull();
  const words = `could not connect to the publisher: FATAL: Passwort-Authentifizierung fehlgeschlagen`;
  const asked = network.count('user');
  const wrong = { ...login, port: String(network.port), password: 'wrong' };
  const failed = new Problem('SERVER_UNREACHABLE', words, { sqlstate: '08006' });
  expect(await explainRefusedLogin(failed, wrong, AWAY)).toBe(failed);
  const late = new Problem('SERVER_TIMEOUT', 'canceling statement', { sqlstate: '57014' });
  expect(await explainCreationTimeout(late, wrong, AWAY, 100, null)).toMatchObject({
    options: { extra: { publisherReached: null } },
  });
  expect(asked()).toBe(0);
  expect(await explainCreationTimeout(late, wrong, HERE, 100, null)).toMatchObject({
    options: { extra: { publisherReached: true } },
  });
  expect(asked()).toBeGreaterThan(0);
});

it('is not known where it is older than what Lockstep manages', async () => {
  const version = await server.withSession('postgres', (session) => Promise.resolve(session.versionNum));
  network.pretend(String(version), '120022');
  const old = { ...login, port: String(network.port) };
  expect(await hasSlot(old, HERE, 'no_such_slot')).toBeNull();
  const [from, to] = [login, old].map((each) => ({ publisher: null, conninfo: buildConninfo(each) }));
  expect(await whither(NONE, HERE, from!, to!)).toBe('unknown');
  const late = new Problem('SERVER_TIMEOUT', 'canceling statement', { sqlstate: '57014' });
  expect(await explainCreationTimeout(late, old, HERE, 100, null)).toMatchObject({
    options: { extra: { publisherReached: true, blockers: null } },
  });
});

it('is not taken for the same where something else than host and port decides', async () => {
  const pairs = [
    ['service=a dbname=x', 'service=b dbname=x'],
    ['host=a,b dbname=x target_session_attrs=primary', 'host=a,b dbname=x target_session_attrs=standby'],
  ];
  for (const [before, after] of pairs) {
    const led = (conninfo: string) =>
      whither(NONE, HERE, { publisher: null, conninfo: before! }, { publisher: null, conninfo });
    expect([after, await led(after!)]).toEqual([after, 'unknown']);
    expect(await led(`${before!} password=new`)).toBe('same');
  }
});
