import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { providerOf, readDatabases, readServerFacts } from '../../src/postgres/catalog/server-facts.js';
import {
  PROVIDER_SIGNS,
  SERVER_IDENTITY,
  SERVER_SETTINGS,
  SERVER_USAGE,
  serverDatabases,
  serverLogin,
  settingNames,
} from '../../src/postgres/catalog/server-facts.sql.js';
import { Session } from '../../src/postgres/session.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

describe.each(AVAILABLE_MAJORS)('server facts on PostgreSQL %i', (major) => {
  let server: TestServer;
  let session: Session;
  beforeAll(async () => {
    server = await TestServer.shared(major);
    session = await server.open();
  });
  afterAll(async () => {
    await session?.close();
    await server?.stop();
  });

  it('every variant returns the same columns', async () => {
    const { versionNum } = session;
    const columns = async (sql: string, parameters?: unknown[]): Promise<string[]> =>
      Object.keys((await session.rows<Record<string, unknown>>(sql, parameters))[0]!).sort();
    expect(await columns(SERVER_IDENTITY)).toEqual(
      ['in_recovery', 'postmaster_started_at', 'system_identifier', 'timeline', 'version', 'version_num'].sort(),
    );
    expect(await columns(SERVER_SETTINGS, [['wal_level']])).toEqual(
      ['name', 'pending_restart', 'setting', 'source', 'unit'].sort(),
    );
    expect(await columns(SERVER_USAGE)).toEqual(
      ['connections', 'logical_workers', 'prepared_transactions', 'replication_slots', 'wal_senders'].sort(),
    );
    expect(await columns(serverLogin(versionNum))).toHaveLength(11);
    expect(await columns(PROVIDER_SIGNS)).toEqual(['aurora', 'patroni_settings', 'prefixes']);
    expect(await columns(serverDatabases(versionNum))).toHaveLength(10);
  });

  it('knows every setting by its name in this version', async () => {
    const facts = await readServerFacts(session);
    expect(Object.keys(facts.settings).sort()).toEqual(settingNames(session.versionNum).sort());
    expect(facts).toMatchObject({ timeline: 1, inRecovery: false, walLevel: 'logical', provider: null });
    expect(facts.headroom.walSenders).toMatchObject({ max: 20 });
    expect(facts.headroom.connections.used).toBeGreaterThan(0);
    expect(JSON.parse(JSON.stringify(facts))).toEqual(facts);
  });

  it('counts slots that are in use', async () => {
    const slot = `facts_${process.pid}`;
    await session.execute(`select pg_create_physical_replication_slot('${slot}')`);
    const { replicationSlots } = (await readServerFacts(session)).headroom;
    await session.execute(`select pg_drop_replication_slot('${slot}')`);
    expect(replicationSlots.used).toBeGreaterThanOrEqual(1);
    expect(replicationSlots.free).toBe(replicationSlots.max - replicationSlots.used);
  });

  it('lets a login without any privilege see itself, and sizes only where it may', async () => {
    const role = `facts_nobody_${major}`;
    const database = await server.freshDatabase(`facts_closed_${major}`);
    await server.run(
      'postgres',
      `drop role if exists ${role}; create role ${role} login password 'nobody'; revoke connect on database ${database} from public`,
    );
    const nobody = await Session.open({ ...server.target(), user: role, password: 'nobody' });
    const facts = await readServerFacts(nobody);
    const databases = await readDatabases(nobody);
    await nobody.close();
    expect(facts.login).toMatchObject({
      name: role,
      superuser: false,
      replication: false,
      monitor: false,
      advanceOrigin: false,
      readAllData: major >= 14 ? false : null,
      createSubscription: major >= 16 ? false : null,
    });
    expect(facts.systemIdentifier).toMatch(/^\d+$/);
    expect(databases.find(({ name }) => name === database)!.sizeBytes).toBeNull();
    expect(databases.find(({ name }) => name === 'postgres')!.sizeBytes).toBeGreaterThan(0);
    await server.run('postgres', `drop role ${role}`);
  });

  it('counts memberships only where they are inherited', async () => {
    const role = `facts_noinherit_${major}`;
    await server.run(
      'postgres',
      `drop role if exists ${role}; create role ${role} login noinherit password 'nobody'; grant pg_monitor to ${role}`,
    );
    const login = await Session.open({ ...server.target(), user: role, password: 'nobody' });
    const { monitor } = (await readServerFacts(login)).login;
    await login.close();
    await server.run('postgres', `drop role ${role}`);
    expect(monitor).toBe(false);
  });
});

it('refuses a server older than 13 before asking it anything', async () => {
  const old = { versionNum: 120022, where: 'db:5432/postgres' } as Session;
  await expect(readServerFacts(old)).rejects.toMatchObject({
    code: 'SERVER_VERSION_UNSUPPORTED',
    detail: 'db:5432/postgres runs PostgreSQL 12',
  });
});

describe('provider', () => {
  const none = { prefixes: [], aurora: false, patroni_settings: 0 };

  it.each([
    [none, null],
    [{ ...none, prefixes: ['rds'] }, 'aws-rds'],
    [{ ...none, prefixes: ['rds'], aurora: true }, 'aws-aurora'],
    [{ ...none, prefixes: ['cnpg'] }, 'cloudnative-pg'],
    [{ ...none, patroni_settings: 6 }, 'patroni'],
    [{ ...none, patroni_settings: 5 }, null],
  ])('of %j is %s', (signs, provider) => {
    expect(providerOf(signs)).toBe(provider);
  });
});
